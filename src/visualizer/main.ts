// Starts the page: fetches the core from beside it, and opens what the address says.

import { Console } from "../common/console.ts";
import { App } from "./app.ts";
import { sha256Of } from "./core.ts";
import { byId } from "./views/dom.ts";

declare global {
  interface Window {
    /** For a look from the browser's console, and for tests. */
    dmUlog?: App;
  }
}

async function start(): Promise<void> {
  const answer = await fetch("dm-ulog.wasm");
  if (!answer.ok) throw new Error(`The core cannot be loaded: ${answer.status} ${answer.statusText}.`);
  const wasm = new Uint8Array(await answer.arrayBuffer());
  const module = await WebAssembly.compile(wasm);
  const app = new App({ module, console: await Console.create(wasm), sha256: await sha256Of(wasm) });
  window.dmUlog = app;
  app.open();
}

start().catch((error: unknown) => {
  const words = error instanceof Error ? error.message : String(error);
  const hint = window.location.protocol === "file:" ? " A browser loads it from a web server, not from a file." : "";
  byId("status").textContent = `${words}${hint}`;
});
