// A host in Node.js that speaks the frames of docs/conformance.md: the library's engine, with a transport, a storage, a store
// and a clock on them. It can be told to make a mistake, for the tests of the kit.
//
// usage: node host.js --core FILE [--mistake NAME] DIRECTORY

import { readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Engine } from "../../src/common/engine.ts";
import { DirtyLogEngine } from "../../src/library/dirty-log-engine.ts";
import type { Clock, LogStorage, StateStore, Storage, Transport } from "../../src/library/host.ts";
import { claim, StateDirectory } from "./files.ts";
import { MISTAKES } from "./mistakes.ts";
import * as wire from "./wire.ts";

const PROTOCOL_VERSION = 1;
const EIO = 5;

/** What the host is made of; a mistake is made in one of these. */
export class Parts {
  readonly wire = new wire.Wire();
  readonly transport: Transport = { send: (datagram) => this.wire.send(datagram) };
  readonly clock: Clock = {
    nowNs: () => this.wire.nowNs,
    after: (delayNs, callback) => {
      this.alarm = { atNs: this.wire.nowNs + delayNs, callback };
      return () => {
        this.alarm = null;
      };
    },
  };
  readonly storage: Storage = {
    open: (name) => this.openDevice(name),
    flushLegs: async ({ luid, uuid }) => {
      await this.wire.call(wire.FLUSH_LEGS, 0, 0, Buffer.concat([wire.u64(luid), Buffer.from(uuid)]));
    },
  };
  /** The one time at which the engine wants to be called. */
  alarm: { atNs: number; callback: () => void } | null = null;
  readonly states: StateStore & { begin(boot: bigint): void };
  /** Sees the core before its first input. */
  onCore: (core: Engine) => void = () => {};
  /** The port that the engine is told a datagram has come from. */
  portOf = (port: number): number => port;
  /** Before it says that it has nothing to do. */
  beforeIdle: () => void = () => {};
  isClaimed = true;
  keepsOldBoot = false;
  endsAtOnce = false;

  constructor(private readonly directory: string) {
    this.states = new StateDirectory(directory);
  }

  /** Before the core is made: whose directory it is, and what is in it. */
  begin(boot: bigint): void {
    if (this.isClaimed) claim(this.directory);
    this.states.begin(this.keepsOldBoot ? 1n : boot);
  }

  async openDevice(name: string): Promise<LogStorage> {
    const { result: device, data } = await this.wire.call(wire.OPEN, 0, 0, Buffer.from(name));
    return {
      sizeBytes: Number(data.readBigUInt64LE(0)),
      numbers: { major: data.readUInt32LE(8), minor: data.readUInt32LE(12) },
      file: { fileSystem: data.readBigUInt64LE(16), inode: data.readBigUInt64LE(24) },
      read: (offsetBytes, sizeBytes) => this.readDevice(device, offsetBytes, sizeBytes),
      write: (offsetBytes, bytes) => this.writeDevice(device, offsetBytes, bytes),
      close: () => this.wire.close(device),
    };
  }

  async readDevice(device: number, offsetBytes: number, sizeBytes: number): Promise<Uint8Array> {
    const { data } = await this.wire.call(wire.READ, device, offsetBytes, wire.u32(sizeBytes));
    if (data.length < sizeBytes) throw Object.assign(new Error("a short read"), { errno: EIO });
    return data;
  }

  async writeDevice(device: number, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { result } = await this.wire.call(wire.WRITE, device, offsetBytes + at, bytes.subarray(at));
      if (result === 0) throw Object.assign(new Error("the device takes nothing"), { errno: EIO });
      at += result;
    }
    await this.wire.call(wire.FLUSH, device, 0);
  }
}

/** Shows each input to the kit before its effects are carried out. */
function show(core: Engine, { wire: out }: Parts): void {
  const { INPUT_KIND, INPUT_PAYLOAD, INPUT_PAYLOAD_SIZE, INPUT_PAYLOAD_BYTES_MAX } = core.abi;
  core.tap = {
    handled: () => {
      const memory = core.bytes();
      const size = new DataView(memory.buffer).getUint32(INPUT_PAYLOAD_SIZE, true);
      const end = INPUT_PAYLOAD + Math.min(size, INPUT_PAYLOAD_BYTES_MAX);
      out.write(wire.INPUT, memory.subarray(INPUT_KIND, end));
    },
    trapped: () => {},
  };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { core: { type: "string" }, mistake: { type: "string" } },
    allowPositionals: true,
  });
  const [directory] = positionals;
  if (directory === undefined || values.core === undefined) throw new Error("usage: host.js --core FILE DIRECTORY");
  const parts = new Parts(directory);
  if (values.mistake !== undefined) {
    const make = MISTAKES[values.mistake];
    if (make === undefined) throw new Error(`There is no mistake ${values.mistake}.`);
    make(parts);
  }
  parts.begin(parts.wire.read().payload.readBigUInt64LE(8));

  const { transport, storage, states, clock } = parts;
  let isReady = false;
  const engine = await DirtyLogEngine.create({
    ...{ core: readFileSync(values.core), transport, storage, states, clock },
    onFailure: (error) => console.error(error),
    onCore: (core) => {
      if (!isReady) parts.wire.write(wire.READY, wire.u32(PROTOCOL_VERSION, core.abi.ABI_VERSION));
      isReady = true;
      show(core, parts);
      parts.onCore(core);
    },
  });
  for (let closed: Promise<void> | null = null, isClosed = false; !isClosed; ) {
    await turn();
    parts.beforeIdle();
    parts.wire.write(wire.IDLE, wire.u64(parts.alarm?.atNs ?? 0));
    const { kind, payload } = parts.wire.read();
    if (kind === wire.DATAGRAM) engine.receive(payload.subarray(12), parts.portOf(payload.readUInt32LE(8)));
    else if (kind === wire.DONE) parts.wire.done(payload);
    else if (kind === wire.STOP) {
      if (parts.endsAtOnce) process.exit(0);
      closed = engine.close();
    }
    const { alarm } = parts;
    if (alarm !== null && alarm.atNs <= parts.wire.nowNs) {
      parts.alarm = null;
      alarm.callback();
    }
    if (closed !== null) {
      await turn();
      closed.then(() => {
        isClosed = true;
      });
      await turn();
    }
  }
}

await main();
