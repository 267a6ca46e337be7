// Looks at a running native host (dm-ulogd), which serves nobody but the kernel: its page in the runtime directory and its linear
// memory are files that this process only reads. It cannot hold the server up. The layout is that of src/native/server-page.h.
//
// Invariant: no copy is used that was made while the core handled an input: the page's sequence number is odd then, and another
// one afterwards.

import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { type Console, type LogDescription, type MemorySource, nameOfHandle } from "../../common/console.ts";
import { type LatencyHistogram, latencyRow } from "../requests/latencies.ts";
import { holdersOf, type Listener, requestSockets } from "../requests/netlink-sockets.ts";
import type { SpinCounters } from "../requests/spin.ts";
import { serverPagePath } from "../state/runtime-paths.ts";

const MAGIC = 0x47505355;
const VERSION = 1;
/** Offsets of fields; a test compares them with the header. */
export const PAGE_FIELDS = {
  pid: 8,
  netlink_port: 12,
  sequence: 16,
  memory_fd: 20,
  memory_bytes: 24,
  start_unix_ns: 40,
  heartbeat_ns: 56,
  overruns: 64,
  listener_drops: 72,
  spin_window_ns: 80,
  spin_tries: 88,
  spin_hits: 96,
  spin_spent_ns: 104,
  is_stopped: 112,
  application: 120,
  latencies: 264,
} as const;
const HEAD_BYTES = PAGE_FIELDS.latencies;
const APPLICATION_BYTES = 32;
const DEVICE_BYTES = 16;
const NS_PER_SECOND = 1e9;

/** The most tries for one copy. An input takes about a microsecond, so that a few are enough. */
const ATTEMPTS_MAX = 1000;
/** An operation on a device is told of when it takes longer, in seconds. */
const LONG_SECONDS = 5;

/** An operation on a log device that takes long. */
export interface BusyDevice {
  uuid: string;
  operation: string;
  seconds: number;
}

export class NativeHost implements MemorySource {
  private readonly word = Buffer.alloc(4);

  private constructor(
    private readonly pageFd: number,
    private readonly memoryFd: number,
    readonly pid: number,
    readonly netlinkPort: number,
  ) {}

  /**
   * The native host with this runtime directory, or undefined where none runs there. Throws a sentence where it cannot be looked
   * at. `close` it.
   */
  static find(runtimeDirectory: string): NativeHost | undefined {
    const path = serverPagePath(runtimeDirectory);
    let pageFd: number;
    try {
      pageFd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES")
        throw new Error(`Only root may look at the server at ${path}: put sudo before the command.`);
      return undefined;
    }
    try {
      const host = NativeHost.open(pageFd);
      if (host !== undefined) return host;
    } catch (error) {
      closeSync(pageFd);
      throw error;
    }
    closeSync(pageFd);
    return undefined;
  }

  private static open(pageFd: number): NativeHost | undefined {
    const page = readPart(pageFd, HEAD_BYTES, 0);
    if (page.length < HEAD_BYTES || page.readUInt32LE(0) !== MAGIC) return undefined;
    if (page.readUInt32LE(4) !== VERSION) {
      throw new Error("The server is of another version than this command. Use both from one version.");
    }
    if (page.readUInt32LE(PAGE_FIELDS.is_stopped) !== 0) return undefined;
    const pid = page.readUInt32LE(PAGE_FIELDS.pid);
    let memoryFd: number;
    try {
      memoryFd = openSync(`/proc/${pid}/fd/${page.readInt32LE(PAGE_FIELDS.memory_fd)}`, "r");
    } catch {
      return undefined; // It was killed, and left its page.
    }
    return new NativeHost(pageFd, memoryFd, pid, page.readUInt32LE(PAGE_FIELDS.netlink_port));
  }

  close(): void {
    closeSync(this.pageFd);
    closeSync(this.memoryFd);
  }

  /** Throws a sentence where the server never leaves enough time between two inputs. */
  read(address: number, size: number): Uint8Array {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const before = this.sequence();
      const bytes = readPart(this.memoryFd, size, address);
      if (before % 2 === 0 && this.sequence() === before) {
        if (bytes.length !== size) throw new Error("The server's memory is shorter than it should be.");
        return bytes;
      }
    }
    throw new Error("The server was too busy to be looked at. Try again.");
  }

  get version(): string {
    const text = readPart(this.pageFd, APPLICATION_BYTES, PAGE_FIELDS.application).toString("latin1");
    return text.slice(0, text.indexOf("\0")).replace(/^\S+ /, "");
  }

  get uptimeSeconds(): number {
    return Math.round(Date.now() / 1000 - this.number("start_unix_ns") / NS_PER_SECOND);
  }

  /** Seconds since the request thread was last seen at work, as of its last 100 ms. */
  get silentSeconds(): number {
    const clock = readPart(this.pageFd, 8, 48).readBigInt64LE(0);
    return Math.max(0, Date.now() / 1000 - (Number(clock) + this.number("heartbeat_ns")) / NS_PER_SECOND);
  }

  /** Memory of the server process, in bytes. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  }

  get overruns(): number {
    return this.number("overruns");
  }

  /** Requests that other members of the kernel's group dropped since the server began. */
  get droppedByOthers(): number {
    return this.number("listener_drops");
  }

  get spin(): SpinCounters {
    return {
      windowNs: this.number("spin_window_ns"),
      tries: this.number("spin_tries"),
      hits: this.number("spin_hits"),
      spentSeconds: this.number("spin_spent_ns") / NS_PER_SECOND,
    };
  }

  /** How long requests waited for their answers, by type. */
  latencies(console: Console): LatencyHistogram[] {
    const { bytes, row } = latencyRow(console.abi);
    const copy = readPart(this.pageFd, bytes, PAGE_FIELDS.latencies);
    return Array.from({ length: console.abi.REQUEST_TYPE_MAX + 1 }, (_, type) => row(copy, type));
  }

  /** Members of the kernel's group besides the server. */
  listeners(): Listener[] {
    const sockets = requestSockets().filter(({ port }) => port !== this.netlinkPort);
    const holders = holdersOf(new Set(sockets.map(({ inode }) => inode)));
    return sockets.map((socket) => ({ ...socket, holder: holders.get(socket.inode) ?? null }));
  }

  /** Operations on log devices that take long. */
  busyDevices(console: Console): BusyDevice[] {
    const { abi } = console;
    const start = PAGE_FIELDS.latencies + latencyRow(abi).bytes;
    const rows = readPart(this.pageFd, abi.HANDLE_COUNT * DEVICE_BYTES, start);
    const now = this.number("heartbeat_ns");
    const names: Record<number, string> = {
      [abi.EFFECT_KIND_OPEN]: "open",
      [abi.EFFECT_KIND_READ]: "read",
      [abi.EFFECT_KIND_WRITE]: "write",
    };
    return Array.from({ length: abi.HANDLE_COUNT }, (_, handle) => handle).flatMap((handle) => {
      const since = Number(rows.readBigUInt64LE(handle * DEVICE_BYTES));
      const seconds = (now - since) / NS_PER_SECOND;
      if (since === 0 || seconds < LONG_SECONDS) return [];
      const operation = names[rows.readUInt32LE(handle * DEVICE_BYTES + 8)] ?? "operation";
      return { uuid: nameOfHandle(this, abi, handle) ?? `handle ${handle}`, operation, seconds: Math.round(seconds) };
    });
  }

  /** UUIDs of logs whose mirrors may need a check, since another member of the group dropped requests. */
  toCheck(logs: readonly LogDescription[]): string[] {
    return this.droppedByOthers === 0 ? [] : [...new Set(logs.map(({ uuid }) => uuid))];
  }

  private sequence(): number {
    readSync(this.pageFd, this.word, 0, 4, PAGE_FIELDS.sequence);
    return this.word.readUInt32LE(0);
  }

  private number(field: keyof typeof PAGE_FIELDS): number {
    return Number(readPart(this.pageFd, 8, PAGE_FIELDS[field]).readBigUInt64LE(0));
  }
}

/** What is there of `size` bytes. */
function readPart(fd: number, size: number, offset: number): Buffer {
  const bytes = Buffer.alloc(size);
  return bytes.subarray(0, readSync(fd, bytes, 0, size, offset));
}
