// The benchmarks still run: a quick run of those that need no privilege, which judges nothing.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

test("a quick run of the benchmarks prints a figure for every request type", () => {
  const script = fileURLToPath(new URL("../bench/run.ts", import.meta.url));
  const words = ["--import", "tsx", script, "requests", "lives", "disk-logs", "trace", "recording", "--quick"];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  assert.is(status, 0, stderr);
  for (const name of [
    "CTR",
    "FLUSH, 32 marks",
    "GET_RESYNC_WORK",
    "IS_REMOTE_RECOVERING",
    "whole life",
    "hot set",
    "replay, events/s",
    "flight recorder and file",
  ]) {
    assert.match(stdout, name);
  }
});

test.run();
