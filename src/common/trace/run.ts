// A run can be replayed without a break: a section with a known state at its beginning, and the sections that continue it.

import { Engine } from "../engine.ts";
import { TraceError } from "./format.ts";
import { readSnapshot, type SnapshotPart } from "./snapshot.ts";
import type { Section, Trace } from "./trace.ts";

/** Consecutive events of one engine. */
export interface Run {
  /** The section that it begins with. */
  readonly section: Section;
  readonly firstIndex: number;
  /** The index after its last event. */
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

/** An engine in the state before the run's first event. Throws a TraceError if that state is unknown or does not fit this core. */
export function startRun(trace: Trace, { section }: Run, module: WebAssembly.Module): Engine {
  if (section.start === "unknown") {
    throw new TraceError(
      `What the engine knew before event ${section.number}:${section.firstEvent} was not recorded: its events can be looked at, not replayed.`,
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
  const parts = readSnapshot(words, section.snapshotParts);
  if (parts === null)
    throw new TraceError(`The snapshot before event ${section.number}:${section.firstEvent} is damaged.`);
  const [{ memoryBytes }] = parts as [SnapshotPart];
  // What the compiler put into linear memory is this core's own, which may be of another build.
  const own = engine.bytes().slice(engine.abi.AREAS_END);
  try {
    engine.growTo(memoryBytes);
  } catch {
    throw new TraceError(`A linear memory of ${memoryBytes} bytes cannot be made here for this core.`);
  }
  const memory = engine.bytes();
  // Pages of zeros are not among the parts.
  memory.fill(0, 0, engine.abi.AREAS_END);
  for (const { offset, contentOffset, size } of parts) {
    memory.set(bytes.subarray(contentOffset, contentOffset + size), offset);
  }
  memory.set(own, engine.abi.AREAS_END);
}
