// Where two traces part: the first event whose inputs differ, or at which the same inputs had different effects. Events are compared
// in their order, place by place, and the lives of engines must begin at the same places; sections of one life may be divided in any way.

import type { Abi } from "../abi.ts";
import { type EffectDifference, firstEffectDifference } from "./difference.ts";
import { readEvent, type TraceEffect, type TraceInput } from "./event.ts";
import { type Run, runsOf, startRun } from "./run.ts";
import type { Trace } from "./trace.ts";

/** What of an input differs. */
export type InputPart = "time" | "kind" | "sender" | "size" | "content";

export type Parting = { index: number } & (
  | { what: "end" /** The trace that ends before the event. */; ended: "A" | "B" }
  | { what: "life" /** The trace in which an engine begins with the event. */; begins: "A" | "B" }
  | { what: "state" /** First address in linear memory that differs before the event. */; address: number }
  | { what: "start"; starts: [string, string] }
  | { what: "input"; parts: InputPart[] }
  | { what: "effect"; difference: EffectDifference }
);

export interface PartingOptions {
  /** Whether times are of no interest: of inputs, and when the core wants to be woken. */
  ignoreTimes?: boolean;
}

/** Where two traces part; null if they are the same to their ends. `module` is a core that takes their snapshots. Throws a TraceError. */
export function findParting(
  a: Trace,
  b: Trace,
  module: WebAssembly.Module,
  { ignoreTimes = false }: PartingOptions = {},
): Parting | null {
  const begins = [a, b].map((trace) => new Map(runsOf(trace).map((run) => [run.firstIndex, run])));
  const count = Math.min(a.eventCount, b.eventCount);
  for (let index = 0; index < count; index++) {
    const [one, other] = begins.map((runs) => runs.get(index));
    const atStart = one === undefined && other === undefined ? null : startsPart(a, b, one, other, module, index);
    const parting = atStart ?? (isSameBytes(a, b, index) ? null : eventsPart(a, b, index, ignoreTimes));
    if (parting !== null) return parting;
  }
  if (a.eventCount === b.eventCount) return null;
  return { what: "end", index: count, ended: a.eventCount === count ? "A" : "B" };
}

/** Whether the engines that begin with an event begin alike. */
function startsPart(
  a: Trace,
  b: Trace,
  one: Run | undefined,
  other: Run | undefined,
  module: WebAssembly.Module,
  index: number,
): Parting | null {
  if (one === undefined || other === undefined) return { what: "life", index, begins: one === undefined ? "B" : "A" };
  const starts: [string, string] = [one.section.start, other.section.start];
  if (starts[0] !== starts[1]) return { what: "start", index, starts };
  if (starts[0] !== "snapshot") return null;
  const [ours, theirs] = [startRun(a, one, module).bytes(), startRun(b, other, module).bytes()];
  const length = Math.max(ours.length, theirs.length);
  for (let address = 0; address < length; address++) {
    if (ours[address] !== theirs[address]) return { what: "state", index, address };
  }
  return null;
}

/** Whether an event has the very same blocks in both, which is the quick way to see that it is the same. */
function isSameBytes(a: Trace, b: Trace, index: number): boolean {
  const [from, other] = [a, b].map((trace) => (trace.events.offsets[index] as number) >>> 2) as [number, number];
  const size = a.endOf(index) - from * 4;
  if (b.endOf(index) - other * 4 !== size) return false;
  const [ours, theirs] = [a.view.words, b.view.words];
  for (let i = 0; i < size >>> 2; i++) if (ours[from + i] !== theirs[other + i]) return false;
  return true;
}

function eventsPart(a: Trace, b: Trace, index: number, ignoreTimes: boolean): Parting | null {
  const [one, other] = [readEvent(a, index), readEvent(b, index)];
  const parts = inputParts(one.input, other.input).filter((part) => part !== "time" || !ignoreTimes);
  if (parts.length > 0) return { what: "input", index, parts };
  const [ours, theirs] = [one.effects, other.effects].map((effects) =>
    ignoreTimes ? timeless(a.abi, effects) : effects,
  );
  const difference = firstEffectDifference(ours as TraceEffect[], theirs as TraceEffect[]);
  if (difference === null) return null;
  // A file that was cut off may lack the rest of its last event.
  const isCut = (difference.expected === null && !a.isWhole(index)) || (difference.got === null && !b.isWhole(index));
  return isCut ? null : { what: "effect", index, difference };
}

function inputParts(one: TraceInput, other: TraceInput): InputPart[] {
  const parts: InputPart[] = [];
  if (one.kind !== other.kind) parts.push("kind");
  if (one.senderPort !== other.senderPort) parts.push("sender");
  if (one.sizeBytes !== other.sizeBytes) parts.push("size");
  const { payload } = one;
  const isSame = payload.length === other.payload.length && payload.every((byte, i) => byte === other.payload[i]);
  if (!isSame) parts.push("content");
  if (one.timeLow !== other.timeLow || one.timeHigh !== other.timeHigh) parts.push("time");
  return parts;
}

/** Effects without when the core wants to be woken: only whether it does. */
function timeless(abi: Abi, effects: readonly TraceEffect[]): TraceEffect[] {
  return effects.map((effect) =>
    effect.kind === abi.EFFECT_KIND_WAKE
      ? { ...effect, payload: Uint8Array.of(effect.payload.some((byte) => byte !== 0) ? 1 : 0) }
      : effect,
  );
}
