// Runs every *.test.ts below this folder that needs no root and no system package, each in a process of its own, two
// at a time, and ends with the line that sums them up. Arguments choose files by a part of their name.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const chosen = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => chosen.length === 0 || chosen.some((part) => name.includes(part)))
  .sort();

let passed = 0;
let failed = 0;

async function run(file: string): Promise<void> {
  const child = spawn(process.execPath, ["--import", "tsx", join(folder, file)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (part: Buffer) => {
    output += part;
  });
  child.stderr.on("data", (part: Buffer) => {
    output += part;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  const total = sum(output, /^\s*Total:\s+(\d+)/gm);
  const good = sum(output, /^\s*Passed:\s+(\d+)/gm);
  // A file that ends before its tests did, or has none, is a failure too.
  const bad = Math.max(total - good, code !== 0 || total === 0 ? 1 : 0);
  passed += good;
  failed += bad;
  console.log(`── ${file}\n${output.trim()}\n`);
}

function sum(output: string, pattern: RegExp): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: uvu colours its summary.
  const plain = output.replace(/\x1b\[\d+m/g, "");
  return [...plain.matchAll(pattern)].reduce((all, match) => all + Number(match[1]), 0);
}

const queue = [...files];
await Promise.all(
  [1, 2].map(async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await run(file);
  }),
);
if (files.length === 0) failed++;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
