// What of each log must outlive this process, though not the kernel: one small file for each, mapped into memory.
//
// A write is a store into the mapping (50 ns for 8 aligned bytes, never half of them; by a write call: 760 ns).
// The kernel keeps what was stored however the process ends. The files lie in the runtime directory, on a tmpfs, so
// that a store waits for no disk. All space is taken when a file is made: a store that finds none would end the process.
//
//   state/boot_id       the boot that the files are of; those of another one are removed
//   state/<handle>      a log's file
//   state/last_request  see request-recall.ts
//   state/….new         one that is being made; removed where it is found
//
// Whatever else is found there is set aside.

import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { allocateFile, lockMemory, type Mapping, mapFile, sizeOf, unmapFile } from "../system-calls.ts";
import { setAside } from "./set-aside.ts";

const THIS_BOOT = "/proc/sys/kernel/random/boot_id";
const BOOT_ID = "boot_id";
/** The file of request-recall.ts. */
export const LAST_REQUEST = "last_request";
const UNFINISHED = ".new";
const WORD_BYTES = 8;
/** Where whatever makes a file a log's state stands: all copies of its header. */
const HEADER_BYTES_MAX = 4096;
/** More than the largest log's state takes, which is twice three bits for each of 2^32 regions. */
const STATE_BYTES_MAX = 2 ** 32;

interface StateFile extends Mapping {
  /** The bytes as 64-bit words, as far as they fill some. */
  words: BigUint64Array;
}

export interface KeptState {
  handle: number;
  /** A copy. */
  bytes: Uint8Array;
}

export interface StateFilesOptions {
  /** Handles are below this number. */
  handleCount: number;
  /** A folder on the same file system, where things go that are no files of the server. It is made when it is needed. */
  asideFolder: string;
  /** Takes a sentence for the server's log about each of those. */
  tell: (sentence: string) => void;
  /** This machine's, unless a test says otherwise. */
  bootId?: string;
}

export class StateFiles {
  private readonly files = new Map<number, StateFile>();
  private source: BigUint64Array = new BigUint64Array(0);
  /** Names of what can neither be used nor moved away. */
  private readonly ignored = new Set<string>();

  private constructor(
    private readonly directory: string,
    private readonly options: StateFilesOptions,
  ) {}

  /**
   * Opens the directory, makes it if need be, removes what is of another boot or half made, and sets aside what is no
   * file of a server. Throws where there can be no such directory.
   */
  static open(directory: string, options: StateFilesOptions): StateFiles {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const states = new StateFiles(directory, options);
    states.tidy(options.bootId ?? readFileSync(THIS_BOOT, "utf8"));
    return states;
  }

  /** Every file that an earlier server left. They are open from now on. One that cannot be read is set aside. */
  list(): KeptState[] {
    const kept: KeptState[] = [];
    for (const name of readdirSync(this.directory)) {
      if (!this.isHandle(name) || this.ignored.has(name)) continue;
      const handle = Number(name);
      try {
        kept.push({ handle, bytes: this.readWhole(handle) });
      } catch (error) {
        this.unmap(handle);
        this.setAside(name, `cannot be read (${(error as Error).message}), and is taken for lost`);
      }
    }
    return kept.sort((a, b) => a.handle - b.handle);
  }

  /** Makes a file of zeros. Throws with `errno` where there is no room; writes to that handle are then ignored. */
  create(handle: number, sizeBytes: number): void {
    this.delete(handle);
    const path = this.path(handle);
    const unfinished = path + UNFINISHED;
    const fd = openSync(unfinished, "w+", 0o600);
    try {
      allocateFile(fd, sizeBytes);
      this.map(handle, fd, sizeBytes);
      renameSync(unfinished, path);
    } catch (error) {
      this.unmap(handle);
      rmSync(unfinished, { force: true });
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

  /**
   * Removes the file, if there is one. Throws with an error of Node.js where that cannot be; what is left then begins
   * with zeros, so that no server takes it for the state of a log.
   */
  delete(handle: number): void {
    this.files.get(handle)?.bytes.fill(0, 0, HEADER_BYTES_MAX);
    this.unmap(handle);
    rmSync(this.path(handle), { force: true });
  }

  /** Lets go of every file and leaves them where they are. */
  close(): void {
    for (const handle of [...this.files.keys()]) this.unmap(handle);
  }

  private tidy(bootId: string): void {
    const isOfThisBoot = readIfThere(join(this.directory, BOOT_ID)) === bootId;
    for (const name of readdirSync(this.directory)) {
      const oddity = this.oddityOf(name);
      if (oddity !== undefined) this.setAside(name, oddity);
      else if (!isOfThisBoot || name.endsWith(UNFINISHED)) this.remove(name);
    }
    // While something of another boot is still there, the next server must not take it for this boot's.
    if (isOfThisBoot || this.ignored.size > 0) return;
    const path = join(this.directory, BOOT_ID);
    writeFileSync(path + UNFINISHED, bootId);
    renameSync(path + UNFINISHED, path);
  }

  /** What is wrong with an entry of the directory, or undefined. */
  private oddityOf(name: string): string | undefined {
    if (!lstatSync(join(this.directory, name)).isFile()) return "is no regular file";
    const finished = name.endsWith(UNFINISHED) ? name.slice(0, -UNFINISHED.length) : name;
    if (finished === BOOT_ID || finished === LAST_REQUEST || this.isHandle(finished)) return undefined;
    return "is no file of this server";
  }

  /** Whether the server would give a log's file this name. */
  private isHandle(name: string): boolean {
    return /^(0|[1-9]\d{0,8})$/.test(name) && Number(name) < this.options.handleCount;
  }

  private remove(name: string): void {
    try {
      rmSync(join(this.directory, name));
    } catch (error) {
      this.setAside(name, `cannot be removed (${(error as Error).message})`);
    }
  }

  private setAside(name: string, why: string): void {
    const { isMoved, sentence } = setAside(join(this.directory, name), this.options.asideFolder, why);
    if (!isMoved) this.ignored.add(name);
    this.options.tell(sentence);
  }

  private readWhole(handle: number): Uint8Array {
    const fd = openSync(this.path(handle), "r+");
    try {
      const size = sizeOf(fd);
      if (size === 0) throw new Error("it is empty");
      if (size > STATE_BYTES_MAX) throw new Error(`${size} bytes are more than any log's state`);
      return this.map(handle, fd, size).bytes.slice();
    } finally {
      closeSync(fd);
    }
  }

  private path(handle: number): string {
    return join(this.directory, String(handle));
  }

  private map(handle: number, fd: number, sizeBytes: number): StateFile {
    const mapping = mapFile(fd, sizeBytes);
    // Where that is forbidden, the server has said so of its program (memory-lock.ts).
    lockMemory(mapping.address, sizeBytes);
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
