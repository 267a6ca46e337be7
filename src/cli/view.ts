// dm-ulog view: the page in a browser of this machine, on the simulation or on a trace.

import { closeSync, createReadStream, openSync, readSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { basename } from "node:path";
import { Trace } from "../common/trace/trace.ts";
import { LOOPBACK } from "../node/web/defaults.ts";
import { type Route, sayStatus, servePage } from "../node/web/page-server.ts";
import { pagePath } from "./installation.ts";
import { loadCore } from "./trace-files.ts";

export interface ViewOptions {
  port: number;
}

/** Where the page has the trace, beside its own files. */
const TRACE_FOLDER = "trace";
/** Large traces are read in few steps. */
const READ_BYTES = 1 << 20;
/** More than the header of any section takes. */
const HEADER_BYTES = 65_536;

/** Serves the page, showing a trace where one is named, until SIGINT or SIGTERM. Prints the address. */
export async function view(file: string | undefined, { port }: ViewOptions): Promise<void> {
  const { url, close } = await serveView(file, port);
  console.log(`The page is at ${url}`);
  console.log("It is served to this machine alone, until Ctrl-C.");
  const stop = (): void => {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    close();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}

/** Serves the page on loopback. Rejects with a sentence where the file is no trace, or the port is taken. */
export async function serveView(file: string | undefined, port: number): Promise<{ url: string; close: () => void }> {
  const routes: Map<string, Route> = new Map();
  let hash = "";
  if (file !== undefined) {
    await checkTrace(file);
    const path = `${TRACE_FOLDER}/${encodeURIComponent(basename(file))}`;
    routes.set(`/${path}`, (request, response) => sendTrace(file, request.method === "HEAD", response));
    hash = `#${new URLSearchParams({ trace: path })}`;
  }
  const { http, url } = await servePage(pagePath(), { port, address: LOOPBACK, routes });
  const close = (): void => {
    http.close();
    http.closeAllConnections();
  };
  return { url: `${url}${hash}`, close };
}

/** What is no trace is told here, where a person is, and not in the browser. */
async function checkTrace(file: string): Promise<void> {
  const { abi } = await loadCore();
  try {
    const fd = openSync(file, "r");
    const beginning = new Uint8Array(HEADER_BYTES);
    const size = readSync(fd, beginning);
    closeSync(fd);
    Trace.begin(beginning.subarray(0, size), abi);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
}

function sendTrace(file: string, isHead: boolean, response: ServerResponse): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) {
    sayStatus(response, 404, "The trace is not there any more.");
    return;
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": found.size });
  if (isHead) {
    response.end();
    return;
  }
  // A file that shrinks meanwhile breaks the answer off.
  const stream = createReadStream(file, { highWaterMark: READ_BYTES, end: Math.max(0, found.size - 1) });
  stream.on("error", () => response.destroy());
  response.on("close", () => stream.destroy());
  stream.pipe(response);
}
