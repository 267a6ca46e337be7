/**
 * Reads what the native host shares: its page in the runtime directory, and linear memory. See src/native/server-page.h.
 *
 * Invariant: nothing is taken that was copied while the core handled an input.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Console, MemorySource } from "../../../src/common/console.ts";
import type { Status } from "./status.ts";

const MAGIC = 0x47505355;
const PID_AT = 8;
const SEQUENCE_AT = 16;
const MEMORY_FD_AT = 20;
const HEAD_BYTES = 120;
const TIME_LIMIT_MS = 5000;
const RETRY_MS = 2;

class FileMemory implements MemorySource {
  constructor(private readonly fd: number) {}

  read(address: number, size: number): Uint8Array {
    const bytes = Buffer.alloc(size);
    const read = readSync(this.fd, bytes, 0, size, address);
    if (read !== size) throw new Error(`Only ${read} of ${size} bytes of the server's memory can be read`);
    return bytes;
  }
}

function readPage(fd: number): Buffer {
  const page = Buffer.alloc(HEAD_BYTES);
  readSync(fd, page, 0, HEAD_BYTES, 0);
  if (page.readUInt32LE(0) !== MAGIC) throw new Error("The server's page is none");
  return page;
}

/** The core's words for what is in the memory of the server with this runtime directory. */
export async function lookAtNative(console: Console, runtimeDirectory: string): Promise<Status> {
  const deadline = Date.now() + TIME_LIMIT_MS;
  const pageFd = openSync(join(runtimeDirectory, "server"), "r");
  try {
    const page = readPage(pageFd);
    const memoryFd = openSync(`/proc/${page.readUInt32LE(PID_AT)}/fd/${page.readInt32LE(MEMORY_FD_AT)}`, "r");
    try {
      const memory = new FileMemory(memoryFd);
      for (;;) {
        const before = readPage(pageFd).readUInt32LE(SEQUENCE_AT);
        const status: Status = { logs: console.logs(memory), counters: console.counters(memory) };
        if (before % 2 === 0 && readPage(pageFd).readUInt32LE(SEQUENCE_AT) === before) return status;
        if (Date.now() > deadline) throw new Error("The server never rested long enough for a look at its memory");
        await sleep(RETRY_MS);
      }
    } finally {
      closeSync(memoryFd);
    }
  } finally {
    closeSync(pageFd);
  }
}
