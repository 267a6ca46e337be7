// Metrics over HTTP on a port of the loopback address, for a Prometheus that cannot read from a unix socket. They name mirrors, so
// pages of other sites are refused.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { PROMETHEUS_CONTENT_TYPE } from "./prometheus.ts";
import { LOOPBACK } from "./web/defaults.ts";
import { sayStatus } from "./web/page-server.ts";
import { refusalOf } from "./web/web-rules.ts";

const PATH = "/metrics";

/** Serves `text()` at /metrics; a port of 0 is any that is free. Resolves when it listens; rejects with a sentence. */
export function serveMetrics(text: () => string, port: number): Promise<Server> {
  const http = createServer((incoming, outgoing) => {
    const refusal = refusalOf(incoming, true);
    if (refusal !== undefined) return sayStatus(outgoing, refusal.status, refusal.sentence);
    if (incoming.url !== PATH) return sayStatus(outgoing, 404, `The only path is: GET ${PATH}.`);
    try {
      const metrics = text();
      outgoing.writeHead(200, { "content-type": PROMETHEUS_CONTENT_TYPE }).end(metrics);
    } catch (error) {
      sayStatus(outgoing, 503, (error as Error).message);
    }
  });
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
