// What can be replayed in one go: a section whose start is known, and those that go on where it ended.

import { Engine } from "../engine.ts";
import { HOST_INPUT_BYTES, SNAPSHOT_HEAD_BYTES, TraceError } from "./format.ts";
import { PacketReader, u64 } from "./packet.ts";
import { snapshotDigest } from "./section.ts";
import type { Section, Trace } from "./trace.ts";

/** Consecutive events of one engine. */
export interface Run {
  /** The section that it begins with. */
  readonly section: Section;
  readonly firstIndex: number;
  /** Index behind its last event. */
  readonly endIndex: number;
}

/** The trace's events as runs, in order; those of a section that starts from nothing known are runs too. */
export function runsOf(trace: Trace): Run[] {
  const runs: { section: Section; firstIndex: number; endIndex: number }[] = [];
  let before: Section | undefined;
  for (const section of trace.sections) {
    const last = runs.at(-1);
    if (last !== undefined && before !== undefined && goesOn(before, section)) {
      last.endIndex += section.eventCount;
    } else {
      const { firstIndex, eventCount } = section;
      runs.push({ section, firstIndex, endIndex: firstIndex + eventCount });
    }
    before = section;
  }
  return runs.filter(({ section, firstIndex, endIndex }) => endIndex > firstIndex || section.start !== "unknown");
}

/** Whether a section that brings no state of its own begins where another of the same life ends. */
export function goesOn(before: Section, section: Section): boolean {
  return (
    section.start === "unknown" &&
    section.life !== "" &&
    section.life === before.life &&
    section.firstEvent === before.firstEvent + before.eventCount
  );
}

/** The run that an event belongs to. */
export function runOf(runs: readonly Run[], index: number): Run {
  const run = runs.find(({ firstIndex, endIndex }) => index >= firstIndex && index < endIndex);
  if (run === undefined) throw new TraceError(`The trace has no event at place ${index}.`);
  return run;
}

/** An engine as the run's first event found it. Throws a TraceError where the trace does not tell, or this core cannot be it. */
export function startRun(trace: Trace, { section }: Run, module: WebAssembly.Module): Engine {
  if (section.start === "unknown") {
    throw new TraceError(
      `What the engine knew before event ${section.firstEvent} was not recorded: its events can be looked at, not replayed.`,
    );
  }
  const engine = new Engine(module);
  if (engine.abi.ABI_VERSION !== section.abiVersion) {
    throw new TraceError(
      `The trace was recorded with ABI version ${section.abiVersion}; this core has ${engine.abi.ABI_VERSION}.`,
    );
  }
  if (section.start === "snapshot") restore(trace, section, engine);
  engine.inputCount = section.firstEvent;
  return engine;
}

function restore(trace: Trace, section: Section, engine: Engine): void {
  const { words, bytes } = trace.view;
  const damaged = () => new TraceError(`The snapshot before event ${section.firstEvent} is damaged.`);
  // What the compiler put into linear memory is this core's own, which may be of another build.
  const own = engine.bytes().slice(engine.abi.AREAS_END);
  const packet = new PacketReader();
  let memoryBytes = 0;
  for (const offset of section.snapshotParts) {
    const at = offset >>> 2;
    if (!packet.read(words, at, words[at + 1] as number)) throw damaged();
    const payload = packet.data + HOST_INPUT_BYTES / 4;
    const content = payload + SNAPSHOT_HEAD_BYTES / 4;
    const size = packet.captured - HOST_INPUT_BYTES - SNAPSHOT_HEAD_BYTES;
    const address = u64(words, payload);
    const wholeBytes = u64(words, payload + 2);
    if (size < 0 || size % 4 !== 0 || address + size > wholeBytes) throw damaged();
    const digest = snapshotDigest(words, content, size >>> 2, address, wholeBytes);
    if (digest.low !== words[payload + 4] || digest.high !== words[payload + 5]) throw damaged();
    if (memoryBytes !== 0 && wholeBytes !== memoryBytes) throw damaged();
    if (memoryBytes === 0) grow(engine, wholeBytes);
    memoryBytes = wholeBytes;
    engine.bytes().set(bytes.subarray(content * 4, content * 4 + size), address);
  }
  if (memoryBytes === 0) throw damaged();
  engine.bytes().set(own, engine.abi.AREAS_END);
}

function grow(engine: Engine, memoryBytes: number): void {
  try {
    engine.growTo(memoryBytes);
    // Pages of zeros are left out of a snapshot.
    engine.bytes().fill(0, 0, engine.abi.AREAS_END);
  } catch {
    throw new TraceError(`A linear memory of ${memoryBytes} bytes cannot be made here for this core.`);
  }
}
