// dm-ulog metrics, and dm-ulog view --live: processes that look on from outside, so that nothing they do concerns the server.

import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { metricsUrl, serveMetrics } from "../node/control/metrics-port.ts";
import { flightPath } from "../node/state/runtime-paths.ts";
import { LiveView } from "../node/web/view.ts";
import { onlookerOf, pagePath } from "./installation.ts";

export interface MetricsOptions {
  runtimeDir: string;
  port: number;
}

export interface LiveOptions {
  runtimeDir: string;
  port: number;
  address: string;
}

/** How often to look for a server that was started anew, in ms. */
const LOOK_INTERVAL_MS = 2000;

/** Serves metrics until SIGINT or SIGTERM. */
export async function metrics({ runtimeDir, port }: MetricsOptions): Promise<void> {
  const onlooker = onlookerOf(runtimeDir);
  const http = await serveMetrics(() => onlooker.metrics(), port);
  console.log(`Metrics are at ${metricsUrl(http)}`);
  onInterrupt(() => {
    http.close();
    http.closeAllConnections();
  });
}

/** Serves the page that shows what a server does until SIGINT or SIGTERM, also over restarts of the server. */
export async function live({ runtimeDir, port, address }: LiveOptions): Promise<void> {
  const flight = flightPath(runtimeDir);
  let isOver = false;
  onInterrupt(() => {
    isOver = true;
  });
  if (inodeOf(flight) === undefined) {
    throw new Error(`No server with a flight recorder runs at ${runtimeDir}. Start one with: sudo dm-ulog serve`);
  }
  for (let chosen = port; !isOver; ) {
    const inode = inodeOf(flight);
    if (inode === undefined) {
      await sleep(LOOK_INTERVAL_MS);
      continue;
    }
    const view = await LiveView.start({ port: chosen, address, page: pagePath() }, flight, (sentence) =>
      console.error(`dm-ulog: ${sentence}`),
    );
    if (chosen !== Number(new URL(view.url).port) || chosen === port) console.log(`The live view is at ${view.url}`);
    chosen = Number(new URL(view.url).port);
    while (!isOver && (inodeOf(flight) ?? inode) === inode) await sleep(LOOK_INTERVAL_MS / 10);
    await view.stop();
  }
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

function onInterrupt(stop: () => void): void {
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
}
