/**
 * The package's entry for the whole server, as `dm-ulog serve` runs it. It needs Linux and Node.js.
 * @module dm-ulog/server
 */

export type { LatencyHistogram } from "../node/latencies.ts";
export type { ListenerReport } from "../node/listener-watch.ts";
export type { Log, LogLevel } from "../node/log-level.ts";
export type { Holder, Listener, NetlinkSocket } from "../node/netlink-sockets.ts";
export { Server, type ServerOptions } from "../node/server.ts";
export type { RecordingOptions } from "../node/trace-files.ts";
export type { LiveViewOptions } from "../node/web/view.ts";
