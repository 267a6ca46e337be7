// A kernel's side of one engine: logs of one size by name, requests to them, replies decoded. Nothing here is measured.

import { readFileSync } from "node:fs";
import type { Abi } from "../src/common/abi.ts";
import { type EffectHandler, Engine } from "../src/common/engine.ts";
import { decodeReply, encodeRequest, type Reply, type Request, type RequestName } from "../src/common/kernel-frames.ts";
import { ReplyReader } from "./reply-reader.ts";

export const REGION_SIZE_SECTORS = 1024;

/** A UUID as lvm2 makes them: 68 characters. */
const UUID_START = "LVM-bEnCh0mARkd1rtyL0gXXXXXXXXXXXXXX";
const UUID_END_CHARACTERS = 32;
/** luids are kernel addresses. */
const LUIDS = { first: 0xffff_8881_03a5_c000n, second: 0xffff_8881_03a5_d000n, third: 0xffff_8881_0dea_d000n };
/** Time stands still. */
const NOW_NS = 1;
export type LogName = keyof typeof LUIDS;

export interface RequestOptions {
  /** The first log where left out. */
  log?: LogName;
  data?: Request["data"];
}

export class Client {
  readonly engine: Engine;
  readonly abi: Abi;
  readonly reader: ReplyReader;
  private seq = 0;
  private readonly repeated = new Map<string, Uint8Array>();

  constructor(
    module: WebAssembly.Module,
    readonly regionCount: number,
  ) {
    this.engine = new Engine(module);
    this.abi = this.engine.abi;
    this.reader = new ReplyReader(this.abi);
  }

  /** The constructor string as the kernel sends it; one that reconnects ends it with a NUL. */
  constructorText(options: { sync?: "nosync" | "default"; reconnects?: boolean } = {}): Uint8Array {
    const choice = options.sync === "default" ? "" : " nosync";
    const end = options.reconnects ? "\0" : "";
    const sectors = this.regionCount * REGION_SIZE_SECTORS;
    return new TextEncoder().encode(`${sectors} clustered-core ${REGION_SIZE_SECTORS}${choice}${end}`);
  }

  encode(type: RequestName, options: RequestOptions = {}): Uint8Array {
    const log = options.log ?? "first";
    const uuid = `${UUID_START}${String(this.regionCount).padStart(UUID_END_CHARACTERS, "0")}`;
    const request = { type, uuid, luid: LUIDS[log], seq: ++this.seq };
    return encodeRequest(this.abi, options.data === undefined ? request : { ...request, data: options.data });
  }

  /** One request outside the measurement; throws if the core refuses it. */
  ask(type: RequestName, options: RequestOptions = {}): Reply {
    const reply = this.exchange(this.encode(type, options));
    if (reply.error !== 0) throw new Error(`${type} of a mirror of ${this.regionCount} regions: error ${reply.error}`);
    return reply;
  }

  /** The reply to a datagram. */
  exchange(datagram: Uint8Array): Reply {
    return decodeReply(this.abi, this.replyBytes(datagram));
  }

  /** The reply to a datagram, as it would be sent. */
  replyBytes(datagram: Uint8Array): Uint8Array {
    let reply: Uint8Array | undefined;
    const handler: EffectHandler = {
      send: (address, size) => {
        reply = this.engine.bytes().slice(address, address + size);
      },
      notice: () => {},
      wake: () => {},
    };
    this.engine.deliver(datagram, this.abi.KERNEL_PORT, NOW_NS, handler);
    this.engine.goOn(NOW_NS, handler);
    if (reply === undefined) throw new Error("The core did not answer a request.");
    this.reader.attach(this.engine);
    return reply;
  }

  /** Like `ask`, but a hundred times faster, for the millions of requests that prepare a large mirror. */
  put(type: RequestName, log: LogName, first?: number, second?: number): void {
    const key = `${type} ${log}`;
    const data = [first, second].filter((word) => word !== undefined);
    let datagram = this.repeated.get(key);
    if (datagram === undefined) {
      datagram = this.encode(type, { log, data });
      this.repeated.set(key, datagram);
    }
    const words = new Uint32Array(datagram.buffer, this.abi.ULOG_DATA, data.length * 2);
    for (const [i, word] of data.entries()) words[i * 2] = word;
    this.engine.deliver(datagram, this.abi.KERNEL_PORT, NOW_NS, this.reader);
    if (this.reader.errors > 0) throw new Error(`${key} of a mirror of ${this.regionCount} regions was refused.`);
  }

  setSync(log: LogName, region: number, inSync: 0 | 1): void {
    this.put("SET_REGION_SYNC", log, region, inSync);
  }

  /** Makes the resync of regions fail: each is handed out as resync work and reported as out of sync. */
  failPending(log: LogName, regionCount: number): void {
    for (let i = 0; i < regionCount; i++) {
      this.put("GET_RESYNC_WORK", log);
      this.setSync(log, this.reader.second, 0);
    }
  }
}

export function loadCore(path: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(path));
}
