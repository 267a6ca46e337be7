// The package's main entry in Node.js.

import { readFile } from "node:fs/promises";

export * from "./library.ts";

/** The bytes of the package's own core, for `DirtyLogEngine.create`. Rejects if it is not there. */
export async function loadCore(): Promise<Uint8Array> {
  return readFile(new URL("../dm-ulog.wasm", import.meta.url));
}
