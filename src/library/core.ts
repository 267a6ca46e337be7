// The core, compiled: what traces and simulations make engines of.

/**
 * Compiles the bytes of a core, as `loadCore` returns them, for `dm-ulog/trace` and `dm-ulog/simulation`. Rejects where they
 * are no WebAssembly.
 */
export function compileCore(core: Uint8Array): Promise<WebAssembly.Module> {
  return WebAssembly.compile(core);
}
