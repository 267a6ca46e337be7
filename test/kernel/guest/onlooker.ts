/**
 * Reads the linear memory of a server that has no status command, through the kernel's /proc, and never disturbs it.
 *
 * Invariant: it reads memory between two inputs of the core. No thread of the server was on a processor at the beginning, so
 * none was in the core, which never waits; and the core's counter of inputs shows that none has begun since.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Console, MemorySource } from "../../../src/common/console.ts";
import type { Status } from "./status.ts";

const TIME_LIMIT_MS = 5000;
const RETRY_MS = 2;

/** Linear memory at `base` of a process, given as an open /proc/<pid>/mem. */
class ProcessMemory implements MemorySource {
  constructor(
    private readonly fd: number,
    private readonly base: number,
  ) {}

  read(address: number, size: number): Uint8Array {
    const bytes = Buffer.alloc(size);
    const read = readSync(this.fd, bytes, 0, size, this.base + address);
    if (read !== size) throw new Error(`Only ${read} of ${size} bytes of the server's memory can be read`);
    return bytes;
  }
}

function isRunning(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).some((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    // The name, in parentheses, may hold anything.
    return stat.charAt(stat.lastIndexOf(")") + 2) === "R";
  });
}

export class Onlooker {
  private constructor(private readonly console: Console) {}

  static async create(repositoryPath: string): Promise<Onlooker> {
    const module = (await import(join(repositoryPath, "dist/common/console.js"))) as {
      Console: { create(wasm: Uint8Array): Promise<Console> };
    };
    return new Onlooker(await module.Console.create(readFileSync(join(repositoryPath, "dist/dm-ulog.wasm"))));
  }

  /** The core's words for what is in the process' memory from `base` on. */
  async look(pid: number, base: number): Promise<Status> {
    const deadline = Date.now() + TIME_LIMIT_MS;
    const fd = openSync(`/proc/${pid}/mem`, "r");
    try {
      const memory = new ProcessMemory(fd, base);
      for (;;) {
        const { inputs } = this.console.counters(memory);
        if (!isRunning(pid)) {
          const status: Status = { logs: this.console.logs(memory), counters: this.console.counters(memory) };
          if (status.counters.inputs === inputs) return status;
        }
        if (Date.now() > deadline) throw new Error("The server never rested long enough for a look at its memory");
        await sleep(RETRY_MS);
      }
    } finally {
      closeSync(fd);
    }
  }
}
