// Records every engine of a life, one section of a trace for each: a server that starts begins a new one.

import type { Engine } from "../engine.ts";
import { Recording, type RecordingFacts } from "../trace/recording.ts";

export class LifeRecorder {
  private readonly sections: Uint8Array[] = [];
  private current: Recording | null = null;

  /** `name` tells the life from others; its engines are named by it. */
  constructor(
    private readonly name: string,
    private readonly facts: Pick<RecordingFacts, "application" | "coreSha256">,
  ) {}

  /** Takes each engine as it starts; the one before it is dead by then. */
  readonly onEngine = (engine: Engine): void => {
    this.end();
    this.current = new Recording(engine, { ...this.facts, life: `${this.name} server ${this.sections.length + 1}` });
  };

  /** Ends the recording. Returns the trace. */
  finish(): Uint8Array {
    this.end();
    const trace = new Uint8Array(this.sections.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const section of this.sections) {
      trace.set(section, at);
      at += section.length;
    }
    return trace;
  }

  /** A recording's buffer is large; what it holds may not be. */
  private end(): void {
    if (this.current !== null) this.sections.push(this.current.finish().slice());
    this.current = null;
  }
}
