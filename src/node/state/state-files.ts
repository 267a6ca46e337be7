// What of each log must outlive this process, though not the kernel: one small file for each, mapped into memory.
//
// A write is a store into the mapping (50 ns for 8 aligned bytes, never half of them; by a write call: 760 ns).
// The kernel keeps what was stored however the process ends. The files lie in the runtime directory, on a tmpfs, so
// that a store waits for no disk. All space is taken when a file is made, a large one piece by piece as it is first written: a store
// that finds none would end the process.
//
//   state/boot_id       the boot that the files are of; those of another one are removed
//   state/<handle>      a log's file
//   state/last_request  see request-recall.ts
//   state/….new         one that is being made; removed where it is found
//
// Whatever else is found there is set aside.

import {
  closeSync,
  ftruncateSync,
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
/** A file larger than this is taken in pieces: each page of it costs about 0.5 us. */
const PIECE_BYTES = 1 << 20;
/** Where whatever makes a file a log's state stands: all copies of its header. */
const HEADER_BYTES_MAX = 4096;
/** More than the largest log's state takes, which is twice three bits for each of 2^32 regions. */
const STATE_BYTES_MAX = 2 ** 32;

interface StateFile extends Mapping {
  /** The bytes as 64-bit words, as far as they fill some. */
  words: BigUint64Array;
  /** The open file, while not all of its space is known to be taken. */
  fd: number | undefined;
}

export interface KeptState {
  handle: number;
  sizeBytes: number;
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
        kept.push({ handle, sizeBytes: this.openKept(handle) });
      } catch (error) {
        this.unmap(handle);
        this.setAside(name, `cannot be read (${(error as Error).message}), and is taken for lost`);
      }
    }
    return kept.sort((a, b) => a.handle - b.handle);
  }

  /** The size of a file in bytes; undefined where there is none. */
  sizeOf(handle: number): number | undefined {
    return this.files.get(handle)?.bytes.length;
  }

  /** A copy of `sizeBytes` from `offsetBytes` on, or of what is left there; of nothing where there is no file. */
  read(handle: number, offsetBytes: number, sizeBytes: number): Uint8Array {
    const file = this.files.get(handle);
    if (file === undefined) return new Uint8Array(0);
    const end = Math.min(offsetBytes + sizeBytes, file.bytes.length);
    take(file, offsetBytes, end - offsetBytes);
    return file.bytes.slice(offsetBytes, end);
  }

  /** Makes a file of zeros. Throws with `errno` where there is no room; writes to that handle are then ignored. */
  create(handle: number, sizeBytes: number): void {
    this.delete(handle);
    const path = this.path(handle);
    const unfinished = path + UNFINISHED;
    const fd = openSync(unfinished, "w+", 0o600);
    try {
      ftruncateSync(fd, sizeBytes);
      this.map(handle, fd, sizeBytes);
      renameSync(unfinished, path);
    } catch (error) {
      rmSync(unfinished, { force: true });
      this.unmap(handle);
      throw error;
    }
  }

  /**
   * Writes `sizeBytes` that stand at `address` of `memory`. Throws where they do not fit, and with `errno` where there is no room: the
   * file has gone then, and writes to that handle are ignored. The core writes all of a new file before anything else, its header last.
   */
  write(handle: number, offsetBytes: number, memory: Uint8Array, address: number, sizeBytes: number): void {
    const file = this.files.get(handle);
    if (file === undefined) return;
    if (file.fd !== undefined) this.takeOrDelete(handle, file, offsetBytes, sizeBytes);
    const start = memory.byteOffset + address;
    if (sizeBytes === WORD_BYTES && ((offsetBytes | start) & (WORD_BYTES - 1)) === 0) {
      if (this.source.buffer !== memory.buffer) this.source = wordsOf(memory.buffer);
      if (offsetBytes + WORD_BYTES > file.bytes.length) throw new RangeError("Beyond the end of the state file.");
      file.words[offsetBytes / WORD_BYTES] = this.source[start / WORD_BYTES] as bigint;
    } else file.bytes.set(memory.subarray(address, address + sizeBytes), offsetBytes);
  }

  private takeOrDelete(handle: number, file: StateFile, offsetBytes: number, sizeBytes: number): void {
    try {
      take(file, offsetBytes, sizeBytes);
    } catch (error) {
      this.delete(handle);
      throw error;
    }
    if (offsetBytes === 0) complete(file);
  }

  /**
   * Removes the file, if there is one. Throws with an error of Node.js where that cannot be; what is left then begins
   * with zeros, so that no server takes it for the state of a log.
   */
  delete(handle: number): void {
    const file = this.files.get(handle);
    if (file !== undefined) beginWithZeros(file);
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

  /** Maps a file that is there. Returns its size in bytes. */
  private openKept(handle: number): number {
    const fd = openSync(this.path(handle), "r+");
    const size = sizeOf(fd);
    if (size > 0 && size <= STATE_BYTES_MAX) {
      this.map(handle, fd, size);
      return size;
    }
    closeSync(fd);
    throw new Error(size === 0 ? "it is empty" : `${size} bytes are more than any log's state`);
  }

  private path(handle: number): string {
    return join(this.directory, String(handle));
  }

  /** Takes the descriptor over, also where it throws. */
  private map(handle: number, fd: number, sizeBytes: number): void {
    let mapping: Mapping;
    try {
      mapping = mapFile(fd, sizeBytes);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    const file = { ...mapping, words: wordsOf(mapping.bytes.buffer), fd };
    this.files.set(handle, file);
    if (sizeBytes > PIECE_BYTES) return;
    take(file, 0, sizeBytes);
    complete(file);
  }

  private unmap(handle: number): void {
    const file = this.files.get(handle);
    if (file === undefined) return;
    this.files.delete(handle);
    complete(file);
    unmapFile(file);
  }
}

/** Takes the space of a piece that may not have been, and locks it. */
function take(file: StateFile, offsetBytes: number, sizeBytes: number): void {
  if (file.fd === undefined) return;
  allocateFile(file.fd, sizeBytes, offsetBytes);
  // Where that is forbidden, the server has said so of its program (memory-lock.ts).
  lockMemory(file.address + BigInt(offsetBytes), sizeBytes);
}

function beginWithZeros(file: StateFile): void {
  try {
    take(file, 0, Math.min(HEADER_BYTES_MAX, file.bytes.length));
    file.bytes.fill(0, 0, HEADER_BYTES_MAX);
  } catch {
    // Where there is no room for a header, none is there.
  }
}

/** All of the file's space is taken. */
function complete(file: StateFile): void {
  if (file.fd !== undefined) closeSync(file.fd);
  file.fd = undefined;
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
