// A kernel and a host as bad as they can be, driven by a program: a list of small deeds that mean something in any state,
// so that a program can be cut, joined and changed and is still one.

import { type Completion, type EffectHandler, Engine, type Head } from "../../src/common/engine.ts";
import { asciiBytes, encodeRequest, type RequestName } from "../../src/common/kernel-frames.ts";
import { EngineFollower } from "../../src/common/model/engine-follower.ts";
import { Random } from "../../src/common/sim/random.ts";
import { Recording } from "../../src/common/trace/recording.ts";
import { exportsOf } from "../harness.ts";
import { Judge, Misdeed } from "./judge.ts";
import type { Limit } from "./limits.ts";

/** What to do, and three numbers that say how; any numbers will do. */
export type Deed = readonly [kind: number, a: number, b: number, c: number];

export interface WorldOptions {
  module: WebAssembly.Module;
  /** Whether the host tells the truth of devices: completions come once each, with the sizes that were asked for. */
  isHonest: boolean;
  /** Records every engine; the trace is `recorded`. */
  record?: boolean;
  /** Hears a word for what each deed came to, the same for deeds that came to the same. */
  onOutcome?: (outcome: string) => void;
  /** Hears of each time that a limit of the core was reached. */
  onLimit?: (limit: Limit) => void;
}

interface Operation {
  head: Head;
  effect: number;
  bytes?: Uint8Array;
  path?: string;
}

export const DEED_KINDS = 14;

const UUIDS = ["LVM-a", "LVM-ab", "x".repeat(128)];
/** As many as one mirror may have at once, and more. */
const LUIDS = [1n, 2n, 0xffff_8880_0123_4000n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n];
/** Each device: its size, its minor number or 0 for a regular file, and its inode. */
const DEVICES: readonly (readonly [path: string, bytes: number, minor: number, inode: bigint])[] = [
  ["/dev/a", 8192, 1, 0n],
  ["/dev/b", 65_536, 2, 0n],
  ["8:1", 40_960, 3, 0n],
  ["/var/log.img", 65_536, 0, 77n],
  ["/var/other.img", 16_384, 0, 78n],
  ["/var/unknown.img", 8192, 0, 0n],
];
/** Another name of the same file. */
const LINK = "/var/link.img";
const LINKED = "/var/log.img";
const PATHS: readonly string[] = [...DEVICES.map(([path]) => path), LINK];
const FILE_SYSTEM = 2049n;
/** Region counts: of one word, of several, of one block of 4 KiB, of several blocks, of a set with three levels. */
const REGION_COUNTS = [1, 63, 64, 65, 137, 4096, 24_576, 24_577, 60_000, 1, 64, 137, 300_000];
const OPTIONS = ["", " nosync", " sync", " block_on_error", " nosync block_on_error", " sync nosync"];
const TYPES: readonly RequestName[] = [
  ...(["RESUME", "PRESUSPEND", "POSTSUSPEND", "DTR", "GET_REGION_SIZE", "GET_SYNC_COUNT", "STATUS_INFO"] as const),
  ...(["STATUS_TABLE", "FLUSH", "GET_RESYNC_WORK", "IS_CLEAN", "IN_SYNC", "IS_REMOTE_RECOVERING"] as const),
  ...(["MARK_REGION", "CLEAR_REGION", "FLUSH", "SET_REGION_SYNC", "SET_REGION_SYNC", "MARK_REGION"] as const),
  ...(["RESUME", "FLUSH"] as const),
];
const ERRORS = [0, 0, 0, 0, 0, 0, -5, -19, -28, 1, 0x7fff_ffff, -0x8000_0000];
const NUMBERS = [0, 1, 2, 3, 7, 8, 16, 17, 160, 168, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const QUIETS_NS = [0, 7, 1_000_000, 3_000_000_000, 2 ** 40];
const LAZY_REGIONS = [0, 1, 3, 65_536, 0xffff_ffff];
const AHEAD_REGIONS = [0, 1, 5, 64, 4096, 0xffff_fffe];
const BLOCK_BYTES = [0, 1, 4096, 8192, 65_536, 65_537, 131_072, 0xffff_ffff];
/** Inputs in which everything must have come to rest when nothing is asked any more. */
const REST_INPUTS_MAX = 5000;
const PENDING_MAX = 64;
const REFUSED_ONE_IN = 16;
const CN_MESSAGE_BYTES_MAX = 36 + 0xffff;
const LARGEST_REGION = 300_000;
/** The model keeps a number for each region: with larger logs there would be few programs. */
const REGIONS_FOLLOWED_MAX = 5000;

/** Runs programs. Throws a Misdeed where the core does what it must not. */
export class World {
  engine!: Engine;
  readonly traces: Uint8Array[] = [];
  private judge!: Judge;
  private recording: Recording | null = null;
  private follower: EngineFollower | null = null;
  private readonly devices = new Map<string, Uint8Array>();
  private readonly stateFiles = new Map<number, Uint8Array>();
  private readonly paths = new Map<number, string>();
  private pending: Operation[] = [];
  private nowNs = 1_000_000_000;
  private wakeAtNs = 0;
  private seq = 0;
  private inputsBefore = 0;
  private readonly numbers: Readonly<Record<string, number>>;

  constructor(private readonly options: WorldOptions) {
    this.numbers = exportsOf(options.module);
    for (const [path, bytes] of DEVICES) this.devices.set(path, new Uint8Array(bytes));
    this.devices.set(LINK, this.devices.get(LINKED) as Uint8Array);
    this.start();
  }

  /** Inputs that cores were given. */
  get inputs(): number {
    return this.inputsBefore + this.judge.inputs;
  }

  run(program: readonly Deed[]): void {
    for (const deed of program) this.act(deed);
    if (this.options.isHonest) this.rest();
    const violated = this.engine.violatedInvariant();
    if (violated !== 0) throw new Misdeed(`invariant ${violated} does not hold`);
  }

  /** The trace of all engines so far; `record` must have been set. */
  recorded(): Uint8Array {
    this.endRecording();
    return Buffer.concat(this.traces);
  }

  /** Everything that is under way ends well, and time passes: whoever waits is answered. */
  private rest(): void {
    for (let inputs = 0; this.pending.length > 0 || this.wakeAtNs !== 0; inputs++) {
      if (inputs === REST_INPUTS_MAX) throw new Misdeed("it never comes to rest");
      this.judge.begin();
      if (this.pending.length > 0) this.complete(0, 0, 0);
      else this.tick(1);
    }
    this.demandRules();
    this.judge.judgeRest();
  }

  private start(): void {
    this.endRecording();
    const { module, isHonest, onLimit } = this.options;
    if (this.judge !== undefined) this.inputsBefore += this.judge.inputs;
    this.engine = new Engine(module);
    this.judge = new Judge(this.engine, { module, isHonest, refusedOneIn: REFUSED_ONE_IN, onLimit });
    if (this.options.record) this.beginRecording();
    // The model takes for granted that the host keeps the contract.
    this.follower = isHonest ? new EngineFollower(this.engine, REGIONS_FOLLOWED_MAX) : null;
  }

  private beginRecording(): void {
    const { judge } = this;
    const recording = new Recording(this.engine, { application: "dm-ulog fuzz", coreSha256: "" });
    this.recording = recording;
    // What is wrong is recorded before it is judged.
    this.engine.tap = {
      handled: (effectsBytes) => {
        recording.handled(effectsBytes);
        judge.handled(effectsBytes);
      },
      trapped: (error) => {
        recording.trapped(error);
        judge.trapped(error);
      },
    };
  }

  private demandRules(): void {
    const violation = this.follower?.violation ?? null;
    if (violation !== null) throw new Misdeed(violation.message);
  }

  private endRecording(): void {
    if (this.recording !== null) this.traces.push(this.recording.finish().slice());
    this.recording = null;
  }

  private act([kind, a, b, c]: Deed): void {
    this.judge.begin();
    const before = this.judge.underWay(a % 4);
    let what = "";
    switch (kind % DEED_KINDS) {
      case 0:
        what = this.construct(a, b, c);
        break;
      case 1:
      case 2:
        what = this.request(a, b, c, false);
        break;
      case 3:
        what = this.request(a, b, c, true);
        break;
      case 4:
      case 5:
        what = this.complete(a, b, c);
        break;
      case 6:
        what = this.tick(a);
        break;
      case 7:
        what = this.rare(a, b, c);
        break;
      case 9:
        what = this.completeMany(a);
        break;
      case 10:
        what = this.forget(a, b);
        break;
      case 11:
        what = this.crowd(a, b, c);
        break;
      case 12:
        what = this.populate(a, b);
        break;
      case 13:
        what = this.work(a, b, c);
        break;
      default:
        what = this.options.isHonest ? this.complete(a, b, c) : this.lie(a, b, c);
    }
    this.demandRules();
    const { judge } = this;
    this.options.onOutcome?.(
      `${what} ${before} ${judge.underWay(a % 4)} ${judge.effectsMask} ${judge.lastError} ${Math.min(3, this.pending.length)}`,
    );
  }

  private construct(a: number, b: number, c: number): string {
    const regions = pick(REGION_COUNTS, b);
    const sectors = regions * 2 - (c & 1 && regions > 1 ? 1 : 0);
    const isDisk = (b >>> 8) % 4 !== 0;
    const options = pick(OPTIONS, c >>> 1);
    const type = `${(b >>> 12) & 1 ? "clustered-" : ""}${isDisk ? `disk ${pick(PATHS, a)}` : "core"}`;
    const reconnects = (c >>> 8) % 4 === 0 ? "\0" : "";
    // Spaces are no words: a string that is too long, or as long as it may be.
    const padding = " ".repeat(
      (c >>> 12) % 16 === 0 ? (this.numbers.CONSTRUCTOR_BYTES_MAX as number) - ((c >>> 16) % 40) : 0,
    );
    this.send(a, "CTR", asciiBytes(`${sectors} ${type} 2${options}${padding}${reconnects}`));
    return `CTR ${isDisk} ${options} ${reconnects.length}`;
  }

  private request(a: number, b: number, c: number, isMangled: boolean): string {
    const type = pick(TYPES, b);
    const random = new Random(c);
    const regions = type === "FLUSH" && random.oneIn(2) ? [] : this.regions(type, random);
    const data = type === "SET_REGION_SYNC" ? [regions[0] ?? 0, random.below(10) === 0 ? 2 : random.below(2)] : regions;
    const frame = this.frame(a, type, data);
    if (!isMangled) {
      this.judge.isWholeFrame = true;
      this.deliver(frame, 0);
      return type;
    }
    const { mangled, port } = this.mangle(frame, random);
    this.deliver(mangled, port);
    return `mangled ${type}`;
  }

  private regions(type: RequestName, random: Random): number[] {
    if (["IS_CLEAN", "IN_SYNC", "IS_REMOTE_RECOVERING", "SET_REGION_SYNC"].includes(type)) return [this.region(random)];
    if (!["MARK_REGION", "CLEAR_REGION", "FLUSH"].includes(type)) return [];
    if (random.oneIn(10)) return this.everywhere();
    return Array.from({ length: random.between(1, random.pick([1, 4, 32])) }, () => this.region(random));
  }

  /** As many regions as a request may name, in all blocks of the largest log. */
  private everywhere(): number[] {
    const { INPUT_PAYLOAD_BYTES_MAX, FRAME_BYTES } = this.engine.abi;
    // cn_msg says its length in 16 bits.
    const messageBytesMax = Math.min(INPUT_PAYLOAD_BYTES_MAX, CN_MESSAGE_BYTES_MAX);
    const length = Math.floor((messageBytesMax - FRAME_BYTES) / 8);
    const step = Math.max(65, Math.floor(LARGEST_REGION / length));
    return Array.from({ length }, (_, i) => (i * step) % LARGEST_REGION);
  }

  private region(random: Random): number {
    return random.oneIn(3) ? random.below(LARGEST_REGION) : random.below(random.pick([1, 2, 64, 140, 30_000]));
  }

  private mangle(frame: Uint8Array, random: Random): { mangled: Uint8Array; port: number } {
    const { abi } = this.engine;
    const view = new DataView(frame.buffer);
    const fields = [
      abi.NLMSG_LEN,
      abi.CN_IDX,
      abi.CN_VAL,
      abi.ULOG_VERSION,
      abi.ULOG_ERROR,
      abi.ULOG_TYPE,
      abi.ULOG_DATA_SIZE,
    ];
    let mangled = frame;
    for (let times = random.between(1, 3); times > 0; times--) {
      switch (random.below(5)) {
        case 0:
          frame[random.below(frame.length)] = random.below(256);
          break;
        case 1:
          view.setUint32(random.pick(fields), random.oneIn(3) ? random.uint32() : random.pick(NUMBERS), true);
          break;
        case 2:
          view.setUint16(abi.CN_LEN, random.pick(NUMBERS) & 0xffff, true);
          break;
        case 3:
          mangled = frame.slice(0, random.below(frame.length + 1));
          break;
        default:
          frame[abi.ULOG_UUID + random.below(abi.UUID_BYTES)] = random.below(256);
      }
    }
    return { mangled, port: random.oneIn(20) ? random.uint32() : 0 };
  }

  private send(a: number, type: RequestName, data: Uint8Array | number[]): void {
    const frame = this.frame(a, type, data);
    this.judge.isWholeFrame = frame.length <= this.engine.abi.INPUT_PAYLOAD_BYTES_MAX;
    this.deliver(frame, 0);
  }

  private frame(a: number, type: RequestName, data: Uint8Array | number[]): Uint8Array {
    const uuid = pick(UUIDS, a);
    const luid = pick(LUIDS, a >>> 8);
    // The kernel repeats a number when it repeats a request.
    const seq = (a >>> 16) % 16 === 0 ? this.seq : ++this.seq;
    return encodeRequest(this.engine.abi, { type, uuid, luid, seq, version: (a >>> 20) % 8 === 0 ? 2 : 3, data });
  }

  private deliver(frame: Uint8Array, port: number): void {
    this.engine.deliver(frame, port, this.nowNs, this.handler);
  }

  private readonly handler: EffectHandler = {
    send: () => {},
    notice: () => {},
    open: (head, path) => {
      this.paths.set(head.handle, path);
      this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_OPEN, path });
    },
    read: (head) => this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_READ }),
    write: (head, address) => {
      const bytes = this.engine.read(address, head.sizeBytes);
      this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_WRITE, bytes });
    },
    close: () => {},
    flushLegs: (head) => this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_FLUSH_LEGS }),
    wake: (atNs) => {
      this.wakeAtNs = atNs;
    },
    stateCreate: (head) => this.stateFiles.set(head.handle, new Uint8Array(head.offsetBytes)),
    stateWrite: (head, address) =>
      this.stateFiles.get(head.handle)?.set(this.engine.read(address, head.sizeBytes), head.offsetBytes),
    stateDelete: (head) => this.stateFiles.delete(head.handle),
  };

  /** Ends what is under way: with success, or with an error; a liar also with other sizes. */
  private complete(a: number, b: number, c: number): string {
    const index = this.pending.length === 0 ? 0 : a % this.pending.length;
    const [operation] = this.pending.splice(index, 1);
    if (operation === undefined) return "nothing to complete";
    const completion: Completion = { effect: operation.effect, error: pick(ERRORS, b) };
    if (this.options.isHonest && completion.error > 0) completion.error = 0;
    return this.end(operation, completion, c);
  }

  /** A host whose devices work, at work for a while. */
  private completeMany(a: number): string {
    const { length } = this.pending;
    for (let left = a % 128; left > 0 && (this.pending.length > 0 || this.isDue()); left--) {
      this.judge.begin();
      if (this.isDue()) {
        this.tick(1);
        continue;
      }
      const operation = this.pending.shift() as Operation;
      this.end(operation, { effect: operation.effect, error: 0 }, 1);
    }
    return `completions ${length === 0} ${this.pending.length === 0}`;
  }

  /** Whether the core goes on at once: work in slices. */
  private isDue(): boolean {
    return this.wakeAtNs !== 0 && this.wakeAtNs <= this.nowNs;
  }

  private end(operation: Operation, completion: Completion, c: number): string {
    const { head, effect } = operation;
    const { abi } = this.engine;
    const path = this.paths.get(head.handle) ?? "";
    const medium = this.devices.get(path) ?? new Uint8Array(0);
    const isLie = !this.options.isHonest && (c >>> 20) % 6 === 0;
    if (effect === abi.EFFECT_KIND_OPEN && completion.error === 0) {
      const sizeBytes = isLie ? pick([0, 511, 512, 1024, 1536, 4095, 4097, 2 ** 40], c) : medium.length;
      const [, , minor, inode] = DEVICES.find(([name]) => name === (path === LINK ? LINKED : path)) ?? ["", 0, 0, 0n];
      const told = isLie ? c % 3 : minor;
      const fileSystem = inode === 0n ? 0n : FILE_SYSTEM;
      completion.device = { sizeBytes, major: told === 0 ? 0 : 98, minor: told, fileSystem, inode };
    } else if (effect === abi.EFFECT_KIND_READ && completion.error === 0) {
      const data = medium.slice(head.offsetBytes, head.offsetBytes + head.sizeBytes);
      completion.data = isLie ? data.slice(0, c % (data.length + 1)) : padded(data, head.sizeBytes);
    } else if (effect === abi.EFFECT_KIND_WRITE && completion.error === 0) {
      const bytes = operation.bytes as Uint8Array;
      if (head.offsetBytes + bytes.length <= medium.length) medium.set(bytes, head.offsetBytes);
    }
    // A late or repeated completion comes again some time.
    if (isLie && this.pending.length < PENDING_MAX) this.pending.push(operation);
    const told = isLie && (c >>> 24) % 3 === 0 ? this.otherHead(head, c) : head;
    this.engine.completed(told, completion, this.nowNs, this.handler);
    return `completion ${effect} ${completion.error} ${isLie}`;
  }

  private otherHead(head: Head, c: number): Head {
    const random = new Random(c);
    switch (random.below(4)) {
      case 0:
        return { ...head, handle: random.pick([0, 1, 2, ...this.lastHandles(), 0xffff_ffff]) };
      case 1:
        return { ...head, sizeBytes: random.pick([0, 1, 512, head.sizeBytes + 1, 65_536, 65_537, 0xffff_ffff]) };
      case 2:
        return { ...head, offsetBytes: random.pick([0, 1, 512, 4096, head.offsetBytes + 1, 2 ** 40]) };
      default:
        return { ...head, ticket: random.pick([0, 1, head.ticket + 1, 2 ** 50]) };
    }
  }

  /** The last handle that there is, and the one behind it, which there is not. */
  private lastHandles(): number[] {
    const { HANDLE_COUNT } = this.numbers as { HANDLE_COUNT: number };
    return [HANDLE_COUNT - 1, HANDLE_COUNT];
  }

  /** The host tells that no table names a log; in what it says of the log something may be wrong. */
  private forget(a: number, b: number): string {
    const handle = a % 10;
    const log = handle < (this.numbers.HANDLE_COUNT as number) ? this.judge.logOf(handle) : undefined;
    const luid = (log?.luid ?? 1n) + ((b >>> 4) % 4 === 0 ? 1n : 0n);
    const uuid = (log?.uuid ?? "LVM-a") + ((b >>> 6) % 4 === 0 ? "b" : "");
    const isRight = log !== undefined && luid === log.luid && uuid.slice(0, 128) === log.uuid;
    this.engine.forget(handle, luid, uuid, this.nowNs, this.handler);
    const isForgotten = this.judge.effectsMask !== 0;
    if (!isRight && isForgotten) throw new Misdeed("what names no log was forgotten");
    if (isForgotten) this.judge.forgotten(handle);
    return `forget ${isRight} ${isForgotten}`;
  }

  /** The same request again and again, each with another seq, while nothing gets done: a device hangs. */
  private crowd(a: number, b: number, c: number): string {
    const types = ["FLUSH", "DTR", "POSTSUSPEND", "RESUME", "FLUSH", "SET_REGION_SYNC"] as const;
    const type = pick(types, b);
    const regions = type === "FLUSH" || type === "SET_REGION_SYNC" ? [c % 64] : [];
    const log = this.judge.logOf(a % 8);
    if (log === undefined) return "crowd of nothing";
    const ask = (type: RequestName, data: number[]) => {
      this.judge.begin();
      this.judge.isWholeFrame = true;
      this.deliver(encodeRequest(this.engine.abi, { ...log, type, seq: ++this.seq, version: 3, data }), 0);
    };
    if (b & 256) ask("FLUSH", [c % 64]);
    for (let left = (b >>> 9) % 24; left > 0; left--) {
      ask(type, type === "SET_REGION_SYNC" ? [...regions, 0] : regions);
    }
    return `crowd ${type}`;
  }

  /** Many small logs, of one mirror or of several. */
  private populate(a: number, b: number): string {
    const count = (b >>> 8) % 14;
    const text = asciiBytes(
      `${2 * pick(REGION_COUNTS.slice(0, 5), b)} ${b & 16 ? "core" : `disk ${pick(PATHS, b >>> 4)}`} 2`,
    );
    for (let i = 0; i < count; i++) {
      this.judge.begin();
      const luid = (b & 32 ? i : (a >>> 8) + i) & 0xff;
      this.send(((a + (b & 64 ? i : 0)) & 0xff) | (luid << 8) | 0x0011_0000, "CTR", text);
    }
    return `populate ${(b >>> 4) & 7}`;
  }

  /** A mirror with the largest log that all devices can hold, its device at work: all is marked, and cleared, and time passes. */
  private work(a: number, b: number, c: number): string {
    const log = (a & 0xffff) | 0x0011_0000;
    const path = b & 1 ? "/dev/b" : LINK;
    const ask = (type: RequestName, data: Uint8Array | number[] = []) => {
      this.judge.begin();
      this.send(log, type, data);
    };
    ask("CTR", asciiBytes(`${2 * LARGEST_REGION} disk ${path} 2 nosync`));
    this.completeMany(127);
    ask("RESUME");
    if (b & 2) this.completeMany(127);
    if (b & 4) ask("FLUSH", this.everywhere());
    if (b & 8) this.completeMany(127);
    if (b & 16) ask("CLEAR_REGION", this.everywhere());
    for (let ticks = (b >>> 5) % 4; ticks > 0; ticks--) {
      this.judge.begin();
      this.tick(1);
      if (c & 1) this.completeMany(127);
    }
    return `work ${b & 127}`;
  }

  private tick(a: number): string {
    const isDue = a % 8 !== 0;
    if (isDue && this.wakeAtNs !== 0) this.nowNs = Math.max(this.nowNs, Math.min(this.wakeAtNs, 2 ** 53 - 1));
    else this.nowNs += a % 5_000_000;
    this.wakeAtNs = 0;
    this.engine.ticked(this.nowNs, this.handler);
    return `tick ${isDue}`;
  }

  /** What happens seldom: other options, another device content, another server. */
  private rare(a: number, b: number, c: number): string {
    switch (a % 6) {
      case 0:
      case 4:
        this.engine.configure(
          {
            quietNs: pick(QUIETS_NS, b),
            lazyRegionsMax: pick(LAZY_REGIONS, b >>> 8),
            aheadRegions: pick(AHEAD_REGIONS, c >>> 8),
            blockBytes: pick(BLOCK_BYTES, c),
          },
          this.nowNs,
          this.handler,
        );
        return `options ${pick(BLOCK_BYTES, c)}`;
      case 1:
      case 5:
        this.rewriteDevice(this.devices.get(pick(PATHS, a >>> 4)) as Uint8Array, b, c);
        return "device";
      case 2:
        this.restart(b, c);
        return `restart ${b % 4 === 0}`;
      default:
        return this.giveStateFile(b, c);
    }
  }

  /** What may stand on a device: nothing, a log of any version and size, noise. */
  private rewriteDevice(medium: Uint8Array, b: number, c: number): void {
    const random = new Random(c);
    const noise = random.uint32();
    medium.fill(noise & 0xff, random.pick([0, 0, 1024]));
    if (b % 4 === 0) for (let i = 0; i < 2048; i++) medium[i] = random.below(256);
    const view = new DataView(medium.buffer);
    if (b % 8 < 6) view.setUint32(0, 0x4d69_5272, true);
    view.setUint32(4, random.pick([0, 1, 2, 2, 2, 2, 3, 0xffff_ffff]), true);
    const regions = BigInt(pick(REGION_COUNTS, b >>> 8));
    view.setBigUint64(8, random.pick([regions, regions, regions + 1n, 0n, 0xffff_ffff_ffff_ffffn]), true);
  }

  /** The server dies and another takes up what it left, perhaps damaged. */
  private restart(b: number, c: number): void {
    this.pending = [];
    this.wakeAtNs = 0;
    this.paths.clear();
    this.start();
    for (const [handle, file] of [...this.stateFiles]) {
      const given = b % 4 === 0 ? this.damaged(file, new Random(c)) : file.slice();
      this.stateFiles.set(handle, given);
      this.judge.begin();
      this.engine.restoreLog(handle, given, this.nowNs, this.handler);
    }
  }

  /** A state file in the midst of a server's life, under a handle that may be in use. */
  private giveStateFile(b: number, c: number): string {
    const files = [...this.stateFiles.values()];
    const file = files[b % (files.length + 1)] ?? new Uint8Array(300).fill(c);
    const random = new Random(c);
    const given = random.oneIn(3) ? file.slice() : this.damaged(file, random);
    const handle = random.pick([0, 1, 2, 3, 7, 17, ...this.lastHandles(), 0xffff_ffff]);
    this.engine.restoreLog(handle, given, this.nowNs, this.handler);
    return "state file";
  }

  private damaged(file: Uint8Array, random: Random): Uint8Array {
    const damaged = random.oneIn(4) ? file.slice(0, random.below(file.length + 1)) : file.slice();
    if (damaged.length === 0) return damaged;
    const view = new DataView(damaged.buffer);
    for (let times = random.between(0, 4); times > 0; times--) {
      const at = random.oneIn(2) ? random.below(Math.min(460, damaged.length)) : random.below(damaged.length);
      if (random.oneIn(2) || (at & ~3) + 4 > damaged.length) damaged[at] = random.below(256);
      else view.setUint32(at & ~3, random.pick(NUMBERS), true);
    }
    return damaged;
  }

  /** A completion of nothing that was asked for. */
  private lie(a: number, b: number, c: number): string {
    const { abi } = this.engine;
    const random = new Random(c);
    const effect = random.below(13);
    const head = {
      handle: a % 6,
      sizeBytes: random.pick([0, 512, 4096, abi.READ_BYTES_MAX, random.uint32()]),
      offsetBytes: random.pick([0, 512, 4096, 65_536, random.uint32()]),
      ticket: random.below(40),
    };
    const completion: Completion = { effect, error: pick(ERRORS, b) };
    if (effect === abi.EFFECT_KIND_OPEN)
      completion.device = { sizeBytes: random.pick([0, 8192, 65_536]), major: 98, minor: 1 };
    if (effect === abi.EFFECT_KIND_READ) completion.data = new Uint8Array(random.pick([0, 1, 4096, 65_536])).fill(b);
    this.engine.completed(head, completion, this.nowNs, this.handler);
    return `lie ${effect}`;
  }
}

function pick<T>(items: readonly T[], number: number): T {
  return items[number % items.length] as T;
}

function padded(data: Uint8Array, sizeBytes: number): Uint8Array {
  if (data.length === sizeBytes) return data;
  const whole = new Uint8Array(sizeBytes);
  whole.set(data);
  return whole;
}
