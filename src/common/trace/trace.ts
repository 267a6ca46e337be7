// A trace file as sections and events. One pass over the blocks finds the place of everything. Events are decoded for display
// (event.ts), and fed to an engine without being decoded (input-feeder.ts).
//
// Invariants: events of one section have consecutive numbers; after a gap a new section begins, with an unknown state. Unreadable
// data ends the trace there, with a sentence in `problem`, and never throws.

import type { Abi } from "../abi.ts";
import { EventIndexer } from "./event-indexer.ts";
import type { EventTable } from "./event-table.ts";
import {
  BLOCK_INTERFACE,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
  KIND_SNAPSHOT_PART,
  LINKTYPE_NETLINK,
  LINKTYPE_USER0,
  TO_CORE,
  TraceError,
} from "./format.ts";
import type { LogName } from "./log-names.ts";
import { blockBytes, type FileView, fileView, PacketReader } from "./packet.ts";
import type { SectionFacts } from "./section.ts";
import { checkBeginning, readLinkType, readSectionHeader } from "./section-header.ts";

/** Consecutive events of one engine, and what is known about the state before them. */
export interface Section extends SectionFacts {
  /** Its place in the trace, counted from 1. */
  readonly number: number;
  /** Where its header begins in the file; for a section after a gap, the header of the section before. */
  readonly offset: number;
  readonly isBegunByGap: boolean;
  /** Index of its first event in the trace. */
  readonly firstIndex: number;
  eventCount: number;
  /** The offset after the blocks of its last event. */
  endOffset: number;
  /** Whether its last event is known to be complete, because the end of the section or another section follows. */
  isEnded: boolean;
  /** Where the parts of its snapshot begin in the file. */
  readonly snapshotParts: readonly number[];
  /** Link types of its interfaces. */
  readonly links: readonly number[];
}

type GrowingSection = Section & { snapshotParts: number[]; links: number[] };

const FILE_BYTES_MAX = 0xffff_ffff;
const KNOWN_BLOCKS = new Set([BLOCK_SECTION, BLOCK_INTERFACE, BLOCK_STATISTICS, BLOCK_PACKET]);

/** A trace that was read: its sections and the places of its events. */
export class Trace {
  readonly sections: Section[] = [];
  /** Why the trace ends before the file does; null if it does not. */
  problem: string | null = null;
  view: FileView;
  private readonly indexer: EventIndexer;
  private readonly packet = new PacketReader();
  private position = 0;
  private current!: GrowingSection;

  private constructor(
    file: Uint8Array,
    readonly abi: Abi,
  ) {
    if (file.length > FILE_BYTES_MAX)
      throw new TraceError("The file has 4 GiB or more. Cut it with a pcapng tool first.");
    this.view = fileView(file);
    this.indexer = new EventIndexer(abi);
    this.readFirstHeader();
  }

  /** Reads a whole file. Throws only a TraceError, if the file is not a trace of dm-ulog. `abi` is any core's. */
  static open(file: Uint8Array, abi: Abi): Trace {
    const trace = Trace.begin(file, abi);
    trace.scan();
    return trace;
  }

  /** Like `open`, but without reading events: call `scan` to read some at a time. */
  static begin(file: Uint8Array, abi: Abi): Trace {
    return new Trace(file, abi);
  }

  get events(): EventTable {
    return this.indexer.table;
  }

  get eventCount(): number {
    return this.indexer.table.count;
  }

  /** The logs that events name, in the order they appear. */
  get logs(): readonly LogName[] {
    return this.indexer.names.names;
  }

  /** Bytes of the file that have been read, for a progress bar. */
  get scannedBytes(): number {
    return this.position;
  }

  /** Reads at least `eventsMax` more events, if there are that many. Returns whether everything is read. */
  scan(eventsMax = Infinity): boolean {
    const { words, bytes } = this.view;
    const until = this.eventCount + eventsMax;
    while (this.position < bytes.length && this.problem === null) {
      const at = this.position >>> 2;
      const total = blockBytes(words, at, bytes.length);
      if (total === 0) this.problem = this.endWords(at);
      else if (!this.readBlock(words, at, total)) continue;
      else this.position += total;
      if (this.eventCount >= until) return this.position >= bytes.length;
    }
    return true;
  }

  /** The file has grown: `scan` then continues where it ended. The earlier bytes must not have changed. */
  extend(file: Uint8Array): void {
    this.view = fileView(file);
    this.problem = null;
  }

  /** The section that an event belongs to. */
  sectionOf(index: number): Section {
    let low = 0;
    let high = this.sections.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.sections[middle] as Section).firstIndex <= index) low = middle;
      else high = middle;
    }
    return this.sections[low] as Section;
  }

  /** An event's number in its engine's life. */
  numberOf(index: number): number {
    const section = this.sectionOf(index);
    return section.firstEvent + index - section.firstIndex;
  }

  /** Index of the event with this number; the first one if several engines have it; -1 for none. */
  indexOf(number: number): number {
    const section = this.sections.find(
      ({ firstEvent, eventCount }) => number >= firstEvent && number < firstEvent + eventCount,
    );
    return section === undefined ? -1 : section.firstIndex + number - section.firstEvent;
  }

  /** Where an event's blocks end in the file. */
  endOf(index: number): number {
    const section = this.sectionOf(index);
    return index + 1 < section.firstIndex + section.eventCount
      ? (this.events.offsets[index + 1] as number)
      : section.endOffset;
  }

  /** Whether the event is known to be complete. The last event of a file that was cut off may have lost outputs. */
  isWhole(index: number): boolean {
    const section = this.sectionOf(index);
    return section.isEnded || index < section.firstIndex + section.eventCount - 1;
  }

  private readFirstHeader(): void {
    const { words, bytes } = this.view;
    checkBeginning(words, bytes.length);
    const total = blockBytes(words, 0, bytes.length);
    if (total === 0) throw new TraceError("The file ends within its first header, or is damaged there.");
    this.beginSection(readSectionHeader(this.view, 0, total), 0, false);
    this.position = total;
  }

  /** Returns false if nothing after this block can be read. */
  private readBlock(words: Int32Array, at: number, total: number): boolean {
    switch (words[at]) {
      case BLOCK_PACKET:
        this.readPacket(words, at, total);
        return true;
      case BLOCK_SECTION:
        return this.readHeader(at, total);
      case BLOCK_INTERFACE:
        return this.readInterface(at, total);
      case BLOCK_STATISTICS:
        this.current.isEnded = true;
        return true;
      default:
        return true;
    }
  }

  private readHeader(at: number, total: number): boolean {
    this.current.isEnded = true;
    try {
      this.beginSection(readSectionHeader(this.view, at, total), at * 4, false);
      return true;
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      this.problem = `At byte ${at * 4} begins something else. ${error.message}`;
      return false;
    }
  }

  private readInterface(at: number, total: number): boolean {
    const link = readLinkType(this.view, at, total);
    if (link === null) {
      this.problem = `At byte ${at * 4} begins an interface whose times are not in nanoseconds: some tool has changed them.`;
      return false;
    }
    this.current.links.push(link);
    return true;
  }

  private beginSection(facts: SectionFacts, offset: number, isBegunByGap: boolean): void {
    this.current = {
      ...facts,
      number: this.sections.length + 1,
      offset,
      isBegunByGap,
      firstIndex: this.eventCount,
      eventCount: 0,
      endOffset: offset,
      isEnded: false,
      snapshotParts: [],
      links: [],
    };
    this.sections.push(this.current);
    this.indexer.forgetHandles();
  }

  private readPacket(words: Int32Array, at: number, total: number): void {
    const { packet, indexer } = this;
    if (!packet.read(words, at, total)) return;
    const link = this.current.links[packet.interfaceId];
    if (link !== LINKTYPE_NETLINK && link !== LINKTYPE_USER0) return;
    const isNetlink = link === LINKTYPE_NETLINK;
    if (packet.direction === TO_CORE) {
      if (!isNetlink && words[packet.data] === KIND_SNAPSHOT_PART && packet.captured > 4) {
        if (this.current.eventCount === 0) this.current.snapshotParts.push(at * 4);
        return;
      }
      this.followNumber(packet.number);
      this.current.eventCount++;
      this.current.isEnded = false;
      indexer.input(words, at, packet, isNetlink);
    } else if (this.current.eventCount > 0 && packet.number === this.lastNumber()) {
      indexer.output(words, packet, isNetlink);
    } else {
      return;
    }
    this.current.endOffset = at * 4 + total;
  }

  private lastNumber(): number {
    return this.current.firstEvent + this.current.eventCount - 1;
  }

  /** Begins a section after missing events, which a recorder that could not keep up leaves out. */
  private followNumber(number: number): void {
    if (number === this.lastNumber() + 1) return;
    const { links, offset } = this.current;
    this.current.isEnded = true;
    this.beginSection({ ...this.current, start: "unknown", firstEvent: number }, offset, true);
    this.current.links.push(...links);
  }

  private endWords(at: number): string {
    const { words, bytes } = this.view;
    const isCut = words[at] === undefined || KNOWN_BLOCKS.has(words[at]);
    return isCut
      ? `The file is cut short: from byte ${this.position} on stands a part of a block.`
      : `From byte ${this.position} to byte ${bytes.length} the file holds no blocks.`;
  }
}
