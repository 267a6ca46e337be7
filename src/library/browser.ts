/**
 * The package's main entry: `node.ts` in Node.js, this one everywhere else.
 * @module dm-ulog
 */

export * from "./library.ts";

/**
 * The bytes of the package's own core, for `DirtyLogEngine.create`. It is fetched from beside this module: bundlers that
 * know `new URL(…, import.meta.url)` include it. Rejects if it is not there.
 */
export async function loadCore(): Promise<Uint8Array> {
  const url = new URL("../dm-ulog.wasm", import.meta.url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The core cannot be fetched from ${url}: status ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}
