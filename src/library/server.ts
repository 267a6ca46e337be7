/**
 * The package's entry for the whole server, as `dm-ulog serve` runs it. It needs Linux and Node.js.
 * @module dm-ulog/server
 */

export type { ListenerReport } from "../node/control/listener-watch.ts";
export type { Log, LogLevel } from "../node/log-level.ts";
export type { RecordingOptions } from "../node/recording/trace-files.ts";
export type { LatencyHistogram } from "../node/requests/latencies.ts";
export type { Holder, Listener, NetlinkSocket } from "../node/requests/netlink-sockets.ts";
export type { SpinCounters } from "../node/requests/spin.ts";
export { Server, type ServerOptions } from "../node/server.ts";
export type { LiveViewOptions } from "../node/web/view.ts";
