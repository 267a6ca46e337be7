// dm-ulog's server as a process of its own, for round-trip.ts, recording.ts and view.ts. Arguments: core, netlink port of the client,
// and further options of the server as JSON.
// Sends its own port to its parent, and where its view is; a message from it says whether this thread, the control plane, is to be busy.

import { readFileSync } from "node:fs";
import type { ServerOptions } from "../src/node/server.ts";

const BUSY_MS = 20;
const PERIOD_MS = 25;

const [corePath, clientPort, more] = process.argv.slice(2) as [string, string, string];
const built = new URL("../dist/node/server.js", import.meta.url).href;
const { Server } = (await import(built)) as typeof import("../src/node/server.ts");

const server = await Server.start({
  ...(JSON.parse(more) as Partial<ServerOptions>),
  wasm: readFileSync(corePath),
  kernelPort: Number(clientPort),
  // Its messages about the mirror do not matter here; lost events, or a missing view, do.
  log: (sentence) => {
    if (/recording|view/i.test(sentence)) console.error(sentence);
  },
  failed: (error) => {
    throw error;
  },
});

let busy = false;
function work(): void {
  if (!busy) return;
  const end = performance.now() + BUSY_MS;
  while (performance.now() < end);
  setTimeout(work, PERIOD_MS - BUSY_MS);
}

process.on("message", (message: { busy: boolean }) => {
  busy = message.busy;
  work();
  process.send?.({ busy });
});
// Without a parent nobody needs the server.
process.on("disconnect", () => process.exit());
process.send?.({ port: server.port, viewUrl: server.viewUrl });
