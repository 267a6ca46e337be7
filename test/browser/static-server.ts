// The simplest web server: files of a folder below some path, and bytes kept in memory, on loopback.

import { createReadStream, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { text } from "node:stream/consumers";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".wasm": "application/wasm",
};
const READ_BYTES = 1 << 20;

export class StaticServer {
  /** Where the folder's index.html is found. */
  readonly url: string;

  private constructor(
    private readonly server: Server,
    base: string,
  ) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`;
  }

  /**
   * Serves `folder` below `base`, which begins and ends with a slash, and `files` beside its index.html. What a page posts
   * to any address is given to `posted`.
   */
  static async start(
    folder: string,
    base: string,
    files: ReadonlyMap<string, string>,
    posted: (text: string) => void = () => {},
  ): Promise<StaticServer> {
    const server = createServer((request, response) => {
      if (request.method === "POST") {
        response.writeHead(204).end();
        void text(request).then(posted);
        return;
      }
      const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
      const name = path.startsWith(base) ? normalize(path.slice(base.length) || "index.html") : "..";
      const file = files.get(name) ?? join(folder, name);
      const found = name.startsWith("..") ? undefined : statSync(file, { throwIfNoEntry: false });
      if (found === undefined || !found.isFile()) {
        response.writeHead(404).end();
        return;
      }
      const type = TYPES[extname(name)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "content-length": found.size });
      createReadStream(file, { highWaterMark: READ_BYTES }).pipe(response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new StaticServer(server, base);
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
