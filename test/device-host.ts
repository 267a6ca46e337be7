// A host with log devices and state files in memory, for tests of disk logs. What it is asked to do waits until the test
// says how it ends, so that every order of completions can be tried.

import type { Completion, EffectHandler, Engine, Head } from "../src/common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest, type Reply, type Request } from "../src/common/kernel-frames.ts";
import type { EngineFollower } from "../src/common/model/engine-follower.ts";
import { demandRules, followed, words } from "./harness.ts";

interface Operation {
  head: Head;
  effect: number;
  /** WRITE: the bytes as they were when the core asked. */
  bytes?: Uint8Array;
}

/** Writes the header of a log of so many regions as the kernel's `disk` log has it, which names nobody. */
export function putLogHeader(device: Uint8Array, regions: number): void {
  device.set([0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0]);
  new DataView(device.buffer, device.byteOffset).setBigUint64(8, BigInt(regions), true);
}

/** A mirror that was in sync when its device was last written: every region is clean on it. */
export function fillClean(device: Uint8Array, regions: number): void {
  device.fill(0);
  putLogHeader(device, regions);
  device.fill(0xff, 1024, 1024 + Math.ceil(regions / 8));
}

export class DeviceHost {
  /** Content of each device, by the path the constructor names. Major and minor are 98:n, n counting from 0. */
  readonly devices = new Map<string, Uint8Array>();
  /** Devices that are regular files. */
  readonly files = new Set<string>();
  /** Inode of each regular file whose host tells it; two paths of one file have the same. */
  readonly inodes = new Map<string, bigint>();
  /** State writes for which there was no file: a log that is gone still writes. */
  strayStateWrites = 0;
  readonly stateFiles = new Map<number, Uint8Array>();
  readonly opened = new Map<number, string>();
  /** What waits for `complete`. */
  pending: Operation[] = [];
  replies: Reply[] = [];
  notices: string[] = [];
  /** Writes done on devices: offset and size of each. */
  writes: { offset: number; size: number }[] = [];
  wakeAtNs = 0;
  nowNs = 1_000_000_000;
  private seq = 0;

  private readonly follower: EngineFollower | null;

  /** An engine that starts afresh is held against the model of the protocol, as long as nobody else looks on. */
  constructor(public engine: Engine) {
    this.follower = followed(engine);
  }

  readonly handler: EffectHandler = {
    send: (address, size) => this.replies.push(decodeReply(this.engine.abi, this.engine.read(address, size))),
    notice: (address, size) => this.notices.push(words.describeNotice(this.engine.read(address, size))),
    open: (head, path) => {
      this.opened.set(head.handle, path);
      this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_OPEN });
    },
    read: (head) => this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_READ }),
    write: (head, address) =>
      this.pending.push({
        head,
        effect: this.engine.abi.EFFECT_KIND_WRITE,
        bytes: this.engine.read(address, head.sizeBytes),
      }),
    close: (head) => this.opened.delete(head.handle),
    flushLegs: (head) => this.pending.push({ head, effect: this.engine.abi.EFFECT_KIND_FLUSH_LEGS }),
    wake: (atNs) => {
      this.wakeAtNs = atNs;
    },
    stateCreate: (head) => this.stateFiles.set(head.handle, new Uint8Array(head.offsetBytes)),
    stateWrite: (head, address) => {
      const file = this.stateFiles.get(head.handle);
      if (file === undefined) this.strayStateWrites++;
      file?.set(this.engine.read(address, head.sizeBytes), head.offsetBytes);
    },
    stateDelete: (head) => this.stateFiles.delete(head.handle),
  };

  /** Sends a request; its reply comes to `replies`, at once or when what it waits for is completed. Returns its seq. */
  request(type: Request["type"], data: Request["data"] = [], uuid = "LVM-disk", luid = 5n): number {
    const request = { type, uuid, luid, seq: ++this.seq, data };
    this.engine.deliver(encodeRequest(this.engine.abi, request), 0, this.nowNs, this.handler);
    demandRules(this.engine, this.follower);
    return this.seq;
  }

  /** Sends a request and completes everything until nothing is under way. */
  ask(type: Request["type"], data: Request["data"] = [], uuid = "LVM-disk", luid = 5n): Reply {
    const seq = this.request(type, data, uuid, luid);
    this.completeAll();
    // A large log is made, and met with its device, in slices.
    if (this.replyTo(seq) === undefined) this.goOn();
    const reply = this.replyTo(seq);
    if (reply === undefined) throw new Error(`no reply to ${type}`);
    return reply;
  }

  construct(text: string): Reply {
    return this.ask("CTR", asciiBytes(text));
  }

  replyTo(seq: number): Reply | undefined {
    return this.replies.find((reply) => reply.seq === seq);
  }

  /** Ends the operation at `index` of those that wait, with `error`, or with success and its effect on the device. */
  complete(index = 0, error = 0): void {
    const [operation] = this.pending.splice(index, 1);
    if (operation === undefined) throw new Error("nothing waits");
    const { head, effect } = operation;
    const { abi } = this.engine;
    const path = this.opened.get(head.handle) ?? "";
    const device = this.devices.get(path);
    const completion: Completion = { effect, error };
    if (effect === abi.EFFECT_KIND_OPEN && error === 0) {
      if (device === undefined) completion.error = -2;
      else if (this.files.has(path)) {
        const inode = this.inodes.get(path) ?? 0n;
        completion.device = {
          sizeBytes: device.length,
          major: 0,
          minor: 0,
          fileSystem: inode === 0n ? 0n : 2049n,
          inode,
        };
      } else {
        const minor = [...this.devices.keys()].indexOf(path) + 16;
        completion.device = { sizeBytes: device.length, major: 98, minor };
      }
    }
    if (effect === abi.EFFECT_KIND_READ && error === 0) {
      completion.data = (device as Uint8Array).slice(head.offsetBytes, head.offsetBytes + head.sizeBytes);
    }
    if (effect === abi.EFFECT_KIND_WRITE && error === 0) {
      (device as Uint8Array).set(operation.bytes as Uint8Array, head.offsetBytes);
      this.writes.push({ offset: head.offsetBytes, size: head.sizeBytes });
    }
    this.engine.completed(head, completion, this.nowNs, this.handler);
    demandRules(this.engine, this.follower);
  }

  completeAll(): void {
    for (let steps = 0; this.pending.length > 0; steps++) {
      if (steps > 100_000) throw new Error("it never comes to rest");
      this.complete();
    }
  }

  /** Ends what is under way, and ticks where the core goes on at once, until neither is left. */
  goOn(): void {
    for (let steps = 0; this.step(); steps++) if (steps > 100_000) throw new Error("it never comes to rest");
  }

  /** Ends what has waited longest, or ticks where the core goes on at once. Returns whether there was such a thing. */
  step(): boolean {
    if (this.pending.length > 0) this.complete();
    else if (this.wakeAtNs !== 0 && this.wakeAtNs <= this.nowNs) this.tickOnce();
    else return false;
    return true;
  }

  private tickOnce(): void {
    this.nowNs = Math.max(this.nowNs, this.wakeAtNs);
    this.wakeAtNs = 0;
    this.engine.ticked(this.nowNs, this.handler);
  }

  /** Ends what is under way; every use of the device fails. */
  completeFailing(error: number): void {
    const { EFFECT_KIND_FLUSH_LEGS } = this.engine.abi;
    while (this.pending.length > 0) this.complete(0, this.pending[0]?.effect === EFFECT_KIND_FLUSH_LEGS ? 0 : error);
  }

  /** Lets time pass until the next wake-up, `times` times. */
  tick(times = 1): void {
    for (let i = 0; i < times && this.wakeAtNs !== 0; i++) {
      this.tickOnce();
      this.completeAll();
    }
  }

  /** The server dies and comes back: another engine, the same devices and state files. */
  restart(engine: Engine): void {
    this.engine = engine;
    this.pending = [];
    this.opened.clear();
    this.wakeAtNs = 0;
    for (const [handle, file] of [...this.stateFiles])
      engine.restoreLog(handle, file.slice(), this.nowNs, this.handler);
  }
}
