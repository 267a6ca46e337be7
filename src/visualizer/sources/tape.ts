// Records the engines of this tab, one after the other, into one trace in memory: the same bytes as a file of it.

import type { Abi } from "../../common/abi.ts";
import type { Engine } from "../../common/engine.ts";
import { EventWriter } from "../../common/trace/event-writer.ts";
import { writeSectionEnd, writeSectionHeader } from "../../common/trace/section.ts";
import { Trace } from "../../common/trace/trace.ts";
import { TraceBuffer } from "../../common/trace/trace-buffer.ts";

const FIRST_BYTES = 1 << 20;

export class Tape {
  eventCount = 0;
  private readonly buffer = TraceBuffer.growing(FIRST_BYTES);
  private opened: Trace | null = null;
  private lastNs = 0;
  private sections = 0;

  constructor(
    private readonly abi: Abi,
    /** Of the core, in hexadecimal digits. */
    private readonly coreSha256: string,
  ) {}

  /** Records a fresh engine from now on. `onEvent` hears of each event, with the seq of a request. */
  follow(engine: Engine, onEvent: (seq: number | null, event: number) => void): void {
    this.endSection();
    writeSectionHeader(this.buffer, {
      application: "dm-ulog simulation",
      coreSha256: this.coreSha256,
      abiVersion: this.abi.ABI_VERSION,
      start: "fresh",
      firstEvent: 0,
      life: `simulated-${++this.sections}`,
      clockUnixNs: null,
    });
    const writer = new EventWriter(engine);
    engine.tap = {
      handled: (effectsBytes) => {
        writer.write(this.buffer, effectsBytes);
        this.count(engine, onEvent);
      },
      trapped: (error) => {
        writer.writeTrap(this.buffer, error);
        this.count(engine, onEvent);
      },
    };
  }

  /** The trace of what was recorded up to the last `update`; an engine must have been followed. */
  get trace(): Trace {
    this.opened ??= Trace.begin(this.buffer.content(), this.abi);
    return this.opened;
  }

  /** Has the trace take in what was recorded since. */
  update(): void {
    const { trace } = this;
    const content = this.buffer.content();
    if (trace.view.bytes.length !== content.length) trace.extend(content);
    trace.scan();
  }

  /** A whole trace file of what is recorded so far. */
  file(): Blob {
    const end = TraceBuffer.growing();
    writeSectionEnd(end, this.lastNs);
    return new Blob([this.buffer.content().slice(), end.content().slice()]);
  }

  private endSection(): void {
    if (this.sections > 0) writeSectionEnd(this.buffer, this.lastNs);
  }

  private count(engine: Engine, onEvent: (seq: number | null, event: number) => void): void {
    const { abi } = this;
    const view = new DataView(engine.bytes().buffer);
    this.lastNs = Number(view.getBigUint64(abi.INPUT_NOW, true));
    const event = this.eventCount++;
    const isRequest = view.getUint32(abi.INPUT_KIND, true) === abi.INPUT_KIND_DATAGRAM;
    onEvent(isRequest ? engine.requestSeq() : null, event);
  }
}
