// What each test does with the core as it is: how long it takes, and what it runs. Kept in measured.json, so that only those test
// files are measured anew that have changed, or whatever stands behind them.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileOf, TEST_FILES } from "./ids.ts";
import type { Report } from "./runner.ts";

const KEPT = fileURLToPath(new URL("measured.json", import.meta.url));
/** What all test files stand on. */
const FOLDERS = ["assembly", "src", "test"];

/** Of each test of a file, and of loading it. */
interface Measured {
  /** Of the test file, and all that it stands on. */
  hash: string;
  right: Report[];
  marked: Report[];
}

export interface Measurements {
  right: Report[];
  marked: Report[];
}

/** `measure` is asked for the files whose measurements are missing or old. */
export async function measurements(
  root: string,
  measure: (files: string[]) => Promise<Measurements>,
): Promise<Measurements> {
  const kept = existsSync(KEPT) ? (JSON.parse(readFileSync(KEPT, "utf8")) as Record<string, Measured>) : {};
  const hashes = hashesOf(root);
  const missing = TEST_FILES.filter((file) => kept[file]?.hash !== hashes.get(file));
  if (missing.length > 0) {
    const { right, marked } = await measure(missing);
    for (const file of missing) {
      const own = (reports: Report[]) => reports.filter(({ id }) => fileOf(id) === file);
      kept[file] = { hash: hashes.get(file) as string, right: own(right), marked: own(marked) };
    }
    writeFileSync(KEPT, JSON.stringify(kept));
  }
  const all = TEST_FILES.map((file) => kept[file] as Measured);
  return { right: all.flatMap(({ right }) => right), marked: all.flatMap(({ marked }) => marked) };
}

function hashesOf(root: string): Map<string, string> {
  const common = createHash("sha256");
  for (const folder of FOLDERS) {
    const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).sort();
    for (const file of files.filter(
      (name) => /\.(ts|pcapng)$/.test(name) && !/\.test\.ts$|^mutate\/(run|judge|measured|schedule)\.ts$/.test(name),
    ))
      common.update(`${file}\n`).update(readFileSync(join(root, folder, file)));
  }
  const hash = (file: string) => common.copy().update(readFileSync(join(root, "test", `${file}.test.ts`)));
  return new Map(TEST_FILES.map((file) => [file, hash(file).digest("hex").slice(0, 16)]));
}
