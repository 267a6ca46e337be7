// Looks at every event of an engine, whoever gave the input, and throws where the core broke its word.
//
// What must hold after any input, however wrong: no trap; the invariants; effects that are whole records, within their
// area and of known kinds; addresses within linear memory; offsets within what the host said the device and the state file
// have; at most one reply to each request that was given; linear memory grows where a log is made and nowhere else; a
// request that is refused as wrong changes nothing (one that a log is not resumed for may leave that it was asked). Where the host tells no lies, also: the bytes of a write stay as they
// are until it is done, a device is open when it is used, nothing is under way on it when it is closed, and no two mirrors
// have the same one open.
//
// Three more, of every input: no reply says EAGAIN, since the kernel would ask again at once for as long as a device hangs;
// a wake-up is the last effect; and nothing is written to a state file that was removed, nor to the device of a log that the
// host had forgotten.

import type { Engine, EngineTap } from "../../src/common/engine.ts";
import { exportsOf } from "../harness.ts";
import { type Limit, LimitWatch } from "./limits.ts";

/** What the core did that it must never do. */
export class Misdeed extends Error {
  override readonly name = "Misdeed";
}

export interface JudgeOptions {
  module: WebAssembly.Module;
  /** Whether the host's completions are those of what was asked for, once each and in their true sizes. */
  isHonest: boolean;
  /** Refused requests are looked at closely one time in so many. */
  refusedOneIn?: number;
  /** Hears of each time that a limit of the core was reached. */
  onLimit?: ((limit: Limit) => void) | undefined;
}

interface Write {
  ticket: number;
  address: number;
  bytes: Uint8Array;
}

/** What the judge knows of the log that has a handle. */
interface Held {
  isOpening: boolean;
  /** Undefined while closed. */
  deviceBytes: number | undefined;
  isReading: boolean;
  isFlushing: boolean;
  writes: Write[];
  stateBytes: number | undefined;
  /** What tells the open device from others; undefined where nothing does. */
  identity: string | undefined;
  isForgotten: boolean;
}

const TWO_TO_32 = 0x1_0000_0000;
const EAGAIN = 11;
const EINVAL = 22;
const SECTOR_BYTES = 512;

/** Where linear memory is copied to: to make room for it anew each time would take longer than everything else. */
let copy = new Uint8Array(0);

export class Judge implements EngineTap {
  /** What kinds of effects the last event had, as bits. */
  effectsMask = 0;
  /** The first reply's error of the last event; 1 where it had none. */
  lastError = 1;
  private readonly requests = new Map<string, number>();
  private readonly held = new Map<number, Held>();
  private memoryBytes: number;
  /** What linear memory was before the input, where this is one to look at closely. */
  private before: Uint8Array | null = null;
  /** Inputs so far. */
  inputs = 0;
  private begun = 0;
  private view!: DataView;
  private readonly limits: LimitWatch;
  /** Requests that were neither answered nor dropped, the earliest first, by log and what they wait for. */
  private readonly waiting = new Map<string, string[]>();
  /** Requests that came in a frame that the core may have dropped. */
  private readonly doubtful = new Set<string>();
  /** Set by who sends a frame that the core cannot drop. */
  isWholeFrame = false;

  constructor(
    private readonly engine: Engine,
    private readonly options: JudgeOptions,
  ) {
    this.memoryBytes = engine.bytes().length;
    this.limits = new LimitWatch(engine, exportsOf(options.module), options.onLimit);
    engine.tap = this;
  }

  /** To be called before an input. */
  begin(): void {
    const oneIn = this.options.refusedOneIn ?? 0;
    this.before = oneIn > 0 && this.begun++ % oneIn === 0 ? this.copyOfMemory() : null;
    if (this.options.isHonest)
      for (const { writes } of this.held.values()) for (const write of writes) this.judgeStill(write);
  }

  /** What is under way on a handle's device, as bits: a part of the engine's state that can be seen from outside. */
  underWay(handle: number): number {
    const held = this.held.get(handle);
    if (held === undefined) return 0;
    const flags = [
      held.isOpening,
      held.deviceBytes !== undefined,
      held.isReading,
      held.isFlushing,
      held.writes.length > 0,
    ];
    return flags.reduce((bits, flag, i) => (flag ? bits | (1 << i) : bits), 0);
  }

  trapped(error: unknown): void {
    throw new Misdeed(`the core trapped: ${(error as Error).message}`);
  }

  handled(effectsBytes: number): void {
    const { engine } = this;
    const { abi } = engine;
    const memory = engine.bytes();
    this.view = new DataView(memory.buffer);
    const kind = this.word(abi.INPUT_KIND);
    if (effectsBytes > abi.EFFECTS_BYTES_MAX) throw new Misdeed(`${effectsBytes} bytes of effects`);
    this.inputs++;
    this.takeInput(kind);
    this.effectsMask = 0;
    this.lastError = 1;
    this.limits.begin(kind);
    const end = abi.EFFECTS + effectsBytes;
    let at = abi.EFFECTS;
    while (at < end) at = this.judgeEffect(at, end);
    this.keepWaiting(kind);
    if (kind === abi.INPUT_KIND_COMPLETION && this.options.isHonest) this.judgeDevices();
    // A tick answers a constructor that waited for an earlier log to become whole.
    const mayGrow = kind === abi.INPUT_KIND_RESTORE || kind === abi.INPUT_KIND_TICK || this.isConstructor(kind);
    if (memory.length !== this.memoryBytes && !mayGrow) throw new Misdeed(`an input of kind ${kind} made memory grow`);
    this.memoryBytes = memory.length;
    const isRefused = kind === abi.INPUT_KIND_DATAGRAM && this.lastError === -EINVAL;
    if (this.before !== null && isRefused && !this.isAsBefore(this.before)) {
      throw new Misdeed(`a request that was refused with ${this.lastError} has changed something`);
    }
  }

  private judgeEffect(at: number, end: number): number {
    const { abi } = this.engine;
    if (at + abi.EFFECT_PAYLOAD > end) throw new Misdeed("a record that is cut");
    const kind = this.word(at + abi.EFFECT_KIND);
    const size = this.word(at + abi.EFFECT_PAYLOAD_SIZE);
    const payload = at + abi.EFFECT_PAYLOAD;
    const next = payload + ((size + 7) & ~7);
    if (next > end) throw new Misdeed(`a record of kind ${kind} that is cut`);
    for (let i = payload + size; i < next; i++) if (this.view.getUint8(i) !== 0) throw new Misdeed("padding");
    this.effectsMask |= 1 << kind;
    this.limits.effect(kind, payload, size);
    if (kind === abi.EFFECT_KIND_SEND) this.judgeReply(payload, size);
    else if (kind === abi.EFFECT_KIND_NOTICE) this.judgeNotice(payload, size);
    else if (kind === abi.EFFECT_KIND_WAKE)
      this.expect(size === 8 && next === end, "a wake-up that is not the last effect");
    else this.judgeHeaded(kind, payload, size);
    return next;
  }

  private judgeReply(payload: number, size: number): void {
    const { abi } = this.engine;
    const dataBytes = this.word(payload + abi.ULOG_DATA_SIZE);
    const connectorBytes = this.view.getUint16(payload + abi.CN_LEN, true);
    this.expect(size === abi.FRAME_BYTES + dataBytes, "a reply of another size than it says");
    this.expect(this.word(payload + abi.NLMSG_LEN) === size, "a reply with a wrong netlink length");
    this.expect(connectorBytes === abi.ULOG_HEADER_BYTES + dataBytes, "a reply with a wrong connector length");
    const key = this.requestKey(payload);
    const open = this.requests.get(key) ?? 0;
    this.expect(open > 0, "a reply to a request that was not given, or was answered before");
    this.requests.set(key, open - 1);
    const error = this.view.getInt32(payload + abi.ULOG_ERROR, true);
    this.expect(error <= 0, `an answer with the error ${error}`);
    this.expect(error !== -EAGAIN, "the kernel is told to ask again at once");
    if (this.lastError === 1) this.lastError = error;
  }

  private judgeNotice(payload: number, size: number): void {
    this.expect(size === 160, `a notice of ${size} bytes`);
    this.expect(this.view.getUint8(payload + size - 1) === 0, "a notice whose UUID does not end");
  }

  private judgeHeaded(kind: number, payload: number, size: number): void {
    const { abi } = this.engine;
    this.expect(size >= abi.HEAD_BYTES, `an effect ${kind} without a head`);
    const handle = this.word(payload + abi.HEAD_HANDLE);
    const bytes = this.word(payload + abi.HEAD_SIZE);
    const offset = this.longWord(payload + abi.HEAD_OFFSET);
    const ticket = this.longWord(payload + abi.HEAD_TICKET);
    const address = size > abi.HEAD_BYTES ? this.word(payload + abi.HEAD_BYTES) : 0;
    const held = this.heldOf(handle);
    switch (kind) {
      case abi.EFFECT_KIND_OPEN:
        this.expect(size > abi.HEAD_BYTES, "a device without a name is opened");
        this.expect(!held.isOpening && held.deviceBytes === undefined, "an open device is opened");
        held.isOpening = true;
        held.isForgotten = false;
        return;
      case abi.EFFECT_KIND_READ:
        this.expect(bytes > 0 && bytes <= abi.READ_BYTES_MAX, `a read of ${bytes} bytes`);
        this.judgeDevice(held, offset, bytes);
        held.isReading = true;
        return;
      case abi.EFFECT_KIND_WRITE:
        this.judgeDevice(held, offset, bytes);
        this.judgeAddress(address, bytes);
        this.expect(!held.isForgotten, "the device of a log that was forgotten is written to");
        held.writes.push({ ticket, address, bytes: this.engine.read(address, bytes) });
        return;
      case abi.EFFECT_KIND_CLOSE:
        this.expect(held.deviceBytes !== undefined, "a closed device is closed");
        if (this.options.isHonest)
          this.expect(!held.isReading && held.writes.length === 0, "a device in use is closed");
        held.deviceBytes = undefined;
        held.isReading = false;
        held.writes = [];
        return;
      case abi.EFFECT_KIND_FLUSH_LEGS:
        if (this.options.isHonest) this.expect(!held.isFlushing, "legs that are being flushed are flushed");
        held.isFlushing = true;
        return;
      case abi.EFFECT_KIND_STATE_CREATE:
        held.stateBytes = offset;
        return;
      case abi.EFFECT_KIND_STATE_WRITE:
        this.judgeAddress(address, bytes);
        this.judgeState(held, offset, bytes);
        this.judgeState(held, ticket, bytes);
        return;
      case abi.EFFECT_KIND_STATE_DELETE:
        held.stateBytes = undefined;
        return;
      default:
        throw new Misdeed(`an effect of the unknown kind ${kind}`);
    }
  }

  private judgeDevice(held: Held, offset: number, bytes: number): void {
    this.expect(held.deviceBytes !== undefined, "a closed device is used");
    this.expect(
      offset + bytes <= (held.deviceBytes as number),
      `${bytes} bytes at ${offset} of a device of ${held.deviceBytes}`,
    );
    this.expect(offset % SECTOR_BYTES === 0 && bytes % SECTOR_BYTES === 0, "I/O in parts of sectors");
  }

  private judgeAddress(address: number, bytes: number): void {
    const { abi } = this.engine;
    const isInMemory = address >= abi.EFFECTS && address + bytes <= this.view.byteLength;
    this.expect(isInMemory, `${bytes} bytes at the address ${address} are written`);
  }

  private judgeState(held: Held, offset: number, bytes: number): void {
    if (held.stateBytes === undefined) throw new Misdeed("a state file that is not there is written to");
    this.expect(offset + bytes <= held.stateBytes, `${bytes} bytes at ${offset} of a state file of ${held.stateBytes}`);
  }

  /** Learns from the input that stands in the input area. */
  private takeInput(kind: number): void {
    const { abi } = this.engine;
    const payload = abi.INPUT_PAYLOAD;
    if (kind === abi.INPUT_KIND_DATAGRAM) {
      if (this.word(abi.INPUT_PAYLOAD_SIZE) < abi.FRAME_BYTES) return;
      const key = this.requestKey(payload);
      this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
      if (!this.isWholeFrame) this.doubtful.add(key);
    } else if (kind === abi.INPUT_KIND_COMPLETION) {
      this.takeCompletion(payload, this.word(abi.INPUT_PAYLOAD_SIZE));
    } else if (kind === abi.INPUT_KIND_RESTORE && this.longWord(payload + abi.HEAD_OFFSET) === 0) {
      // The host has a file, and the core may write to it.
      this.heldOf(this.word(payload + abi.HEAD_HANDLE)).stateBytes ??= this.longWord(payload + abi.HEAD_TICKET);
    }
  }

  /** The same conditions as the core's, as far as they can be seen from outside. */
  private takeCompletion(payload: number, size: number): void {
    const { abi } = this.engine;
    if (size < abi.COMPLETION_DATA) return;
    const held = this.held.get(this.word(payload + abi.HEAD_HANDLE));
    if (held === undefined) return;
    const error = this.view.getInt32(payload + abi.COMPLETION_ERROR, true);
    const ticket = this.longWord(payload + abi.HEAD_TICKET);
    switch (this.word(payload + abi.COMPLETION_EFFECT)) {
      case abi.EFFECT_KIND_OPEN:
        if (!held.isOpening || (error === 0 && size < abi.COMPLETION_OPEN_BYTES)) return;
        held.isOpening = false;
        if (error === 0) held.deviceBytes = this.longWord(payload + abi.COMPLETION_DEVICE_BYTES);
        held.identity = this.identityAt(payload);
        return;
      case abi.EFFECT_KIND_READ:
        held.isReading = false;
        return;
      case abi.EFFECT_KIND_WRITE: {
        const bytes = this.word(payload + abi.HEAD_SIZE);
        const index = held.writes.findIndex((write) => write.ticket === ticket && write.bytes.length === bytes);
        if (index >= 0) held.writes.splice(index, 1);
        return;
      }
      case abi.EFFECT_KIND_FLUSH_LEGS:
        held.isFlushing = false;
        return;
      default:
    }
  }

  private heldOf(handle: number): Held {
    let held = this.held.get(handle);
    if (held === undefined) {
      held = {
        isOpening: false,
        deviceBytes: undefined,
        isReading: false,
        isFlushing: false,
        writes: [],
        stateBytes: undefined,
        identity: undefined,
        isForgotten: false,
      };
      this.held.set(handle, held);
    }
    return held;
  }

  private judgeStill({ address, bytes }: Write): void {
    const now = this.engine.bytes().subarray(address, address + bytes.length);
    this.expect(Buffer.compare(now, bytes) === 0, "the bytes of a write have changed while it is under way");
  }

  private copyOfMemory(): Uint8Array {
    const now = this.engine.bytes();
    if (copy.length < now.length) copy = new Uint8Array(now.length);
    copy.set(now);
    return copy.subarray(0, now.length);
  }

  /** Whether everything is as it was, but the input, the effects, what one request needs for itself, and counters. */
  private isAsBefore(before: Uint8Array): boolean {
    const { abi } = this.engine;
    const now = this.engine.bytes();
    const isSame = (from: number, to?: number) =>
      Buffer.compare(before.subarray(from, to), now.subarray(from, to)) === 0;
    return isSame(abi.CORE + abi.CORE_BYTES, abi.INPUT_KIND) && isSame(abi.AREAS_END);
  }

  private identityAt(payload: number): string | undefined {
    const { abi } = this.engine;
    const numbers = this.view.getBigUint64(payload + abi.COMPLETION_MAJOR, true);
    if (numbers !== 0n) return `device ${numbers}`;
    const fileSystem = this.view.getBigUint64(payload + abi.COMPLETION_FILE_SYSTEM, true);
    const inode = this.view.getBigUint64(payload + abi.COMPLETION_INODE, true);
    return fileSystem === 0n && inode === 0n ? undefined : `file ${fileSystem} ${inode}`;
  }

  /** No two mirrors have one device open: each would overwrite the other's bits. */
  private judgeDevices(): void {
    const mirrors = new Map<string, string>();
    for (const [handle, { deviceBytes, identity }] of this.held) {
      if (deviceBytes === undefined || identity === undefined) continue;
      const uuid = this.logOf(handle)?.uuid ?? "";
      this.expect((mirrors.get(identity) ?? uuid) === uuid, `two mirrors have ${identity} open`);
      mirrors.set(identity, uuid);
    }
  }

  /** Which log has a handle. */
  logOf(handle: number): { luid: bigint; uuid: string } | undefined {
    const { abi } = this.engine;
    const view = new DataView(this.engine.bytes().buffer);
    const log = view.getUint32(abi.HANDLES + handle * 4, true);
    if (log === 0) return undefined;
    const name = this.engine.read(log + abi.LOG_UUID, abi.UUID_BYTES);
    const uuid = Buffer.from(name.subarray(0, name.indexOf(0))).toString("latin1");
    return { luid: view.getBigUint64(log + abi.LOG_LUID, true), uuid };
  }

  /** The host has told that no table names the log of a handle, and it was so. */
  forgotten(handle: number): void {
    this.heldOf(handle).isForgotten = true;
  }

  /** Remembers a request whose answer waits, as long as it does. */
  private keepWaiting(kind: number): void {
    const isAsked = this.isWholeFrame && kind === this.engine.abi.INPUT_KIND_DATAGRAM;
    this.isWholeFrame = false;
    if (!isAsked) return;
    const { abi } = this.engine;
    const payload = abi.INPUT_PAYLOAD;
    const key = this.requestKey(payload);
    if ((this.requests.get(key) ?? 0) === 0) return;
    const type = this.word(payload + abi.ULOG_TYPE);
    // A flush and a region that gets out of sync wait for the same.
    const what = type === abi.REQUEST_SET_REGION_SYNC ? abi.REQUEST_FLUSH : type;
    const log = key.slice(abi.ULOG_LUID, abi.ULOG_VERSION);
    const name = `${what} ${log}`;
    const waiting = this.waiting.get(name) ?? [];
    waiting.push(key);
    this.waiting.set(name, waiting);
  }

  /**
   * Nothing is under way any more and no device has failed. Whoever asked last of its kind is answered; who asked before may
   * have been let go for want of room, and the kernel has asked again.
   */
  judgeRest(): void {
    const { CORE, CORE_HELD_LET_GO, CORE_WAITERS_LET_GO } = exportsOf(this.options.module) as Record<string, number>;
    this.view = new DataView(this.engine.bytes().buffer);
    const heldLetGo = this.longWord((CORE as number) + (CORE_HELD_LET_GO as number));
    const letGo = heldLetGo + this.longWord((CORE as number) + (CORE_WAITERS_LET_GO as number));
    let unanswered = 0;
    for (const [key, open] of this.requests) if (!this.doubtful.has(key)) unanswered += open;
    this.expect(unanswered <= letGo, `${unanswered} requests are never answered, and ${letGo} were let go`);
    if (heldLetGo > 0) {
      this.limits.heldLetGo();
      return;
    }
    for (const [name, all] of this.waiting) {
      const keys = all.filter((key) => !this.doubtful.has(key));
      if (keys.length === 0) continue;
      const last = keys.at(-1);
      // Requests with the same number cannot be told from each other: the earliest is the one that was let go.
      const openOf = (key: string | undefined) => this.requests.get(key ?? "") ?? 0;
      const isAnswered = openOf(last) < keys.filter((key) => key === last).length;
      const [type] = name.split(" ");
      this.expect(isAnswered, `the last request of type ${type} of a log is never answered`);
      if (keys.some((key) => openOf(key) > 0)) this.limits.letGo(Number(type));
    }
  }

  private isConstructor(kind: number): boolean {
    const { abi } = this.engine;
    const type = this.word(abi.INPUT_PAYLOAD + abi.ULOG_TYPE) & abi.REQUEST_TYPE_MASK;
    return kind === abi.INPUT_KIND_DATAGRAM && type === abi.REQUEST_CTR;
  }

  /** What an answer repeats of its request. */
  private requestKey(address: number): string {
    const { abi } = this.engine;
    const head = Buffer.from(this.engine.read(address, abi.FRAME_BYTES));
    for (const field of [abi.NLMSG_LEN, abi.ULOG_ERROR, abi.ULOG_DATA_SIZE]) head.writeUInt32LE(0, field);
    head.writeUInt16LE(0, abi.CN_LEN);
    return head.toString("latin1");
  }

  private expect(holds: boolean, misdeed: string): void {
    if (!holds) throw new Misdeed(misdeed);
  }

  private word(address: number): number {
    return this.view.getUint32(address, true);
  }

  private longWord(address: number): number {
    return this.word(address) + this.word(address + 4) * TWO_TO_32;
  }
}
