// Records an engine into memory, for tests, simulations and other short recordings.

import type { Engine, EngineTap } from "../engine.ts";
import { EventWriter } from "./event-writer.ts";
import { TWO_TO_32 } from "./format.ts";
import { type SectionFacts, writeSectionEnd, writeSectionHeader } from "./section.ts";
import { SnapshotWriter } from "./snapshot.ts";
import { TraceBuffer } from "./trace-buffer.ts";

/** The facts in a recording's header. */
export type RecordingFacts = Pick<SectionFacts, "application" | "coreSha256"> &
  Partial<Pick<SectionFacts, "life" | "clockUnixNs">>;

export class Recording implements EngineTap {
  readonly buffer = TraceBuffer.growing(1 << 20);
  private readonly writer: EventWriter;

  /** Starts recording, with a snapshot unless the engine is fresh. It becomes the engine's tap. */
  constructor(
    private readonly engine: Engine,
    facts: RecordingFacts,
  ) {
    this.writer = new EventWriter(engine);
    const firstEvent = engine.inputCount;
    const start = engine.isFresh ? "fresh" : "snapshot";
    writeSectionHeader(this.buffer, {
      life: "",
      clockUnixNs: null,
      ...facts,
      abiVersion: engine.abi.ABI_VERSION,
      start,
      firstEvent,
    });
    if (start === "snapshot") new SnapshotWriter(engine.bytes(), firstEvent, this.timeNs()).write(this.buffer);
    engine.tap = this;
  }

  handled(effectsBytes: number): void {
    this.writer.write(this.buffer, effectsBytes);
  }

  trapped(error: unknown): void {
    this.writer.writeTrap(this.buffer, error);
  }

  /** Stops, and returns the trace. */
  finish(): Uint8Array {
    this.engine.tap = null;
    writeSectionEnd(this.buffer, this.timeNs());
    return this.buffer.content();
  }

  /** The time of the last input. */
  private timeNs(): number {
    const { abi } = this.engine;
    const now = new DataView(this.engine.bytes().buffer, abi.INPUT_NOW, 8);
    return now.getUint32(0, true) + now.getUint32(4, true) * TWO_TO_32;
  }
}
