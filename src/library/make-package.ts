// Makes dist/dm-ulog-engine/: the library as a package of its own, which depends on nothing. It has the entries that run everywhere,
// and of what is compiled just the files that they lead to. Run by build:package, when all else is built.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const NAME = "dm-ulog-engine";
const ENTRIES = [".", "./trace", "./simulation", "./core.wasm", "./package.json"];
const BESIDE = [
  "LICENSE",
  "dist/dm-ulog.wasm",
  "dist/dm-ulog.h",
  "dist/as-bind.js",
  "dist/as-bind.LICENSE.txt",
  "dist/browser",
];

interface Manifest extends Record<string, unknown> {
  exports: Record<string, string | Record<string, string>>;
}

const repository = fileURLToPath(new URL("../../", import.meta.url));
const target = join(repository, "dist", NAME);
const whole = JSON.parse(read("package.json")) as Manifest;
const entries = Object.fromEntries(ENTRIES.map((entry) => [entry, whole.exports[entry] as Record<string, string>]));

rmSync(target, { recursive: true, force: true });
for (const path of [...BESIDE, ...filesOf(Object.values(entries))]) {
  mkdirSync(dirname(join(target, path)), { recursive: true });
  cpSync(join(repository, path), join(target, path), { recursive: true });
}
// Its own name stands where the library's documents and declarations import the whole package.
const renamed = (text: string) =>
  text.replace(/"dm-ulog(?=["/])/g, `"${NAME}`).replace(/`dm-ulog(?=[`/])/g, `\`${NAME}`);
writeFileSync(join(target, "README.md"), renamed(libraryReadme()));
const { version, keywords, license, type, engines, imports } = whole;
const description = "Dirty-log engine for device-mapper mirrors, as a library: brings no server and depends on nothing";
const manifest = {
  name: NAME,
  version,
  description,
  keywords,
  license,
  type,
  engines,
  exports: entries,
  imports,
  sideEffects: false,
};
writeFileSync(join(target, "package.json"), `${JSON.stringify({ ...manifest, files: ["dist"] }, null, 2)}\n`);
console.log(`${NAME}: ${readdirSync(target, { recursive: true }).length} files and folders`);

/** Without what it says of the repository, and of the entry that the library alone does not have. */
function libraryReadme(): string {
  return read("src/library/README.md")
    .replace(/^## Two packages\n.*/ms, "")
    .replace(/^\| `dm-ulog\/server`.*\n/m, "");
}

function read(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}

/** The compiled files that the entries lead to, with the declarations; paths from the repository. */
function filesOf(exported: readonly (string | Record<string, string>)[]): Set<string> {
  const found = new Set<string>();
  const named = exported.flatMap((conditions) => (typeof conditions === "string" ? [] : Object.values(conditions)));
  const left = named.map(normalize).filter((path) => path.startsWith("dist/library/"));
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    for (const [, specifier] of read(path).matchAll(/(?:from|import)\s*\(?"(\.[^"]+)"/g)) {
      const file = normalize(join(dirname(path), specifier as string)).replace(/\.ts$/, ".js");
      left.push(path.endsWith(".d.ts") ? file.replace(/\.js$/, ".d.ts") : file);
    }
  }
  return found;
}
