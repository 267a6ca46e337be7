// dm-ulog metrics, and dm-ulog view --live: processes that look on from outside, so that nothing they do concerns the server.

import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { metricsUrl, serveMetrics } from "../node/control/metrics-port.ts";
import { flightPath } from "../node/state/runtime-paths.ts";
import { LiveView } from "../node/web/view.ts";
import { onlookerOf, pagePath } from "./installation.ts";
import { mirrorMetrics } from "./mirror-metrics.ts";
import { readStatusFacts } from "./status-facts.ts";
import { reportOf } from "./status-report.ts";

export interface MetricsOptions {
  runtimeDir: string;
  mirrorsDir: string;
  port: number;
}

export interface LiveOptions {
  runtimeDir: string;
  port: number;
  address: string;
}

/** How often to look for a server that was started anew, in ms. */
const LOOK_INTERVAL_MS = 2000;

/** How long what is told of mirrors is told again, in ms: a process is started to learn it. */
const MIRRORS_AGE_MS = 5000;

/** Serves metrics until SIGINT or SIGTERM. */
export async function metrics({ runtimeDir, mirrorsDir, port }: MetricsOptions): Promise<void> {
  const onlooker = onlookerOf(runtimeDir);
  let mirrors = { atMs: -MIRRORS_AGE_MS, text: "" };
  const text = async () => {
    const own = await onlooker.metrics();
    if (performance.now() - mirrors.atMs >= MIRRORS_AGE_MS) {
      const report = reportOf(await readStatusFacts(onlooker, mirrorsDir, { isAtOnce: true }), new Date());
      mirrors = { atMs: performance.now(), text: mirrorMetrics(report) };
    }
    return own + mirrors.text;
  };
  const http = await serveMetrics(text, port);
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
