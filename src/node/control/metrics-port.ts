// Metrics over HTTP on a port of the loopback address, for a Prometheus that cannot read from a unix socket. They name mirrors, so
// pages of other sites are refused.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { LOOPBACK } from "../web/defaults.ts";
import { sayStatus } from "../web/page-server.ts";
import { refusalOf } from "../web/web-rules.ts";
import { PROMETHEUS_CONTENT_TYPE } from "./prometheus.ts";

const PATH = "/metrics";

/** More connections at one time are refused: a scrape takes milliseconds, and there are a few scrapers. */
const CONNECTIONS_MAX = 32;
/** Who has not asked by then, or asks no more, is disconnected, in ms. */
const PATIENCE_MS = 5000;
/** So long an answer is given again, in ms, so that many scrapers cost what one costs. */
const AGE_MS_DEFAULT = 500;

/**
 * Serves `text()` at /metrics; a port of 0 is any that is free. Resolves when it listens; rejects with a sentence. However many
 * connect, at most CONNECTIONS_MAX are kept, and an answer is given again for `ageMsMax`.
 */
export function serveMetrics(
  text: () => string | Promise<string>,
  port: number,
  ageMsMax = AGE_MS_DEFAULT,
): Promise<Server> {
  let last: { atMs: number; metrics: Promise<string> } | undefined;
  const recent = (): Promise<string> => {
    if (last === undefined || performance.now() - last.atMs > ageMsMax) {
      last = { atMs: performance.now(), metrics: (async () => text())() };
    }
    return last.metrics;
  };
  const http = createServer(async (incoming, outgoing) => {
    const refusal = refusalOf(incoming, true);
    if (refusal !== undefined) return sayStatus(outgoing, refusal.status, refusal.sentence);
    if (incoming.url !== PATH) return sayStatus(outgoing, 404, `The only path is: GET ${PATH}.`);
    try {
      const metrics = await recent();
      outgoing.writeHead(200, { "content-type": PROMETHEUS_CONTENT_TYPE }).end(metrics);
    } catch (error) {
      sayStatus(outgoing, 503, (error as Error).message);
    }
  });
  http.maxConnections = CONNECTIONS_MAX;
  http.headersTimeout = PATIENCE_MS;
  http.requestTimeout = PATIENCE_MS;
  http.keepAliveTimeout = PATIENCE_MS;
  http.setTimeout(PATIENCE_MS);
  return new Promise((resolve, reject) => {
    http.once("error", (error: NodeJS.ErrnoException) =>
      reject(new Error(`Metrics cannot be served on port ${port} (${error.code}). Choose another with --metrics.`)),
    );
    http.listen(port, LOOPBACK, () => resolve(http));
  });
}

/** Where they are. */
export function metricsUrl(http: Server): string {
  const { address, port } = http.address() as AddressInfo;
  return `http://${address}:${port}${PATH}`;
}
