// Runs test files, each in a process of its own, two at a time, and ends with the line that sums them up.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";

/** A file that takes longer hangs. The slowest takes 25 s where nothing else runs. */
const FILE_TIMEOUT_S = 300;

/** The *.test.ts in a folder, those of them that have one of the `chosen` in their name; all where none is chosen. */
export function testFiles(folder: string, chosen: readonly string[]): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".test.ts"))
    .filter((name) => chosen.length === 0 || chosen.some((part) => name.includes(part)))
    .sort()
    .map((name) => join(folder, name));
}

/** Returns the exit status: 0 where there was a file and all of its tests passed. */
export async function runFiles(files: readonly string[]): Promise<number> {
  const queue = [...files];
  let passed = 0;
  let failed = files.length === 0 ? 1 : 0;
  await Promise.all(
    [1, 2].map(async () => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const counts = await run(file);
        passed += counts.passed;
        failed += counts.failed;
      }
    }),
  );
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

async function run(file: string): Promise<{ passed: number; failed: number }> {
  const child = spawn(process.execPath, ["--import", "tsx", file], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: FILE_TIMEOUT_S * 1000,
    killSignal: "SIGKILL",
  });
  let output = "";
  child.stdout.on("data", (part: Buffer) => {
    output += part;
  });
  child.stderr.on("data", (part: Buffer) => {
    output += part;
  });
  const code = await new Promise((resolve) => {
    child.on("close", resolve);
    // What the file started and left behind may hold its pipes open.
    child.on("exit", (code) => setTimeout(resolve, 2000, code).unref());
  });
  child.stdout.destroy();
  child.stderr.destroy();
  if (child.killed) output += `\nIt did not end within ${FILE_TIMEOUT_S} s.`;
  const total = sum(output, /^\s*Total:\s+(\d+)/gm);
  const passed = sum(output, /^\s*Passed:\s+(\d+)/gm);
  console.log(`── ${relative(import.meta.dirname, file)}\n${output.trim()}\n`);
  // A file that ends before its tests did, or has none, is a failure too.
  return { passed, failed: Math.max(total - passed, code !== 0 || total === 0 ? 1 : 0) };
}

function sum(output: string, pattern: RegExp): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: uvu colours its summary.
  const plain = output.replace(/\x1b\[\d+m/g, "");
  return [...plain.matchAll(pattern)].reduce((all, match) => all + Number(match[1]), 0);
}
