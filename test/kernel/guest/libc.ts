import { createRequire } from "node:module";

/** The C library, by the package's own way to call it. `mainPath` is that of the package's command. */
export function loadLibc(mainPath: string) {
  const koffi: typeof import("koffi").default = createRequire(mainPath)("koffi");
  return koffi.load(null);
}
