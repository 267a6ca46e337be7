// Serves the page over HTTP: its files, held in memory, and the caller's own routes. A path is looked up in a table and never
// in a file system.

import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { addressInUrl, refusalOf } from "./web-rules.ts";

/** Answers a request that passed the rules; for HEAD the body is left out. */
export type Route = (request: IncomingMessage, response: ServerResponse) => void;

/** By path, which begins with a slash. */
export type Routes = ReadonlyMap<string, Route>;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".wasm": "application/wasm",
  ".txt": "text/plain; charset=utf-8",
};
const INDEX = "index.html";
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cache-control": "no-cache",
};

/** Further connections are closed at once. */
const CONNECTIONS_MAX = 96;
const HEADER_BYTES_MAX = 8192;
/** A connection that sends no request in this time is closed. */
const ASKING_TIMEOUT_MS = 10_000;
const CHECK_INTERVAL_MS = 2000;
const KEEP_ALIVE_MS = 5000;

/** A file of the page. */
interface PageFile {
  type: string;
  bytes: Buffer;
}

/**
 * Serves the built page in `folder`, and `routes`. `indexWords` are put into the first tag of index.html. Port 0 is any free
 * port. Rejects with a sentence if the page is not built or the address is not available.
 */
export async function servePage(
  folder: string,
  { port, address, routes, indexWords = "" }: { port: number; address: string; routes: Routes; indexWords?: string },
): Promise<{ http: Server; url: string }> {
  const files = readPage(folder, indexWords);
  const http = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: ASKING_TIMEOUT_MS,
      requestTimeout: ASKING_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => answer(request, response, files, routes),
  );
  http.maxConnections = CONNECTIONS_MAX;
  // Ignore connections that break off or do not speak HTTP.
  http.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    http.once("error", (error: NodeJS.ErrnoException) => reject(new Error(listenWords(error, port, address))));
    http.listen(port, address, resolve);
  });
  const own = http.address() as AddressInfo;
  return { http, url: `http://${addressInUrl(own.address)}:${own.port}/` };
}

/** Answers with a sentence. */
export function sayStatus(response: ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${sentence}\n`);
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, PageFile>,
  routes: Routes,
): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  const path = (request.url ?? "").split("?", 1)[0] as string;
  const refusal = refusalOf(request, path === "/" || path === `/${INDEX}`);
  if (refusal !== undefined) {
    if (refusal.status === 405) response.setHeader("allow", "GET, HEAD");
    // Further requests on this connection would be refused too.
    response.setHeader("connection", "close");
    sayStatus(response, refusal.status, refusal.sentence);
    return;
  }
  const route = routes.get(path);
  const file = files.get(path);
  if (route !== undefined) route(request, response);
  else if (file === undefined) sayStatus(response, 404, "There is nothing here.");
  else {
    response.writeHead(200, { "content-type": file.type, "content-length": file.bytes.length });
    response.end(request.method === "HEAD" ? undefined : file.bytes);
  }
}

/** The page's files by their paths. */
function readPage(folder: string, indexWords: string): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  try {
    for (const name of readdirSync(folder)) {
      const type = TYPES[extname(name)];
      if (type !== undefined) files.set(`/${name}`, { type, bytes: readFileSync(join(folder, name)) });
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const index = files.get(`/${INDEX}`);
  if (index === undefined) throw new Error(`The page is not built: there is no ${INDEX} in ${folder}.`);
  if (indexWords !== "") index.bytes = Buffer.from(index.bytes.toString().replace("<html", `<html ${indexWords}`));
  files.set("/", index);
  return files;
}

function listenWords({ code, message }: NodeJS.ErrnoException, port: number, address: string): string {
  if (code === "EADDRINUSE") return `Port ${port} of ${address} is taken. Name another one.`;
  if (code === "EADDRNOTAVAIL") return `${address} is not an address of this machine.`;
  if (code === "EACCES") return `Only root may use port ${port}. Name one from 1024 on.`;
  return `The page cannot be served at ${address}, port ${port}: ${message}.`;
}
