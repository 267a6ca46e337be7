// dm-ulog view: serves the page to this machine's browser, with the simulation or a trace.

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

/** The path of the trace, beside the page's own files. */
const TRACE_FOLDER = "trace";
/** Large, so that a large trace is read in few steps. */
const READ_BYTES = 1 << 20;
/** More than the header of any section needs. */
const HEADER_BYTES = 65_536;

/** Serves the page until SIGINT or SIGTERM, and prints its address. The page shows the trace if a file is named. */
export async function view(file: string | undefined, { port }: ViewOptions): Promise<void> {
  const { url, close } = await serveView(file, port);
  console.log(`The page is at ${url}`);
  console.log("Only this machine can open it. Press Ctrl-C to stop.");
  const stop = (): void => {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    close();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}

/** Serves the page on loopback. Rejects with a sentence if the file is not a trace, or if the port is taken. */
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

/** Refuses a file that is not a trace here on the terminal, before a browser opens it. */
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
    sayStatus(response, 404, "The trace file no longer exists.");
    return;
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": found.size });
  if (isHead) {
    response.end();
    return;
  }
  // If the file shrinks meanwhile, the answer is cut off.
  const stream = createReadStream(file, { highWaterMark: READ_BYTES, end: Math.max(0, found.size - 1) });
  stream.on("error", () => response.destroy());
  response.on("close", () => stream.destroy());
  stream.pipe(response);
}
