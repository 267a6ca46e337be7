// dm-ulog serve: answers the kernel in the foreground until SIGTERM or SIGINT.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { missingPrerequisites } from "../node/prerequisites.ts";
import type { ServerOptions } from "../node/server.ts";
import { controlSocketPath } from "../node/state/runtime-paths.ts";
import { LIVE_PORT_DEFAULT } from "../node/web/defaults.ts";
import { packageVersion, pagePath, wasmPath } from "./installation.ts";
import { limitedLog } from "./limited-log.ts";
import { isNativeWanted, serveNatively } from "./serve-native.ts";
import { type LogFormat, logFormatOf, ServerLog } from "./server-log.ts";

export interface ServeOptions {
  runtimeDir: string;
  quietTime: number;
  lazyRegions: number;
  markAhead: number;
  blockSize: number;
  record?: string;
  recordSize: number;
  recordFiles: number;
  flightRecorder?: number;
  crashDirectory?: string;
  /** The port of the view, or true for the default port. */
  view?: number | true;
  viewAddress: string;
  metrics?: number;
  force?: boolean;
  /** Left out, the native host where it was built. */
  host?: "native" | "node";
  spin?: number;
  /** Whether the socket outlives the server. */
  keeper: boolean;
  /** Of the native host alone. */
  realTime?: number;
  takeOver?: true;
  logFormat?: LogFormat;
}

const NS_PER_MS = 1e6;

export async function serve(options: ServeOptions): Promise<void> {
  if (isNativeWanted(options)) return serveNatively(options);
  for (const option of ["realTime", "takeOver"] as const) {
    if (options[option] !== undefined) throw new Error(`Only the native host has --${dashed(option)}.`);
  }
  const missing = missingPrerequisites();
  if (missing.length > 0) throw new Error(missing.join("\n"));
  // The native packages behind these are optional: without them everything works except serving.
  const { becomeIoFlusher, lockProgram } = await import("../node/memory-lock.ts");
  const flusherWarning = becomeIoFlusher();
  const { exitNow } = await import("../node/system-calls.ts");
  const { claimRuntimeDirectory, diskWarning } = await import("../node/state/runtime-directory.ts");
  const { claimMachine } = await import("../node/state/machine-claim.ts");
  const { mirrorsWithSwap, swapSentence, watchSwap } = await import("../node/devices/swap-watch.ts");
  const { Server } = await import("../node/server.ts");
  const { ServiceManager } = await import("../node/control/service-manager.ts");
  const { metricsUrl, serveMetrics } = await import("../node/control/metrics-port.ts");
  const { serverMetrics, serveStatus } = await import("../node/control/control-socket.ts");

  const serverLog = new ServerLog(options.logFormat ?? logFormatOf(process.env));
  for (const sentence of claimRuntimeDirectory(options.runtimeDir)) serverLog.warning(sentence);
  const beside = claimMachine(options.force === true);
  if (beside !== undefined) serverLog.warning(beside);
  const swapped = mirrorsWithSwap();
  if (swapped.length > 0 && options.force !== true)
    throw new Error(`${swapSentence(swapped)} To serve all the same: --force`);
  const log = limitedLog((sentence, level) => serverLog.write(sentence, level));
  const server = await Server.start({
    wasm: readFileSync(wasmPath()),
    log,
    application: `dm-ulog ${packageVersion()}`,
    runtimeDirectory: options.runtimeDir,
    keepsSocket: options.keeper,
    ...(options.flightRecorder === undefined ? {} : { flightBytes: options.flightRecorder }),
    ...(options.crashDirectory === undefined ? {} : { crashDirectory: resolve(options.crashDirectory) }),
    ...recordingOf(options),
    ...viewOf(options),
    ...(options.spin === undefined ? {} : { spinUs: options.spin }),
    engineOptions: {
      quietNs: options.quietTime * NS_PER_MS,
      lazyRegionsMax: options.lazyRegions,
      aheadRegions: options.markAhead,
      blockBytes: options.blockSize,
    },
    failed(error) {
      serverLog.error(`the request path has failed, so the kernel gets no more answers: ${error.stack}`);
      // Not process.exit, which terminates threads: see io-keeper.ts.
      exitNow(1);
    },
  });
  const socketPath = controlSocketPath(options.runtimeDir);
  const http = await serveStatus(server, socketPath, packageVersion());
  const metricsText = () => serverMetrics(server, packageVersion());
  const serving = options.metrics === undefined ? undefined : serveMetrics(metricsText, options.metrics);
  // Metrics that cannot be served are worth a warning; the server answers the kernel all the same.
  const metrics = await serving?.catch((error: Error) => void serverLog.warning(error.message));

  const warnings = [diskWarning(options.runtimeDir), flusherWarning, ...lockProgram()];
  for (const warning of warnings) if (warning !== undefined) serverLog.warning(warning);
  serverLog.info(
    `dm-ulog ${packageVersion()} is serving the kernel (netlink port ${server.port}). To look at it: dm-ulog status`,
  );
  const manager = ServiceManager.find(process.env);
  manager?.ready();
  manager?.watch(() => server.read(0, 1));

  watchSwap(swapped, (sentence) => serverLog.error(sentence));
  if (metrics) serverLog.info(`Metrics are at ${metricsUrl(metrics)}`);
  if (server.viewUrl !== undefined) serverLog.info(`The live view is at ${server.viewUrl}`);

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    manager?.stopping();
    http.close();
    http.closeAllConnections();
    metrics?.close();
    metrics?.closeAllConnections();
    const ended = await server.stop();
    serverLog.info("dm-ulog has stopped.");
    if (!ended) serverLog.error("a device hangs; its reads and writes are left unfinished.");
    // A thread that hangs would keep the process alive, and there is nothing left to do.
    exitNow(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // A terminal that goes away takes no server with it.
  process.on("SIGHUP", () => serverLog.info("SIGHUP changes nothing: to stop the server, send SIGTERM."));
}

function dashed(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function viewOf({ view, viewAddress }: ServeOptions): Pick<ServerOptions, "view"> {
  if (view === undefined) return {};
  return { view: { port: view === true ? LIVE_PORT_DEFAULT : view, address: viewAddress, page: pagePath() } };
}

function recordingOf({ record, recordSize, recordFiles }: ServeOptions): Pick<ServerOptions, "record"> {
  if (record === undefined) return {};
  return { record: { path: resolve(record), sizeBytes: recordSize, filesMax: recordFiles } };
}
