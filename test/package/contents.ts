// What may be in the package, file by file: each is named here, or made of a source that is there.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { REPOSITORY } from "./project.ts";

const { man } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { man: string[] };
const NAMED = new Set([
  "LICENSE",
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
  "src/native/server.c",
  "src/visualizer/page.png",
  "test/embedding/c/Makefile",
  "systemd/dm-ulog-mirror@.service",
  "systemd/dm-ulog-monitor.service",
  "systemd/dm-ulog-node.service",
  "systemd/dm-ulog.service",
  ...man.map((page) => page.replace("./", "")),
  // What a person reads of the package is in it.
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "README.md",
  "SECURITY.md",
  "assembly/README.md",
  "bench/README.md",
  "docs/conformance.md",
  "docs/control.md",
  "docs/glossary.md",
  "docs/guarantees.md",
  "docs/migration.md",
  "docs/operating.md",
  "docs/protocol-rules.md",
  "docs/status-json.md",
  "docs/trace-json.md",
  "src/README.md",
  "src/common/conformance/README.md",
  "src/common/model/README.md",
  "src/common/sim/README.md",
  "src/common/trace/README.md",
  "src/library/README.md",
  "src/native/README.md",
  "src/packaging/README.md",
  "src/visualizer/README.md",
  "test/README.md",
  "test/embedding/c/README.md",
  "test/kernel/README.md",
  "test/traces/README.md",
]);
/** What the entries for browsers share. */
const CHUNK = /^dist\/browser\/chunk-[A-Z0-9]{8}\.js$/;
/** Sources of the native host, which is built where it is to run, and of the host that shows how one is written. */
const NATIVE = /^(src\/native|test\/embedding\/c)\/[a-z-]+\.[ch]$/;
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

/** Links of the package's documents that lead to no file of it, or to a heading that is not there. */
export function brokenLinks(files: readonly string[]): string[] {
  const read = (file: string) => readFileSync(join(REPOSITORY, file), "utf8");
  const broken: string[] = [];
  for (const file of files.filter((name) => name.endsWith(".md"))) {
    for (const [, link] of read(file).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path, heading] = (link as string).split("#") as [string, string?];
      const target = path === "" ? file : normalize(join(dirname(file), path));
      const isThere = files.includes(target) || files.some((name) => name.startsWith(`${target}/`));
      const hasHeading = heading === undefined || (isThere && headings(read(target)).includes(heading));
      if (!isThere || !hasHeading) broken.push(`${file}: ${link}`);
    }
  }
  return broken;
}

/** As registries and forges name them. */
function headings(markdown: string): string[] {
  const titles = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title]) => (title as string).toLowerCase());
  return titles.map((title) => title.replace(/[^\w\- ]/g, "").replaceAll(" ", "-"));
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
