// A live server as a source: the trace that `dm-ulog serve --view` feeds, which grows as long as the server lives and this page
// takes it. Nothing is sent but the request for it.

import type { Abi } from "../../common/abi.ts";
import { TraceError } from "../../common/trace/format.ts";
import { Trace } from "../../common/trace/trace.ts";
import { grouped } from "../views/dom.ts";
import { GrowingBytes } from "./growing-bytes.ts";
import type { Source, WorldNote } from "./source.ts";
import { notesOf } from "./trace-file.ts";

/** Events between two looks at the clock. */
const SLICE_EVENTS = 4096;
/** A hidden tab buffers no more than this; the server then continues without it. */
const AHEAD_BYTES_MAX = 32 * 1024 * 1024;
/** All that a tab keeps. */
const BYTES_MAX = 256 * 1024 * 1024;

export class LiveServer implements Source {
  readonly isLive = true;
  readonly progress = null;
  readonly address = "live";
  notes: readonly WorldNote[] = [];
  problem: string | null = null;
  private constructor(
    readonly trace: Trace,
    private readonly bytes: GrowingBytes,
    private readonly reader: ReadableStreamDefaultReader<Uint8Array>,
  ) {
    void this.readOn();
  }

  /** Asks for the feed at `path`, beside the page. Rejects with a sentence where it cannot be had. */
  static async connect(path: string, abi: Abi): Promise<LiveServer> {
    const answer = await fetch(new URL(path, window.location.href), { cache: "no-store" }).catch(() => null);
    if (answer === null) throw new Error("The live server does not answer.");
    if (!answer.ok || answer.body === null) throw new Error(`The live server refuses: ${(await answer.text()).trim()}`);
    const reader = answer.body.getReader();
    const bytes = new GrowingBytes(1 << 20);
    while (!hasHeader(bytes.filled)) {
      const { value } = await reader.read();
      if (value === undefined) throw new TraceError("The live server's feed ended before its first event.");
      bytes.append(value);
    }
    return new LiveServer(Trace.begin(bytes.filled, abi), bytes, reader);
  }

  /** Every piece ends with blocks that say that everything before them is complete. */
  get eventCount(): number {
    const { eventCount } = this.trace;
    return eventCount > 0 && !this.trace.isWhole(eventCount - 1) ? eventCount - 1 : eventCount;
  }

  get title(): string {
    const { sections, eventCount } = this.trace;
    return `live server: ${grouped(eventCount)} events of ${sections[0]?.application ?? ""}`;
  }

  update(budgetMs: number): void {
    const { trace, bytes } = this;
    const endMs = performance.now() + budgetMs;
    if (trace.view.bytes.length !== bytes.filled.length) trace.extend(bytes.filled);
    else if (trace.scannedBytes === bytes.filled.length) return;
    while (!trace.scan(SLICE_EVENTS) && performance.now() < endMs);
    if (trace.sections.length !== this.notes.length + 1) this.notes = notesOf(trace, false);
  }

  roundTripNs(): number {
    return Number.NaN;
  }

  close(): void {
    this.end("The page shows another source now.");
  }

  private async readOn(): Promise<void> {
    const { bytes, reader } = this;
    try {
      while (this.problem === null) {
        // A piece that is not whole yet stands behind what was scanned.
        if (bytes.filled.length - this.trace.scannedBytes > AHEAD_BYTES_MAX) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          continue;
        }
        const { value } = await reader.read();
        if (value === undefined) break;
        if (bytes.filled.length + value.length > BYTES_MAX) {
          this.end("This tab holds as many events as it can keep.");
          return;
        }
        bytes.append(value);
      }
    } catch {
      // The server has gone, or this page was too slow for it.
    }
    this.end("The connection to the server has ended.");
  }

  private end(problem: string): void {
    this.problem ??= problem;
    void this.reader.cancel().catch(() => {});
  }
}

/** Whether the first block is there whole, which says its length behind its type. */
function hasHeader(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && bytes.length >= new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
}
