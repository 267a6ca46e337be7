// The digest of a trace by the library's own replay, in whatever engine this runs: neither Node.js nor a page is needed.

import type { Engine } from "../../src/common/engine.ts";
import { replay } from "../../src/common/trace/replay.ts";
import { Trace } from "../../src/common/trace/trace.ts";

/** Digests by the trace's name. In place of one may stand a sentence that says why there is none. */
export type Digests = Record<string, string>;

export function digestOf(file: Uint8Array, module: WebAssembly.Module, { abi }: Engine): string {
  const { digest, difference } = replay(Trace.open(file, abi), module);
  return difference === null ? digest : `answers otherwise at place ${difference.index}`;
}
