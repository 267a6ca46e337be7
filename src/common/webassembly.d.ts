// What this room uses of WebAssembly. The language's own library has no declaration of it outside the DOM's, and this
// room must compile without the DOM's: that it does is what keeps browser and Node.js out of it.

declare namespace WebAssembly {
  function compile(bytes: Uint8Array): Promise<Module>;
  class Module {
    constructor(bytes: Uint8Array);
    static imports(module: Module): { module: string; name: string }[];
  }
  class Instance {
    constructor(module: Module, imports?: object);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number });
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
}
