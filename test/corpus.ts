// The corpus: recorded conversations that a core must answer as it did. What is recorded anew is only what the core said;
// what it was told stays.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { packageVersion } from "../src/cli/installation.ts";
import type { Abi } from "../src/common/abi.ts";
import type { Console } from "../src/common/console.ts";
import { addressOf } from "../src/common/trace/address.ts";
import { effectBytes } from "../src/common/trace/difference.ts";
import { readEvent, type TraceEffect } from "../src/common/trace/event.ts";
import { InputFeeder, TRAPPED } from "../src/common/trace/input-feeder.ts";
import { Recording } from "../src/common/trace/recording.ts";
import { runsOf, startRun } from "../src/common/trace/run.ts";
import { Trace } from "../src/common/trace/trace.ts";
import { EventWords } from "../src/common/trace/words.ts";

export const CORPUS_FOLDER = fileURLToPath(new URL("traces/", import.meta.url));

/** Differing events of a trace that are told one by one. */
const EVENTS_TOLD_MAX = 5;

/** Names of the traces in the corpus, in order. */
export function corpusNames(): string[] {
  return readdirSync(CORPUS_FOLDER)
    .filter((name) => name.endsWith(".pcapng"))
    .sort();
}

export function readCorpusTrace(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${CORPUS_FOLDER}${name}`));
}

/** Gives a core the inputs of a trace and records it. Throws a TraceError where the trace does not tell how it begins. */
export function recordAnew(trace: Trace, wasm: Uint8Array): Uint8Array {
  const module = new WebAssembly.Module(wasm);
  const facts = {
    application: `dm-ulog ${packageVersion()}`,
    coreSha256: createHash("sha256").update(wasm).digest("hex"),
  };
  const feeder = new InputFeeder(trace);
  const sections = runsOf(trace).map((run) => {
    const engine = startRun(trace, run, module);
    const { life, clockUnixNs } = run.section;
    const recording = new Recording(engine, { ...facts, life, clockUnixNs });
    for (let index = run.firstIndex; index < run.endIndex; index++) {
      // An engine that trapped is not to be used any more.
      if (feeder.feed(engine, index) === TRAPPED) break;
    }
    return recording.finish().slice();
  });
  return new Uint8Array(Buffer.concat(sections));
}

/** What a core says otherwise than a trace, in lines for a reviewer; none where it says the same. */
export function changesInWords(before: Uint8Array, after: Uint8Array, abi: Abi, console: Console): string[] {
  const words = new EventWords(abi, console);
  const [was, is] = [Trace.open(before, abi), Trace.open(after, abi)];
  const lines: string[] = [];
  const kinds = new Map<string, number>();
  let changed = 0;
  for (let index = 0; index < Math.min(was.eventCount, is.eventCount); index++) {
    const { input, effects: expected } = readEvent(was, index);
    const { effects: got } = readEvent(is, index);
    if (isSame(expected, got)) continue;
    const inWords = words.input(input);
    const kind = kindOf(was, index, words);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (++changed > EVENTS_TOLD_MAX) continue;
    const side = (effects: TraceEffect[]) => effects.map((effect) => words.effect(effect)).join("; ") || "nothing";
    lines.push(`  event ${addressOf(was, index)}: ${inWords}`);
    lines.push(`    was: ${side(expected)}`, `    now: ${side(got)}`);
    if (side(expected) === side(got)) lines.push("    The words are the same, bytes are not.");
  }
  if (changed > EVENTS_TOLD_MAX) lines.push(`  and ${changed - EVENTS_TOLD_MAX} events more`);
  if (is.eventCount < was.eventCount) lines.push(`  the core traps: ${was.eventCount - is.eventCount} events are lost`);
  if (lines.length === 0) return [];
  const byKind = [...kinds].map(([kind, count]) => `${kind} ${count}`).join(", ");
  return [`${changed} of ${was.eventCount} events are answered otherwise${byKind && ` (${byKind})`}:`, ...lines];
}

/** What kind of event it is, in a word. */
function kindOf({ events, abi }: Trace, index: number, { requestNames }: EventWords): string {
  switch (events.kinds[index]) {
    case abi.INPUT_KIND_DATAGRAM:
      return requestNames[events.types[index] as number] ?? "datagram";
    case abi.INPUT_KIND_COMPLETION:
      return "completion";
    case abi.INPUT_KIND_TICK:
      return "wake-up";
    case abi.INPUT_KIND_RESTORE:
      return "state file";
    default:
      return "other";
  }
}

function isSame(expected: readonly TraceEffect[], got: readonly TraceEffect[]): boolean {
  return (
    expected.length === got.length &&
    expected.every((effect, i) => {
      const other = got[i] as TraceEffect;
      return effect.kind === other.kind && Buffer.compare(effectBytes(effect), effectBytes(other)) === 0;
    })
  );
}
