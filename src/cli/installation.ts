// Paths of the files in the installed package that the commands need.

import { existsSync, readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Onlooker } from "../node/control/status.ts";

/** The core, as built beside the compiled host. */
export function wasmPath(): string {
  return fileURLToPath(new URL("../dm-ulog.wasm", import.meta.url));
}

/** The core with tiny limits, for tests. Throws where it was not built: the package does not hold it. */
export function smallWasmPath(): string {
  const path = fileURLToPath(new URL("../dm-ulog.small.wasm", import.meta.url));
  if (existsSync(path)) return path;
  throw new Error(
    "The small core is not part of the package. Clone the repository, and run npm run sim -- --core small.",
  );
}

/** Looks at the server with this runtime directory. */
export function onlookerOf(runtimeDirectory: string): Onlooker {
  return new Onlooker(runtimeDirectory, () => readFileSync(wasmPath()));
}

/** A unit of the package. */
export function unitPath(name: string): string {
  return fileURLToPath(new URL(`../../systemd/${name}`, import.meta.url));
}

/** The native host, or undefined where it was not built. */
export function nativePath(): string | undefined {
  const path = fileURLToPath(new URL("../native/dm-ulogd", import.meta.url));
  // A package for a distribution has it among the system's programs, and a link here.
  return existsSync(path) ? realpathSync(path) : undefined;
}

/** The Lua dissector for Wireshark. */
export function dissectorPath(): string {
  return fileURLToPath(new URL("../../src/wireshark/dm-ulog.lua", import.meta.url));
}

/** The folder of the page. */
export function pagePath(): string {
  return fileURLToPath(new URL("../visualizer/", import.meta.url));
}

export function packageVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
