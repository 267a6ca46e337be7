// What the tests share: the built core, a peer that talks to an engine as the kernel does, and seeded randomness.

import { readFileSync } from "node:fs";
import { Console, type Counters, type LogDescription } from "../src/common/console.ts";
import { type EffectHandler, Engine } from "../src/common/engine.ts";
import {
  asciiBytes,
  decodeReply,
  encodeRequest,
  type Reply,
  type Request,
  type RequestName,
} from "../src/common/kernel-frames.ts";
import { EngineFollower } from "../src/common/model/engine-follower.ts";

export const releaseWasm = readFileSync(new URL("../dist/dm-ulog.wasm", import.meta.url));
/** Checks the invariants after every input, and traps where one does not hold. */
export const debugWasm = readFileSync(new URL("../dist/dm-ulog.debug.wasm", import.meta.url));

/** The same with limits so small that a test reaches them (assembly/limits.ts). */
export const smallWasm = readFileSync(new URL("../dist/dm-ulog.small.wasm", import.meta.url));

const knownExports = new WeakMap<WebAssembly.Module, Readonly<Record<string, number>>>();

/** The numbers that a core exports, by name: its limits among them. */
export function exportsOf(module: WebAssembly.Module): Readonly<Record<string, number>> {
  let numbers = knownExports.get(module);
  numbers ??= numbersOf(module);
  knownExports.set(module, numbers);
  return numbers;
}

function numbersOf(module: WebAssembly.Module): Readonly<Record<string, number>> {
  const exports = Object.entries(new WebAssembly.Instance(module, {}).exports) as [string, { value?: unknown }][];
  return Object.fromEntries(exports.flatMap(([name, { value }]) => (typeof value === "number" ? [[name, value]] : [])));
}

/** The same core with a linear memory of so many pages of 64 KiB at most. */
export function withMemoryMax(wasm: Uint8Array, pages: number): Uint8Array {
  const MEMORY_SECTION = 5;
  for (let at = 8; at < wasm.length; ) {
    const size = unsignedAt(wasm, at + 1);
    if (wasm[at] === MEMORY_SECTION) {
      const minimum = unsignedAt(wasm, size.end + 2);
      // One memory, with a maximum, its minimum as it was.
      const body = [1, 1, ...wasm.subarray(size.end + 2, minimum.end), ...unsigned(pages)];
      const before = wasm.subarray(0, at);
      return Buffer.concat([
        before,
        Uint8Array.of(MEMORY_SECTION, body.length, ...body),
        wasm.subarray(size.end + size.value),
      ]);
    }
    at = size.end + size.value;
  }
  throw new Error("the module has no memory of its own");
}

/** LEB128. */
function unsignedAt(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  let end = at;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[end++] as number;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, end };
  }
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

export const words = await Console.create(releaseWasm);

/** An answer, and the notices that came with it, in words. */
export interface Answer extends Reply {
  notices: string[];
}

/** All that an engine keeps of logs: its memory but for its counters and the areas of the input in hand. */
export function logsBytes(engine: Engine): Buffer {
  const { CORE, CORE_BYTES, INPUT_KIND, AREAS_END } = engine.abi;
  const memory = engine.bytes();
  return Buffer.concat([memory.subarray(CORE + CORE_BYTES, INPUT_KIND), memory.subarray(AREAS_END)]);
}

/** The model takes a second for each request of larger logs. */
const REGIONS_FOLLOWED_MAX = 300_000;

/** Holds an engine that starts afresh against the model of the protocol; null where something looks at it already. */
export function followed(engine: Engine): EngineFollower | null {
  return engine.isFresh && engine.tap === null ? new EngineFollower(engine, REGIONS_FOLLOWED_MAX) : null;
}

/** Throws where the engine has broken a rule of the protocol; nothing is claimed once somebody else has taken its tap. */
export function demandRules(engine: Engine, follower: EngineFollower | null): void {
  if (follower !== null && engine.tap === follower && follower.violation !== null) throw follower.violation;
}

/** Time stands still for a peer. */
const NOW_NS = 1;

/** One mirror's kernel side: sends requests of one log to an engine. */
export class Peer {
  seq = 0;
  private readonly follower: EngineFollower | null;

  constructor(
    readonly engine: Engine,
    readonly uuid = "LVM-test",
    readonly luid = 0xffff_8880_0123_4000n,
  ) {
    this.follower = followed(engine);
  }

  /** An engine of its own, with invariants checked after every input. */
  static debug(): Peer {
    return new Peer(new Engine(new WebAssembly.Module(debugWasm)));
  }

  /** A resumed log of `regions` regions of 2 sectors. */
  static resumed(regions: number, options = ""): Peer {
    const peer = Peer.debug();
    peer.construct(`${regions * 2} clustered-core 2${options}`);
    peer.ask("RESUME");
    return peer;
  }

  construct(text: string): Answer {
    return this.ask("CTR", asciiBytes(text));
  }

  ask(type: RequestName | number, data: Request["data"] = [], extra: Partial<Request> = {}): Answer {
    const request = { type, uuid: this.uuid, luid: this.luid, seq: ++this.seq, data, ...extra };
    const answers = this.deliver(encodeRequest(this.engine.abi, request));
    const answer = answers[0];
    if (answers.length !== 1 || answer === undefined) throw new Error(`${answers.length} answers to ${type}`);
    return answer;
  }

  /** Sends a datagram, and ticks as long as the core has work to do at once. */
  deliver(datagram: Uint8Array, senderPort = 0): Answer[] {
    const answers: Answer[] = [];
    const notices: string[] = [];
    const handler: EffectHandler = {
      send: (address, size) =>
        answers.push({ ...decodeReply(this.engine.abi, this.engine.read(address, size)), notices }),
      notice: (address, size) => notices.push(words.describeNotice(this.engine.read(address, size))),
      wake: () => {},
    };
    this.engine.deliver(datagram, senderPort, NOW_NS, handler);
    this.engine.goOn(NOW_NS, handler);
    demandRules(this.engine, this.follower);
    return answers;
  }

  describe(): LogDescription {
    const found = words.logs(this.engine).find((log) => log.uuid === this.uuid && log.luid === this.luid);
    if (found === undefined) throw new Error(`no log ${this.uuid}`);
    return found;
  }

  counters(): Counters {
    return words.counters(this.engine);
  }

  states(first = 0, count = 0xffff_ffff): number[] {
    return [...words.regionStates(this.engine, this.uuid, this.luid, first, count)];
  }
}

/** The seed of a random test: `SEED=n` names one, else it is always the same. Printed, so that a failure can be repeated. */
export function seedFor(test: string): number {
  const seed = Number(process.env.SEED ?? 1);
  console.log(`${test}: seed ${seed} (SEED=${seed})`);
  return seed;
}

/** sfc32 by Chris Doty-Humphrey: 32 bits at a time, the same everywhere. */
export function seeded(seed: number): { below: (limit: number) => number; bits: () => number } {
  let a = 0;
  let b = seed >>> 0;
  let c = Math.floor(seed / 0x1_0000_0000) >>> 0;
  let counter = 1;
  const bits = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 15; i++) bits();
  return { bits, below: (limit) => Math.floor((bits() / 0x1_0000_0000) * limit) };
}
