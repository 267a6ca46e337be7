// A process that says how far it has come, as eight bytes of a file, and is killed at it: what it has left must reach that far.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";

/** Runs the text of a TypeScript program. */
export function startProgram(program: string): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], { stdio: "inherit" });
}

/** Kills the process a moment after it first said something. Resolves with the last number that it said. */
export async function killSoon(child: ChildProcess, said: string, afterMs: number): Promise<number> {
  const closed = once(child, "close");
  while (child.exitCode === null && !(statSync(said, { throwIfNoEntry: false })?.size === 8)) await sleep(5);
  await sleep(afterMs);
  assert.ok(child.kill("SIGKILL"), "it was still running");
  await closed;
  return Number(readFileSync(said).readBigUInt64LE());
}
