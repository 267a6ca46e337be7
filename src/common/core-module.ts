// Compiled cores, from which traces and simulations make engines.

import { type Abi, readAbi } from "./abi.ts";

/** Of each compiled core; a simulation makes thousands of engines of one. */
const abis = new WeakMap<WebAssembly.Module, Abi>();

/**
 * Compiles the bytes of a core, as `loadCore` returns them, for `dm-ulog/trace` and `dm-ulog/simulation`. Rejects with a sentence if
 * they are not WebAssembly, not a dm-ulog core, or a core of another ABI version.
 */
export async function compileCore(core: Uint8Array): Promise<WebAssembly.Module> {
  const module = await WebAssembly.compile(core as Uint8Array<ArrayBuffer>).catch((cause: Error) => {
    throw new Error(`These ${core.length} bytes are no dm-ulog core: they are not WebAssembly.`, { cause });
  });
  abiOf(module);
  return module;
}

/** The tables of a compiled core. Throws a sentence if it is not one of this ABI version. */
export function abiOf(module: WebAssembly.Module): Abi {
  const known = abis.get(module);
  if (known !== undefined) return known;
  const abi = readAbi(instantiate(module));
  abis.set(module, abi);
  return abi;
}

function instantiate(module: WebAssembly.Module): Record<string, unknown> {
  try {
    return new WebAssembly.Instance(module, {}).exports;
  } catch (cause) {
    throw new Error("The module is not a dm-ulog core: it imports functions, and a core has no imports.", { cause });
  }
}
