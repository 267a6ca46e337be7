// Calls that no signal may interrupt.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { uninterrupted } from "../src/node/system-calls.ts";

/** Bits of signals that this thread keeps waiting, from the lowest number on. */
function blockedSignals(): bigint {
  const [, text] = readFileSync("/proc/thread-self/status", "latin1").match(/^SigBlk:\s*(\S+)$/m) ?? [];
  return BigInt(`0x${text}`);
}

test("every signal that can wait does, and comes when the call is done", async () => {
  const before = blockedSignals();
  let signals = 0;
  const count = () => signals++;
  process.on("SIGCHLD", count);
  const during = uninterrupted(blockedSignals);
  assert.is(blockedSignals(), before);
  for (const signal of [1n, 2n, 15n, 17n, 28n]) assert.is((during >> (signal - 1n)) & 1n, 1n, String(signal));
  uninterrupted(() => process.kill(process.pid, "SIGCHLD"));
  while (signals === 0) await sleep(1);
  process.off("SIGCHLD", count);
  assert.is(signals, 1);
});

test("a call that throws leaves no signal waiting", () => {
  const before = blockedSignals();
  assert.throws(() => {
    uninterrupted(() => {
      throw new Error("it failed");
    });
  }, /it failed/);
  assert.is(blockedSignals(), before);
});

test.run();
