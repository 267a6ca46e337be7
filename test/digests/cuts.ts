// Traces that were cut, as a power cut leaves them: native code reads of each what the library reads.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { Engine } from "../../src/common/engine.ts";
import { TraceError } from "../../src/common/trace/format.ts";
import { type ReplaySummary, replay } from "../../src/common/trace/replay.ts";
import { Trace } from "../../src/common/trace/trace.ts";
import { releaseWasm } from "../harness.ts";
import { isDigest } from "./compare.ts";
import { replayNative } from "./engines.ts";

const module = new WebAssembly.Module(releaseWasm);
const { abi } = new Engine(module);

/** Cuts a trace at `count` places and gives the parts to the native replay. Throws at the first that it reads otherwise. */
export function checkCuts(file: Uint8Array, count: number, program: string, workFolder: string): void {
  const folder = mkdtempSync(join(workFolder, "cut-"));
  const parts = new Map<string, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const length = Math.floor((file.length * i) / count);
    const part = file.slice(0, length);
    parts.set(String(length), part);
    writeFileSync(join(folder, String(length)), part);
  }
  const native = replayNative({ folder, names: [...parts.keys()] }, program);
  for (const [name, part] of parts) {
    const { inputs, digest } = native.get(name) ?? { inputs: -1, digest: "nothing" };
    const what = `cut at byte ${name}: native code says ${digest} after ${inputs} inputs`;
    const summary = replayed(part);
    if (summary === null || (summary.events === 0 && summary.cutEvent === null)) {
      assert.not.ok(isDigest(digest) || inputs !== 0, what);
      continue;
    }
    // The library leaves out an event whose outputs are cut off; native code reads no outputs and has the core's answer.
    assert.is(inputs, summary.events + (summary.cutEvent === null ? 0 : 1), what);
    if (summary.cutEvent === null) assert.is(digest, summary.digest, what);
    else assert.ok(isDigest(digest), what);
  }
  rmSync(folder, { recursive: true });
}

/** Null where nothing is left that can be replayed. */
function replayed(file: Uint8Array): ReplaySummary | null {
  try {
    const summary = replay(Trace.open(file, abi), module);
    assert.is(summary.difference, null);
    return summary;
  } catch (error) {
    if (error instanceof TraceError) return null;
    throw error;
  }
}
