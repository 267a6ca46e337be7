// Finds where a replay's output differs from the recording.

import type { Engine } from "../engine.ts";
import { decodePackets, type EventPackets, readEventPackets, readPackets, type TraceEffect } from "./event.ts";
import { KIND_TRAP } from "./format.ts";
import { fileView } from "./packet.ts";
import type { Trace } from "./trace.ts";

/** The first of an event's effects that differs between two sides. */
export interface EffectDifference {
  /** Which effect of the event, from 0. */
  effect: number;
  /** Null where a side has no more effects. */
  expected: TraceEffect | null;
  got: TraceEffect | null;
  /** How many effects each side has. */
  expectedCount: number;
  gotCount: number;
  /** First byte of the effect that differs, counted through its payload and what it writes. */
  firstByte: number;
}

/** The first effect of an event that differs from the recording: what was recorded is expected, what the core gave is got. */
export interface Difference extends EffectDifference {
  /** Of the event, in the trace and in the engine's life. */
  index: number;
  number: number;
  /** What is wrong with the recorded event itself, in words; null if it is intact. */
  problem: string | null;
  /** The replaying engine, after the event. */
  engine: Engine;
}

/**
 * Examines an event whose outputs are not byte for byte the blocks that the replay wrote to `written`. Returns null if their
 * content is the same: another tool may have written them, and the last event of a file that was cut off may lack outputs.
 */
export function findDifference(trace: Trace, index: number, written: Uint8Array, engine: Engine): Difference | null {
  const { abi } = trace;
  const recorded = readEventPackets(trace, index);
  const number = trace.numberOf(index);
  const came = readPackets(fileView(written), 0, written.length, number, abi);
  if (recorded.problem === null && (trace.isWhole(index) ? isSame(recorded, came) : isBegun(recorded, came)))
    return null;
  const { effects: expected, problem } = decodePackets(recorded, abi);
  const { effects: got } = decodePackets(came, abi);
  return { index, number, ...differenceAt(firstDifferentEffect(expected, got), expected, got), problem, engine };
}

/** Where the effects of an event differ between two sides; null if they are the same. */
export function firstEffectDifference(
  expected: readonly TraceEffect[],
  got: readonly TraceEffect[],
): EffectDifference | null {
  const effect = firstDifferentEffect(expected, got);
  return effect === expected.length && effect === got.length ? null : differenceAt(effect, expected, got);
}

function firstDifferentEffect(expected: readonly TraceEffect[], got: readonly TraceEffect[]): number {
  let effect = 0;
  while (effect < Math.min(expected.length, got.length) && isSameEffect(expected[effect], got[effect])) effect++;
  return effect;
}

function differenceAt(effect: number, expected: readonly TraceEffect[], got: readonly TraceEffect[]): EffectDifference {
  return {
    effect,
    expected: expected[effect] ?? null,
    got: got[effect] ?? null,
    expectedCount: expected.length,
    gotCount: got.length,
    firstByte: firstDifferentByte(effectBytes(expected[effect]), effectBytes(got[effect])),
  };
}

/** An effect's payload, followed by the bytes that it writes. */
export function effectBytes(effect: TraceEffect | null | undefined): Uint8Array {
  if (!effect) return new Uint8Array(0);
  if (effect.written === null) return effect.payload;
  const bytes = new Uint8Array(effect.payload.length + effect.written.length);
  bytes.set(effect.payload);
  bytes.set(effect.written, effect.payload.length);
  return bytes;
}

/** The words of a trap come from the host, not from the core. */
function isTrap({ stream }: EventPackets): boolean {
  return (
    stream !== null &&
    stream.length >= 4 &&
    new DataView(stream.buffer, stream.byteOffset).getUint32(0, true) === KIND_TRAP
  );
}

function isSame(recorded: EventPackets, came: EventPackets): boolean {
  if (isTrap(recorded) && isTrap(came)) return true;
  if (recorded.sends.length !== came.sends.length || !isBegun(recorded, came)) return false;
  return recorded.stream?.length === came.stream?.length;
}

/** Whether the recording is the beginning of the core's output. */
function isBegun(recorded: EventPackets, came: EventPackets): boolean {
  if (recorded.sends.some((send, i) => !isEqual(send, came.sends[i]))) return false;
  return recorded.stream === null || isEqual(recorded.stream, came.stream?.subarray(0, recorded.stream.length));
}

function isSameEffect(one: TraceEffect | undefined, other: TraceEffect | undefined): boolean {
  return one?.kind === other?.kind && isEqual(effectBytes(one), effectBytes(other));
}

function isEqual(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return one.length === other?.length && firstDifferentByte(one, other) === one.length;
}

/** The first difference; the length of the shorter one if they do not differ within it. */
function firstDifferentByte(one: Uint8Array, other: Uint8Array): number {
  const end = Math.min(one.length, other.length);
  for (let i = 0; i < end; i++) if (one[i] !== other[i]) return i;
  return end;
}
