// The files of a recording: FILE is being written, FILE.1 is the one before it, FILE.2 the one before that, and so on up to a
// number of files; older ones are deleted. Each file begins with a section of its own and replays alone.
//
// Invariant: FILE ends with a whole event after every call, also after one that throws, as far as the disk permits.

import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { BLOCK_SECTION } from "../../common/trace/format.ts";

/** Where a recording goes, and how much of it is kept. */
export interface RecordingOptions {
  /** Absolute. */
  path: string;
  /** A new file is started after this many bytes. */
  sizeBytes: number;
  /** How many files are kept, including the one being written. */
  filesMax: number;
}

const FIRST_BLOCK_BYTES = 4;

export class TraceFiles {
  private fd = -1;
  private size = 0;

  /** Throws an Error with a sentence if a file of another kind is in the way, and with `errno` if no file can be created. */
  constructor(private readonly options: RecordingOptions) {
    for (let number = 0; number < options.filesMax; number++) checkReplaceable(this.nameOf(number));
    this.beginFile();
  }

  /** Bytes in FILE. */
  get sizeBytes(): number {
    return this.size;
  }

  /** Starts a new FILE; the old one becomes FILE.1, unless it was empty. */
  beginFile(): void {
    this.close();
    const { path, filesMax } = this.options;
    if (sizeOfFile(path) > 0) {
      const oldest = this.nameOf(filesMax - 1);
      checkReplaceable(oldest);
      rmSync(oldest, { force: true });
      for (let number = filesMax - 2; number >= 0; number--) {
        if (existsSync(this.nameOf(number))) renameSync(this.nameOf(number), this.nameOf(number + 1));
      }
    }
    this.fd = openSync(path, "w", 0o600);
    this.size = 0;
  }

  /** Appends whole events, or beginnings or ends of sections. Throws if not everything could be written; then nothing is in the file. */
  append(parts: Iterable<Uint8Array>): void {
    const before = this.size;
    try {
      if (this.fd < 0) this.beginFile();
      for (const bytes of parts) {
        for (let done = 0; done < bytes.length; ) {
          done += writeSync(this.fd, bytes, done, bytes.length - done, this.size + done);
        }
        this.size += bytes.length;
      }
    } catch (error) {
      this.cutTo(before);
      throw error;
    }
  }

  /** Cuts the file back to that many bytes. */
  cutTo(sizeBytes: number): void {
    this.size = sizeBytes;
    if (this.fd >= 0) ftruncateSync(this.fd, sizeBytes);
  }

  /** Free bytes on the disk. */
  roomBytes(): number {
    const { bavail, bsize } = statfsSync(dirname(this.options.path));
    return bavail * bsize;
  }

  close(): void {
    if (this.fd < 0) return;
    closeSync(this.fd);
    this.fd = -1;
  }

  private nameOf(number: number): string {
    return number === 0 ? this.options.path : `${this.options.path}.${number}`;
  }
}

/** Refuses to overwrite anything except traces, because root can name any file by mistake. Throws an Error with a sentence. */
export function checkReplaceable(path: string): void {
  if (sizeOfFile(path) === 0) return;
  const fd = openSync(path, "r");
  try {
    const first = new Int32Array(1);
    readSync(fd, new Uint8Array(first.buffer), 0, FIRST_BLOCK_BYTES, 0);
    if (first[0] !== BLOCK_SECTION) throw new Error(`${path} already exists and is not a trace. Name another file.`);
  } finally {
    closeSync(fd);
  }
}

/** Throws an Error with a sentence if the path is not a regular file; 0 if it does not exist. */
function sizeOfFile(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats !== undefined && !stats.isFile()) throw new Error(`${path} is not a regular file. Name another one.`);
  return stats?.size ?? 0;
}
