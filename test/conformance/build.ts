// Builds the host in Node.js as one file, which starts faster than TypeScript does, and runs the kit as it is built: its thread
// has no TypeScript loader.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import type { Case } from "../../src/common/conformance/cases.ts";
import type { Verdict } from "../../src/common/conformance/kit.ts";

const DIST = new URL("../../dist/", import.meta.url);
const corePath = fileURLToPath(new URL("dm-ulog.wasm", DIST));
const TIME_LIMIT_MS = 10_000;

const built = <Module>(path: string): Promise<Module> => import(new URL(path, DIST).href) as Promise<Module>;
const { CASES } = await built<typeof import("../../src/common/conformance/cases.ts")>("common/conformance/cases.js");
const { runCase } = await built<typeof import("../../src/common/conformance/kit.ts")>("common/conformance/kit.js");
const { ChildHost } = await built<typeof import("../../src/node/conformance/child-program.ts")>(
  "node/conformance/child-program.js",
);
const { loadCore } = await built<typeof import("../../src/cli/trace-files.ts")>("cli/trace-files.js");
const core = await loadCore();

export { CASES };

/** The command of the host in Node.js. `folder` is where it is built. */
export function buildHost(folder: string): string[] {
  const outfile = join(folder, "host.mjs");
  buildSync({
    entryPoints: [fileURLToPath(new URL("host.ts", import.meta.url))],
    ...{ outfile, bundle: true, platform: "node", format: "esm", logLevel: "warning" },
    alias: { "#as-bind": fileURLToPath(new URL("as-bind.js", DIST)) },
  });
  return [process.execPath, outfile, "--core", corePath];
}

export function caseOf(name: string): Case {
  const found = CASES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`There is no case ${name}.`);
  return found;
}

/** Runs a case against a program. */
export function run(
  one: Case,
  [command = "", ...words]: readonly string[],
  seed = 1,
  limitMs = TIME_LIMIT_MS,
): Verdict {
  const directory = mkdtempSync(join(tmpdir(), "dm-ulog-conformance-"));
  try {
    return runCase(one, core, new ChildHost(command, words, directory, limitMs), seed);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a host did wrong, as one sentence; empty for nothing. */
export function sentenceOf({ name, seed, mistake }: Verdict): string {
  return mistake === null ? "" : `${name}, seed ${seed}: expected ${mistake.expected}; came ${mistake.came}`;
}
