// Status over HTTP on a unix socket, so that any tool can ask: curl --unix-socket /run/dm-ulog/control.sock http://x/status

import { rmSync } from "node:fs";
import { createServer, type Server as HttpServer, request } from "node:http";
import type { Counters, LogDescription } from "../common/console.ts";
import type { Server } from "./server.ts";

export interface Status {
  version: string;
  pid: number;
  uptimeSeconds: number;
  logs: LogDescription[];
  counters: Counters;
}

/** Serves GET /status at `path`, which the runtime directory's lock has made ours. Resolves when it listens. */
export function serveStatus(server: Server, path: string, version: string): Promise<HttpServer> {
  rmSync(path, { force: true });
  const http = createServer((incoming, outgoing) => {
    if (incoming.method !== "GET" || incoming.url !== "/status") {
      outgoing.writeHead(404, { "content-type": "text/plain" }).end("There is GET /status here.\n");
      return;
    }
    try {
      const status: Status = {
        version,
        pid: process.pid,
        uptimeSeconds: Math.round(process.uptime()),
        logs: server.console.logs(server),
        counters: server.console.counters(server),
      };
      outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(status));
    } catch (error) {
      outgoing.writeHead(503, { "content-type": "text/plain" }).end(`${(error as Error).message}\n`);
    }
  });
  return new Promise((resolve, reject) => {
    http.once("error", reject);
    http.listen(path, () => resolve(http));
  });
}

/** Asks the server at `path`. Rejects with a sentence where none answers. */
export function fetchStatus(path: string): Promise<Status> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: path, path: "/status" }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        body += part;
      });
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(body) as Status);
        else reject(new Error(`The server cannot tell its status: ${body.trim()}`));
      });
    });
    asking.on("error", (error: NodeJS.ErrnoException) => reject(new Error(unreachable(path, error.code))));
    asking.end();
  });
}

function unreachable(path: string, code: string | undefined): string {
  if (code === "EACCES") return `Only root may ask the server at ${path}. Type: sudo npx dm-ulog status`;
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return `No server answers at ${path}. Start one with: sudo npx dm-ulog serve`;
  }
  return `The server at ${path} cannot be asked: ${code ?? "unknown error"}.`;
}
