// The library as a package of its own: installed into an empty project it is alone there, and it does the same in every runtime.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import type { Check } from "../checks.ts";
import { compile, STRICT } from "./compile.ts";
import type { Life } from "./consumer/result.ts";
import { CONSUMER, install, type Packed, pack, REPOSITORY, readmeExamples } from "./project.ts";
import { problemsOf } from "./types.ts";

const FOLDER = join(REPOSITORY, "dist/dm-ulog-engine");
const RUNTIMES = fileURLToPath(new URL("runtimes/", import.meta.url));
const MODULES = join(RUNTIMES, "node_modules");
/** Runtimes as the registry has them, beside the Node.js at hand. */
const PROGRAMS: readonly [name: string, path: string, ...words: string[]][] = [
  ["Node.js 22", "node-22/bin/node"],
  ["Node.js 24", "node-24/bin/node"],
  ["Deno", "@deno/linux-x64-glibc/deno", "run", "--no-remote", "--allow-read"],
  ["Bun", "@oven/bun-linux-x64/bin/bun", "--no-install"],
];

/** `isSame` takes what the program saw, wherever it ran. */
export async function enginePackage(check: Check, work: string, isSame: (life: Life) => void): Promise<void> {
  const packed = pack(work, FOLDER);
  const project = join(work, "engine-project");
  await check("publint and Are The Types Wrong have nothing to say of the library's package", async () => {
    assert.equal(await problemsOf(packed), []);
  });
  await check("npm installs the library with 0 packages beside it", () => {
    makeProject(project, packed);
    const modules = readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."));
    assert.equal(modules, ["dm-ulog-engine"]);
  });
  await check("TypeScript compiles the program and the examples with it", () =>
    compile(project, ["globals.d.ts", "node.ts", "readme-1.ts", "readme-2.ts"], {
      ...{ ...STRICT, module: "NodeNext", lib: ["ES2022", "DOM"], types: [], outDir: "out" },
    }),
  );
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: RUNTIMES, stdio: "inherit" });
  for (const [name, path, ...words] of [["this Node.js", process.execPath] as const, ...PROGRAMS]) {
    await check(`the program does the same in ${name}`, () => {
      const program = path === process.execPath ? path : join(MODULES, path);
      assert.ok(existsSync(program), program);
      const run = (file: string) =>
        execFileSync(program, [...words, join("out", file)], { cwd: project, encoding: "utf8", stdio: "pipe" });
      isSame(JSON.parse(run("node.js")) as Life);
      assert.match(run("readme-2.js"), /^true 0 regions differ after 5 kills$/m);
    });
  }
}

/** The consumer's program and the library's examples, with the name of this package. */
function makeProject(folder: string, packed: Packed): void {
  mkdirSync(folder);
  const renamed = (code: string) => code.replace(/"dm-ulog(?=["/])/g, '"dm-ulog-engine');
  for (const name of ["life.ts", "node.ts", "result.ts"]) {
    writeFileSync(join(folder, name), renamed(readFileSync(join(CONSUMER, name), "utf8")));
  }
  for (const [name, code] of readmeExamples().slice(1)) writeFileSync(join(folder, name), renamed(code));
  writeFileSync(join(folder, "globals.d.ts"), "declare const process: { stdout: { write(text: string): void } };\n");
  install(folder, { "dm-ulog-engine": `file:${packed.path}` });
}
