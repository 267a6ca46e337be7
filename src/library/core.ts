// Compiles a core, from which traces and simulations make engines.

/**
 * Compiles the bytes of a core, as `loadCore` returns them, for `dm-ulog/trace` and `dm-ulog/simulation`. Rejects if they
 * are not WebAssembly.
 */
export function compileCore(core: Uint8Array): Promise<WebAssembly.Module> {
  return WebAssembly.compile(core);
}
