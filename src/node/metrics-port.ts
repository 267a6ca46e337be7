// Metrics over HTTP on a port of the loopback address, for a Prometheus that cannot ask a unix socket.

import { createServer, type Server } from "node:http";
import { PROMETHEUS_CONTENT_TYPE } from "./prometheus.ts";

const LOOPBACK = "127.0.0.1";

/** Serves `text()` at /metrics; a port of 0 is any that is free. Resolves when it listens; rejects with a sentence. */
export function serveMetrics(text: () => string, port: number): Promise<Server> {
  const http = createServer((incoming, outgoing) => {
    if (incoming.method !== "GET" || incoming.url !== "/metrics") {
      outgoing.writeHead(404, { "content-type": "text/plain" }).end("There is: GET /metrics.\n");
      return;
    }
    try {
      const metrics = text();
      outgoing.writeHead(200, { "content-type": PROMETHEUS_CONTENT_TYPE }).end(metrics);
    } catch (error) {
      outgoing.writeHead(503, { "content-type": "text/plain" }).end(`${(error as Error).message}\n`);
    }
  });
  return new Promise((resolve, reject) => {
    http.once("error", (error: NodeJS.ErrnoException) =>
      reject(new Error(`Metrics cannot be served on port ${port} (${error.code}). Choose another with --metrics.`)),
    );
    http.listen(port, LOOPBACK, () => resolve(http));
  });
}
