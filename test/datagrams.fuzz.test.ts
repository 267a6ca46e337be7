// Random inputs: real frames, changed where a frame has its joints, and completions of what the core asked for or did
// not ask for, with and without success. Nothing may trap, linear memory may not grow, and the invariants hold. DATAGRAMS=10000000 runs as many; the debug core, which checks its invariants after every
// input, takes a hundredth of them.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Completion, type EffectHandler, Engine, type Head } from "../src/common/engine.ts";
import { asciiBytes, encodeRequest, type RequestName } from "../src/common/kernel-frames.ts";
import { debugWasm, releaseWasm, seeded, seedFor, words } from "./harness.ts";

const datagrams = Number(process.env.DATAGRAMS ?? 300_000);
const seed = seedFor("datagrams.fuzz");

const UUIDS = ["LVM-a", "LVM-ab", "x".repeat(128)];
const LUIDS = [1n, 2n, 0xffff_8880_0123_4000n];
const CONSTRUCTORS = [
  "131072 clustered-core 1024",
  "131072 clustered-core 1024\0",
  "274 core 2 nosync",
  "8194 core 2 sync block_on_error",
  "131072 clustered-disk 8:0 1024",
  "131072 disk /dev/log 2 nosync",
  "131072 core 1000",
];
const REGIONS = [0n, 1n, 2n, 31n, 62n, 63n, 64n, 65n, 126n, 127n, 136n, 137n, 4096n, 0xffff_ffff_ffff_ffffn];
const NUMBERS = [0, 1, 2, 3, 7, 8, 16, 17, 18, 160, 168, 196, 204, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** Largest log that a constructor of at most 8 digits and 2 sectors a region can ask for. */
const LARGEST = "99999999 core 2";

class Fuzzer {
  readonly engine: Engine;
  readonly random;
  private readonly frames: Uint8Array[] = [];
  private readonly frame = new Uint8Array(66_000);
  private readonly view = new DataView(this.frame.buffer);
  private size = 0;
  private readonly asked: { head: Head; effect: number }[] = [];
  private nowNs = 1;
  private wakeAtNs = 0;

  constructor(wasm: Uint8Array, seedOfRun: number) {
    this.random = seeded(seedOfRun);
    this.engine = new Engine(new WebAssembly.Module(wasm));
    const { abi } = this.engine;
    for (const uuid of UUIDS) {
      for (const luid of LUIDS) {
        const add = (type: RequestName, data: Uint8Array | bigint[] = []) =>
          this.frames.push(encodeRequest(abi, { type, uuid, luid, seq: this.frames.length, data }));
        for (const text of CONSTRUCTORS) add("CTR", asciiBytes(text));
        add("CTR", asciiBytes(CONSTRUCTORS[0] as string));
        for (let i = 0; i < 12; i++) add("RESUME");
        for (const type of ["PRESUSPEND", "POSTSUSPEND", "DTR"] as const) add(type);
        for (const type of ["GET_REGION_SIZE", "GET_SYNC_COUNT", "STATUS_INFO", "STATUS_TABLE", "FLUSH"] as const)
          add(type);
        for (const region of REGIONS) {
          for (const type of ["IS_CLEAN", "IN_SYNC", "IS_REMOTE_RECOVERING"] as const) add(type, [region]);
          for (const type of ["MARK_REGION", "CLEAR_REGION", "FLUSH"] as const) add(type, [region, region / 2n, 5n]);
          add("SET_REGION_SYNC", [region, 1n]);
          add("SET_REGION_SYNC", [region, 0n]);
          add("GET_RESYNC_WORK");
        }
      }
    }
    // Memory for the largest log a mutated constructor can ask for, so that growth afterwards can only be a leak.
    const largest = { uuid: "largest", luid: 9n, seq: 0 };
    this.deliver(encodeRequest(abi, { ...largest, type: "CTR", data: asciiBytes(LARGEST) }));
    this.engine.goOn(this.nowNs, this.handler);
    this.deliver(encodeRequest(abi, { ...largest, type: "DTR" }));
  }

  deliver(datagram: Uint8Array, port = 0): { sent: number; error: number } {
    const { abi } = this.engine;
    const result = { sent: 0, error: 0 };
    this.engine.deliver(datagram, port, this.nowNs, {
      ...this.handler,
      send: (address) => {
        result.sent++;
        result.error = this.engine.bytes()[address + abi.ULOG_ERROR] as number;
      },
    });
    return result;
  }

  private readonly handler: EffectHandler = {
    send: () => {},
    notice: () => {},
    open: (head) => this.asked.push({ head, effect: this.engine.abi.EFFECT_KIND_OPEN }),
    read: (head) => this.asked.push({ head, effect: this.engine.abi.EFFECT_KIND_READ }),
    write: (head) => this.asked.push({ head, effect: this.engine.abi.EFFECT_KIND_WRITE }),
    flushLegs: (head) => this.asked.push({ head, effect: this.engine.abi.EFFECT_KIND_FLUSH_LEGS }),
    close: () => {},
    wake: (atNs) => {
      this.wakeAtNs = atNs;
    },
  };

  /** A completion of something that was asked for, or of anything else. */
  private complete(): void {
    const { random } = this;
    const { abi } = this.engine;
    const index = random.below(this.asked.length);
    let operation = this.asked[index];
    if (operation === undefined || random.below(8) === 0) {
      const head = {
        handle: random.below(9),
        sizeBytes: random.bits(),
        offsetBytes: random.below(9) * 4096,
        ticket: random.below(99),
      };
      operation = { head, effect: random.below(13) };
    } else {
      this.asked.splice(index, 1);
    }
    const { head, effect } = operation;
    const completion: Completion = { effect, error: random.below(6) === 0 ? -5 : 0 };
    if (effect === abi.EFFECT_KIND_OPEN) {
      completion.device = {
        sizeBytes: random.below(10) === 0 ? random.below(5000) : 1 << 20,
        major: 98,
        minor: random.below(3),
      };
    }
    if (effect === abi.EFFECT_KIND_READ) {
      const data = new Uint8Array(random.below(12) === 0 ? random.below(65536) : Math.min(head.sizeBytes, 65536));
      if (random.below(2) === 0)
        data.set([0x72, 0x52, 0x69, 0x4d, random.below(9) === 0 ? 3 : 2, 0, 0, 0, random.below(256)]);
      data.fill(random.bits(), Math.min(1024, data.length));
      completion.data = data;
    }
    this.engine.completed(head, completion, this.nowNs, this.handler);
  }

  step(): void {
    const { random, view } = this;
    const { abi } = this.engine;
    if (random.below(4) === 0) this.complete();
    if (random.below(50) === 0 && this.wakeAtNs !== 0) {
      this.nowNs = Math.max(this.nowNs, this.wakeAtNs);
      this.engine.ticked(this.nowNs, this.handler);
    }
    const template = this.frames[random.below(this.frames.length)] as Uint8Array;
    this.frame.set(template);
    this.size = template.length;
    for (let changes = Math.max(0, random.below(6) - 2); changes > 0; changes--) this.change();
    const port = random.below(50) === 0 ? random.bits() : 0;
    const isConstructor = (view.getUint32(abi.ULOG_TYPE, true) & 0xff) === abi.REQUEST_CTR;
    const { sent, error } = this.deliver(this.frame.subarray(0, this.size), port);
    // A constructor that mutation has given another name or text made a log that nobody else will end.
    const mayHaveMadeOne = sent === 0 || error === 0;
    if (isConstructor && mayHaveMadeOne && !this.isLogOf(template)) this.destroy();
  }

  private isLogOf(template: Uint8Array): boolean {
    const { abi } = this.engine;
    const same = (from: number, to: number) => {
      for (let i = from; i < to; i++) if (template[i] !== this.frame[i]) return false;
      return true;
    };
    return (
      this.size === template.length && same(abi.ULOG_LUID, abi.ULOG_VERSION) && same(abi.ULOG_DATA_SIZE, this.size)
    );
  }

  private destroy(): void {
    const { abi } = this.engine;
    this.view.setUint32(abi.ULOG_TYPE, abi.REQUEST_DTR, true);
    this.deliver(this.frame.subarray(0, this.size));
    // What the destructor of a disk log waits for.
    while (this.asked.length > 0) this.complete();
  }

  private change(): void {
    const { random, view, frame } = this;
    const { abi } = this.engine;
    const number = () => (random.below(4) === 0 ? random.bits() : (NUMBERS[random.below(NUMBERS.length)] as number));
    const fields = [abi.NLMSG_LEN, abi.CN_IDX, abi.CN_VAL, abi.CN_SEQ, abi.ULOG_VERSION, abi.ULOG_ERROR, abi.ULOG_SEQ];
    switch (random.below(10)) {
      case 0:
        frame[random.below(this.size)] = random.bits();
        break;
      case 1:
        view.setUint32(fields[random.below(fields.length)] as number, number(), true);
        break;
      case 2:
        view.setUint32(abi.ULOG_TYPE, random.below(2) === 0 ? random.below(20) : number(), true);
        break;
      case 3:
        view.setUint32(abi.ULOG_DATA_SIZE, number(), true);
        break;
      case 4:
        view.setUint16(abi.CN_LEN, number() & 0xffff, true);
        break;
      case 5:
        this.size = random.below(this.size + 1);
        break;
      case 6:
        this.resize(random.below(20) === 0 ? random.below(65_000) : random.below(64) * (random.below(3) === 0 ? 1 : 8));
        break;
      case 7:
        view.setBigUint64(abi.ULOG_LUID, random.below(2) === 0 ? 3n : BigInt(random.bits()), true);
        break;
      case 8:
        frame[abi.ULOG_UUID + random.below(abi.UUID_BYTES)] = random.below(256);
        break;
      default:
        frame[abi.ULOG_DATA + random.below(30)] = random.below(256);
    }
    // A ninth digit of the length would ask for more memory than was reserved above.
    if (frame[abi.ULOG_DATA + 8] !== 0x20) frame[abi.ULOG_DATA + 6] = 0x20;
  }

  /** Another payload size, with all three lengths in agreement. */
  private resize(dataSize: number): void {
    const { view } = this;
    const { abi } = this.engine;
    this.size = Math.min(this.frame.length, (abi.FRAME_BYTES + dataSize + 3) & ~3);
    view.setUint32(abi.NLMSG_LEN, abi.FRAME_BYTES + dataSize, true);
    view.setUint16(abi.CN_LEN, abi.ULOG_HEADER_BYTES + dataSize, true);
    view.setUint32(abi.ULOG_DATA_SIZE, dataSize, true);
  }
}

function run(wasm: Uint8Array, count: number, checkEvery: number): void {
  const fuzzer = new Fuzzer(wasm, seed);
  const bytesBefore = fuzzer.engine.bytes().length;
  for (let i = 0; i < count; i++) {
    fuzzer.step();
    if (i % checkEvery === 0) assert.is(fuzzer.engine.violatedInvariant(), 0);
  }
  assert.is(fuzzer.engine.violatedInvariant(), 0);
  assert.is(fuzzer.engine.bytes().length, bytesBefore, "linear memory has grown");
  const counters = words.counters(fuzzer.engine);
  const dropped = counters.droppedForeign + counters.droppedTruncated + counters.droppedMalformed;
  const share = (part: number) => `${((100 * part) / count).toFixed(1)} %`;
  const refused = counters.refused;
  console.log(`dropped ${share(dropped)}, refused ${share(refused)}, done ${share(count - dropped - refused)}`);
  assert.ok(count - dropped - refused > count / 8, "mutations reach the requests, not the framing alone");
}

test(`${datagrams} random datagrams leave the release core sound`, () => {
  const startedMs = performance.now();
  run(releaseWasm, datagrams, 1000);
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(`${datagrams} datagrams in ${seconds.toFixed(1)} s`);
});

test(`${Math.ceil(datagrams / 100)} random datagrams leave the debug core sound after each`, () => {
  run(debugWasm, Math.ceil(datagrams / 100), 1000);
});

test.run();
