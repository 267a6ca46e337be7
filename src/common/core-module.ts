// Compiles a core, from which traces and simulations make engines.

import { readAbi } from "./abi.ts";

/**
 * Compiles the bytes of a core, as `loadCore` returns them, for `dm-ulog/trace` and `dm-ulog/simulation`. Rejects with a sentence if
 * they are not WebAssembly, not a dm-ulog core, or a core of another ABI version.
 */
export async function compileCore(core: Uint8Array): Promise<WebAssembly.Module> {
  const module = await WebAssembly.compile(core as Uint8Array<ArrayBuffer>).catch((cause: Error) => {
    throw new Error(`These ${core.length} bytes are no dm-ulog core: they are not WebAssembly.`, { cause });
  });
  readAbi(instantiate(module));
  return module;
}

function instantiate(module: WebAssembly.Module): Record<string, unknown> {
  try {
    return new WebAssembly.Instance(module, {}).exports;
  } catch (cause) {
    throw new Error("The module is not a dm-ulog core: it imports functions, and a core has no imports.", { cause });
  }
}
