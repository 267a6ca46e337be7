// What of each log must outlive this process, though not the kernel: one small file for each, mapped into memory.
//
// A write is a store into the mapping (50 ns for 8 aligned bytes, never half of them; by a write call: 760 ns).
// The kernel keeps what was stored however the process ends. The files lie in the runtime directory, on a tmpfs, so
// that a store waits for no disk. All space is taken when a file is made: a store that finds none would end the process.
//
//   state/boot_id    the boot that the files are of; those of another one are removed
//   state/<handle>   a log's file
//   state/….new      one that is being made; removed where it is found

import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { allocateFile, type Mapping, mapFile, sizeOf, unmapFile } from "./system-calls.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const WORD_BYTES = 8;

interface StateFile extends Mapping {
  /** The bytes as 64-bit words, as far as they fill some. */
  words: BigUint64Array;
}

export interface KeptState {
  handle: number;
  /** A copy. */
  bytes: Uint8Array;
}

export class StateFiles {
  private readonly files = new Map<number, StateFile>();
  private source: BigUint64Array = new BigUint64Array(0);

  private constructor(private readonly directory: string) {}

  /**
   * Opens the directory, makes it if need be, and removes what is of another boot or half made. `bootId` is this
   * machine's unless a test says otherwise. Throws where the directory cannot be used.
   */
  static open(directory: string, bootId = readFileSync(BOOT_ID, "utf8")): StateFiles {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const bootIdPath = join(directory, "boot_id");
    const isOfThisBoot = readIfThere(bootIdPath) === bootId;
    for (const name of readdirSync(directory)) {
      if (!isOfThisBoot || name.endsWith(".new")) rmSync(join(directory, name));
    }
    if (!isOfThisBoot) {
      writeFileSync(`${bootIdPath}.new`, bootId);
      renameSync(`${bootIdPath}.new`, bootIdPath);
    }
    return new StateFiles(directory);
  }

  /** Every file that an earlier server left. They are open from now on. */
  list(): KeptState[] {
    const kept: KeptState[] = [];
    for (const name of readdirSync(this.directory)) {
      if (!/^\d+$/.test(name)) continue;
      const handle = Number(name);
      if (statSync(this.path(handle)).size === 0) continue;
      const fd = openSync(this.path(handle), "r+");
      try {
        const { bytes } = this.map(handle, fd, sizeOf(fd));
        kept.push({ handle, bytes: bytes.slice() });
      } finally {
        closeSync(fd);
      }
    }
    return kept.sort((a, b) => a.handle - b.handle);
  }

  /** Makes a file of zeros. Throws with `errno` where there is no room; writes to that handle are then ignored. */
  create(handle: number, sizeBytes: number): void {
    this.delete(handle);
    const path = this.path(handle);
    const fd = openSync(`${path}.new`, "w+", 0o600);
    try {
      allocateFile(fd, sizeBytes);
      this.map(handle, fd, sizeBytes);
      renameSync(`${path}.new`, path);
    } catch (error) {
      this.unmap(handle);
      rmSync(`${path}.new`, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Writes `sizeBytes` that stand at `address` of `memory`. Throws where they do not fit. */
  write(handle: number, offsetBytes: number, memory: Uint8Array, address: number, sizeBytes: number): void {
    const file = this.files.get(handle);
    if (file === undefined) return;
    const start = memory.byteOffset + address;
    if (sizeBytes === WORD_BYTES && ((offsetBytes | start) & (WORD_BYTES - 1)) === 0) {
      if (this.source.buffer !== memory.buffer) this.source = wordsOf(memory.buffer);
      if (offsetBytes + WORD_BYTES > file.bytes.length) throw new RangeError("Beyond the end of the state file.");
      file.words[offsetBytes / WORD_BYTES] = this.source[start / WORD_BYTES] as bigint;
    } else file.bytes.set(memory.subarray(address, address + sizeBytes), offsetBytes);
  }

  /** Removes the file, if there is one. */
  delete(handle: number): void {
    this.unmap(handle);
    rmSync(this.path(handle), { force: true });
  }

  /** Lets go of every file and leaves them where they are. */
  close(): void {
    for (const handle of [...this.files.keys()]) this.unmap(handle);
  }

  private path(handle: number): string {
    return join(this.directory, String(handle));
  }

  private map(handle: number, fd: number, sizeBytes: number): StateFile {
    const mapping = mapFile(fd, sizeBytes);
    const file = { ...mapping, words: wordsOf(mapping.bytes.buffer) };
    this.files.set(handle, file);
    return file;
  }

  private unmap(handle: number): void {
    const file = this.files.get(handle);
    if (file === undefined) return;
    this.files.delete(handle);
    unmapFile(file);
  }
}

function wordsOf(buffer: ArrayBufferLike): BigUint64Array {
  return new BigUint64Array(buffer, 0, Math.floor(buffer.byteLength / WORD_BYTES));
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
