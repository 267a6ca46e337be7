// What may be in the package, file by file: each is named here, or made of a source that is there.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./project.ts";

const { man } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { man: string[] };
const NAMED = new Set([
  "LICENSE",
  "README.md",
  "package.json",
  "dist/as-bind.LICENSE.txt",
  "dist/as-bind.js",
  "dist/dm-ulog.h",
  "dist/dm-ulog.wasm",
  "dist/browser/LICENSE.txt",
  "dist/browser/dm-ulog.js",
  "dist/browser/simulation.js",
  "dist/browser/trace.js",
  "dist/visualizer/LICENSE.txt",
  "dist/visualizer/dm-ulog.wasm",
  "dist/visualizer/index.html",
  "dist/visualizer/page.css",
  "dist/visualizer/page.js",
  "src/wireshark/dm-ulog.lua",
  "src/native/Makefile",
  "src/native/README.md",
  "src/native/server.c",
  "systemd/dm-ulog-node.service",
  "systemd/dm-ulog.service",
  ...man.map((page) => page.replace("./", "")),
]);
/** What the entries for browsers share. */
const CHUNK = /^dist\/browser\/chunk-[A-Z0-9]{8}\.js$/;
/** Sources of the native host, which is built where it is to run. */
const NATIVE = /^src\/native\/[a-z-]+\.[ch]$/;
/** Folders that the compiler writes, and whether the declarations are part of the package. */
const COMPILED = /^dist\/(cli|common|library|node)\/(.*?)(\.d\.ts|\.js)$/;

/** Files that do not belong. One that is left from a source that is gone goes with `rm -rf dist`. */
export function strangers(files: readonly string[]): string[] {
  return files.filter((file) => !NAMED.has(file) && !CHUNK.test(file) && !isNative(file) && !isCompiled(file));
}

/** Files that are missing. */
export function missing(files: readonly string[]): string[] {
  return [...NAMED, "dist/cli/main.js", "dist/node/requests/request-thread.js", "dist/library/node.d.ts"].filter(
    (file) => !files.includes(file),
  );
}

function isNative(file: string): boolean {
  return NATIVE.test(file) && existsSync(join(REPOSITORY, file));
}

function isCompiled(file: string): boolean {
  const [, folder, name, ending] = COMPILED.exec(file) ?? [];
  if (folder === undefined) return false;
  if (folder === "cli" && ending === ".d.ts") return false;
  return existsSync(join(REPOSITORY, "src", folder, `${name}.ts`));
}
