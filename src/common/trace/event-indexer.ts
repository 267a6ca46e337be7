// Fills the table of events from their packets, in one pass and without decoding them.
//
// A request names its log; a completion names a handle. The trace shows which log a handle belongs to: a constructor opens a
// device or creates a state file under it, and a flush of the legs names both.

import type { Abi } from "../abi.ts";
import { EVENT_FAILED, EVENT_NOTICED, EVENT_REFUSED, EVENT_TRAPPED, EventTable, NO_LOG } from "./event-table.ts";
import {
  COOKED_BYTES,
  HOST_INPUT_BYTES,
  KIND_TRAP,
  PACKET_TIME_HIGH,
  PACKET_TIME_LOW,
  pad8,
  TWO_TO_32,
} from "./format.ts";
import { LogNames } from "./log-names.ts";
import type { PacketReader } from "./packet.ts";

export class EventIndexer {
  readonly table = new EventTable();
  readonly names: LogNames;
  private readonly logOfHandle = new Map<number, number>();
  /** Whether the beginning of the current event's stream of effects has been seen. */
  private hasStream = false;
  private isRequest = false;
  private event = 0;

  constructor(private readonly abi: Abi) {
    this.names = new LogNames(abi);
  }

  /** Another engine assigns its own handles. */
  forgetHandles(): void {
    this.logOfHandle.clear();
  }

  /** An event begins with the packet block at a word. */
  input(words: Int32Array, at: number, packet: PacketReader, isNetlink: boolean): void {
    const { abi, table } = this;
    const { data, captured } = packet;
    const timeHigh = (words[at + PACKET_TIME_HIGH] as number) >>> 0;
    const timeNs = timeHigh * TWO_TO_32 + ((words[at + PACKET_TIME_LOW] as number) >>> 0);
    const kind = isNetlink ? abi.INPUT_KIND_DATAGRAM : captured < HOST_INPUT_BYTES ? 0 : (words[data] as number);
    this.event = table.add(at * 4, timeNs, kind);
    this.hasStream = false;
    this.isRequest = false;
    if (isNetlink) this.request(words, data + COOKED_BYTES / 4, captured - COOKED_BYTES, words[data + 1] !== 0);
    else this.hostInput(words, data + HOST_INPUT_BYTES / 4, captured - HOST_INPUT_BYTES, kind);
  }

  /** One of the event's outputs. */
  output(words: Int32Array, packet: PacketReader, isNetlink: boolean): void {
    const { data, captured } = packet;
    if (isNetlink) this.reply(words, data + COOKED_BYTES / 4, captured - COOKED_BYTES);
    else if (!this.hasStream) this.stream(words, data, data + (captured >>> 2));
  }

  private request(words: Int32Array, at: number, size: number, isForeign: boolean): void {
    if (isForeign || !this.isMessage(words, at, size)) return;
    const { abi, table, event } = this;
    this.isRequest = true;
    const type = (words[at + (abi.ULOG_TYPE >>> 2)] as number) & abi.REQUEST_TYPE_MASK;
    table.types[event] = type;
    table.logs[event] = this.names.find(words, at + (abi.ULOG_LUID >>> 2));
    switch (type) {
      case abi.REQUEST_MARK_REGION:
      case abi.REQUEST_CLEAR_REGION:
      case abi.REQUEST_FLUSH:
        table.regionCounts[event] = (words[at + (abi.ULOG_DATA_SIZE >>> 2)] as number) >>> 3;
        break;
      case abi.REQUEST_IS_CLEAN:
      case abi.REQUEST_IN_SYNC:
      case abi.REQUEST_SET_REGION_SYNC:
      case abi.REQUEST_IS_REMOTE_RECOVERING:
        table.regionCounts[event] = 1;
        break;
      default:
    }
  }

  /** Whether it has the headers of a dm-log-userspace message; the core checks further. */
  private isMessage(words: Int32Array, at: number, size: number): boolean {
    const { abi } = this;
    return (
      size >= abi.FRAME_BYTES &&
      ((words[at + (abi.NLMSG_TYPE >>> 2)] as number) & 0xffff) === abi.NLMSG_TYPE_DONE &&
      words[at + (abi.CN_IDX >>> 2)] === abi.CN_IDX_DM &&
      words[at + (abi.CN_VAL >>> 2)] === abi.CN_VAL_DM_USERSPACE_LOG
    );
  }

  private hostInput(words: Int32Array, at: number, size: number, kind: number): void {
    const { abi, table, event } = this;
    const isCompletion = kind === abi.INPUT_KIND_COMPLETION && size >= abi.COMPLETION_DATA;
    if (!isCompletion && !(kind === abi.INPUT_KIND_RESTORE && size >= abi.HEAD_BYTES)) return;
    table.logs[event] = this.logOfHandle.get(words[at + (abi.HEAD_HANDLE >>> 2)] as number) ?? NO_LOG;
    if (!isCompletion) return;
    table.types[event] = words[at + (abi.COMPLETION_EFFECT >>> 2)] as number;
    if (words[at + (abi.COMPLETION_ERROR >>> 2)] !== 0) this.flag(EVENT_FAILED);
  }

  private reply(words: Int32Array, at: number, size: number): void {
    if (!this.isMessage(words, at, size)) return;
    const { abi, table, event } = this;
    if (words[at + (abi.ULOG_ERROR >>> 2)] !== 0) this.flag(EVENT_REFUSED);
    if (table.logs[event] === NO_LOG) table.logs[event] = this.names.find(words, at + (abi.ULOG_LUID >>> 2));
  }

  /** Reads the records of a stream that are in this packet. */
  private stream(words: Int32Array, first: number, end: number): void {
    const { abi } = this;
    this.hasStream = true;
    for (let at = first; at + 2 <= end; ) {
      const kind = words[at] as number;
      const size = (words[at + 1] as number) >>> 0;
      const payload = at + 2;
      let next = payload + pad8(size) / 4;
      if (kind === abi.EFFECT_KIND_SEND) next = payload;
      if (size > (end - payload) * 4 && kind !== abi.EFFECT_KIND_SEND) return;
      if (kind === abi.EFFECT_KIND_STATE_WRITE || kind === abi.EFFECT_KIND_WRITE) {
        next += pad8((words[payload + (abi.HEAD_SIZE >>> 2)] as number) >>> 0) / 4;
      } else if (kind === abi.EFFECT_KIND_NOTICE) {
        this.flag(EVENT_NOTICED);
      } else if (kind === KIND_TRAP) {
        this.flag(EVENT_TRAPPED);
      } else {
        this.learnHandle(words, kind, payload, size);
      }
      at = next;
    }
  }

  private learnHandle(words: Int32Array, kind: number, payload: number, size: number): void {
    const { abi } = this;
    let log = NO_LOG;
    if (kind === abi.EFFECT_KIND_FLUSH_LEGS && size >= abi.HEAD_BYTES + this.names.nameBytes) {
      log = this.names.find(words, payload + (abi.HEAD_BYTES >>> 2));
    } else if (this.isRequest && (kind === abi.EFFECT_KIND_OPEN || kind === abi.EFFECT_KIND_STATE_CREATE)) {
      log = this.table.logs[this.event] as number;
    }
    if (log === NO_LOG) return;
    this.logOfHandle.set(words[payload + (abi.HEAD_HANDLE >>> 2)] as number, log);
    if (this.table.logs[this.event] === NO_LOG) this.table.logs[this.event] = log;
  }

  private flag(bit: number): void {
    this.table.flags[this.event] = (this.table.flags[this.event] as number) | bit;
  }
}
