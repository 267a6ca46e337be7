// A trace file as a source: chosen, dropped, or fetched from the page's own origin. It is shown while it is still being
// read.

import type { Abi } from "../../common/abi.ts";
import { TraceError } from "../../common/trace/format.ts";
import { Trace } from "../../common/trace/trace.ts";
import { grouped } from "../views/dom.ts";
import { GrowingBytes } from "./growing-bytes.ts";
import type { Source, WorldNote } from "./source.ts";

/** Events between two looks at the clock. */
const SLICE_EVENTS = 8192;
/** More than the header of any section takes: with so many bytes, or all there are, a trace can be begun. */
const HEADER_BYTES = 65_536;

export class TraceFile implements Source {
  notes: readonly WorldNote[] = [];
  private isRead = false;

  private constructor(
    readonly trace: Trace,
    private readonly bytes: Incoming,
    private readonly name: string,
    readonly address: string | undefined,
  ) {}

  /** Opens a file that a person has given. Throws a TraceError where it is no trace. */
  static ofFile(file: File, abi: Abi): Promise<TraceFile> {
    return TraceFile.begin(file.stream(), file.size, abi, file.name, undefined);
  }

  /** Opens a trace of the page's origin. Throws an Error with a sentence where it cannot be had, or is none. */
  static async ofAddress(path: string, abi: Abi): Promise<TraceFile> {
    const url = new URL(path, window.location.href);
    if (url.origin !== window.location.origin) {
      throw new Error("The page opens traces from its own server only. Save the file and open it here.");
    }
    const answer = await fetch(url);
    if (!answer.ok || answer.body === null) {
      throw new Error(`${path} cannot be fetched: ${answer.status} ${answer.statusText}.`);
    }
    const size = Number(answer.headers.get("content-length") ?? 0);
    const address = new URLSearchParams({ trace: path }).toString();
    return TraceFile.begin(answer.body, size, abi, path, address);
  }

  get title(): string {
    const application = this.trace.sections[0]?.application ?? "";
    return `${this.name}: ${grouped(this.trace.eventCount)} events, recorded by ${application}`;
  }

  get eventCount(): number {
    return this.isRead ? this.trace.eventCount : Math.max(0, this.trace.eventCount - 1);
  }

  get problem(): string | null {
    return this.isRead ? this.trace.problem : null;
  }

  get progress(): number | null {
    return this.isRead ? null : this.trace.scannedBytes / Math.max(1, this.bytes.expected);
  }

  update(budgetMs: number): void {
    if (this.isRead) return;
    const { trace, bytes } = this;
    const endMs = performance.now() + budgetMs;
    // Looked at first: what comes in after this is for the next call.
    const isAll = bytes.isAll;
    if (trace.view.bytes.length !== bytes.filled.length) trace.extend(bytes.filled);
    let isScanned = false;
    while (!isScanned && performance.now() < endMs) isScanned = trace.scan(SLICE_EVENTS);
    this.isRead = isScanned && isAll;
    if (this.isRead || trace.sections.length !== this.notes.length + 1) this.notes = notesOf(trace, this.isRead);
  }

  roundTripNs(): number {
    return Number.NaN;
  }

  close(): void {
    this.bytes.cancel();
  }

  private static async begin(
    stream: ReadableStream<Uint8Array>,
    size: number,
    abi: Abi,
    name: string,
    address: string | undefined,
  ): Promise<TraceFile> {
    const bytes = new Incoming(stream, size);
    await bytes.atLeast(HEADER_BYTES);
    const file = new TraceFile(Trace.begin(bytes.filled, abi), bytes, name, address);
    void bytes.readAll();
    if (bytes.isAll) {
      file.update(Number.POSITIVE_INFINITY);
      if (file.trace.eventCount === 0) throw new TraceError(`${name} holds no event. ${file.trace.problem ?? ""}`);
    }
    return file;
  }
}

/** Bytes of a stream. */
class Incoming {
  isAll = false;
  private readonly bytes: GrowingBytes;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;

  /** `expected` is how many there will be, as far as is known. */
  constructor(
    stream: ReadableStream<Uint8Array>,
    readonly expected: number,
  ) {
    this.bytes = new GrowingBytes(Math.max(HEADER_BYTES, expected));
    this.reader = stream.getReader();
  }

  get filled(): Uint8Array {
    return this.bytes.filled;
  }

  async atLeast(count: number): Promise<void> {
    while (!this.isAll && this.filled.length < count) await this.readOne();
  }

  async readAll(): Promise<void> {
    try {
      while (!this.isAll) await this.readOne();
    } catch {
      // A connection that breaks ends the trace where it broke, as a cut file does.
      this.isAll = true;
    }
  }

  cancel(): void {
    this.isAll = true;
    void this.reader.cancel();
  }

  private async readOne(): Promise<void> {
    const { done, value } = await this.reader.read();
    if (value === undefined || done) {
      this.isAll = true;
      return;
    }
    this.bytes.append(value);
  }
}

/** Where a trace's sections begin: other engines, or events that nobody recorded. */
export function notesOf(trace: Trace, isRead: boolean): WorldNote[] {
  const notes: WorldNote[] = [];
  trace.sections.forEach((section, i) => {
    const before = trace.sections[i - 1];
    if (before === undefined || section.eventCount === 0) return;
    const goesOn = section.life !== "" && section.life === before.life;
    const missing = section.firstEvent - before.firstEvent - before.eventCount;
    if (goesOn && missing === 0) return;
    const words = goesOn ? `${grouped(missing)} events are missing here` : "Another engine starts here";
    notes.push({ event: section.firstIndex, words, isTrouble: goesOn });
  });
  if (isRead && trace.problem !== null)
    notes.push({ event: trace.eventCount, words: trace.problem.replace(/\.$/, ""), isTrouble: true });
  return notes;
}
