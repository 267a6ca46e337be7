// Judges mutants one by one, in a copy of the repository: builds a core with the mistake in it, and runs tests until one fails.
// A process of its own: its parent sends a Case, and is sent a Verdict.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Mutant } from "./mutants.ts";

export interface Case {
  /** Null for the core as it is. */
  mutant: Mutant | null;
  /** A test file that takes longer hangs. */
  limitsMs: Record<string, number>;
}

export interface Verdict {
  /** `invalid`: the compiler refuses it. */
  outcome: "killed" | "survived" | "invalid";
  /** The test file that failed, or what the compiler said. */
  by?: string;
  /** How long each test file took, in ms. */
  tookMs: Record<string, number>;
}

/**
 * Test files that could tell, the quickest and those that tell most first. Each asks the core itself; what asks a host with a core
 * in it tells nothing more.
 */
export const TEST_FILES = [
  "requests",
  "disk",
  "core-imports",
  "corpus",
  "luids",
  "mark-ahead",
  "log-owner",
  "slices",
  "model",
  "forgotten-logs",
  "log-devices",
  "console",
  "notices",
  "layout",
  "limits",
  "regions.fuzz",
  "datagrams.fuzz",
  "determinism",
  "effects-room",
  "state-damage",
  "core.fuzz",
  "sim",
];

const TARGETS = ["debug", "small", "release"];
/** Without a measurement yet. */
const LIMIT_MS = 120_000;

interface Compiler {
  ready: Promise<void>;
  createMemoryStream(): { toString(): string };
  main(words: string[], options: { stdout: unknown; stderr: unknown }, done: (error: Error | null) => number): void;
}

process.chdir(process.argv[2] as string);

process.on("message", async ({ mutant, limitsMs }: Case) => {
  process.send?.(await judge(mutant, limitsMs));
});

async function judge(mutant: Mutant | null, limitsMs: Record<string, number>): Promise<Verdict> {
  if (mutant === null) return (await build()) ?? runTests(limitsMs);
  const path = join("assembly", mutant.file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, source.slice(0, mutant.start) + mutant.text + source.slice(mutant.end));
  try {
    return (await build()) ?? (await runTests(limitsMs));
  } finally {
    writeFileSync(path, source);
  }
}

/** Returns a verdict where the compiler refuses it. */
async function build(): Promise<Verdict | undefined> {
  const compiler = createRequire(import.meta.url)("assemblyscript/cli/asc") as Compiler;
  await compiler.ready;
  for (const target of TARGETS) {
    const said = compiler.createMemoryStream();
    const error = await new Promise<Error | null>((resolve) => {
      compiler.main(["assembly/index.ts", "--target", target], { stdout: said, stderr: said }, (error) => {
        resolve(error);
        return 0;
      });
    });
    if (error !== null) return { outcome: "invalid", by: `${said}`.trim().split("\n")[0] ?? "", tookMs: {} };
  }
  return undefined;
}

async function runTests(limitsMs: Record<string, number>): Promise<Verdict> {
  const tookMs: Record<string, number> = {};
  for (const name of TEST_FILES) {
    const startMs = performance.now();
    const isPassed = await passes(`test/${name}.test.ts`, limitsMs[name] ?? LIMIT_MS);
    tookMs[name] = Math.round(performance.now() - startMs);
    if (!isPassed) return { outcome: "killed", by: name, tookMs };
  }
  return { outcome: "survived", tookMs };
}

async function passes(file: string, limitMs: number): Promise<boolean> {
  const child = spawn(process.execPath, ["--import", "tsx", file], {
    stdio: "ignore",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  return new Promise((resolve) => child.on("exit", (status) => resolve(status === 0)));
}
