// A trace file that grows while it is read.

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { TraceError } from "../common/trace/format.ts";

const FIRST_BYTES = 1 << 20;

export class FollowedFile {
  private readonly file: number;
  private readonly inode: bigint;
  private bytes = new Uint8Array(FIRST_BYTES);
  private size = 0;

  /** Throws a TraceError if the file cannot be read. */
  constructor(private readonly path: string) {
    try {
      this.file = openSync(path, "r");
      this.inode = fstatSync(this.file, { bigint: true }).ino;
    } catch (error) {
      throw new TraceError(`${path} cannot be read: ${(error as Error).message}`);
    }
  }

  /** What was read. The view of an earlier call stays as it is. */
  get content(): Uint8Array {
    return this.bytes.subarray(0, this.size);
  }

  /** Whether the path names another file by now: a recording has begun a new one, as it does at --record-size. */
  get isReplaced(): boolean {
    return (statSync(this.path, { bigint: true, throwIfNoEntry: false })?.ino ?? this.inode) !== this.inode;
  }

  /** Reads what is new. Returns whether anything is. */
  read(): boolean {
    const before = this.size;
    for (;;) {
      if (this.size === this.bytes.length) {
        const larger = new Uint8Array(this.bytes.length * 2);
        larger.set(this.bytes);
        this.bytes = larger;
      }
      const count = readSync(this.file, this.bytes, this.size, this.bytes.length - this.size, this.size);
      if (count === 0) return this.size > before;
      this.size += count;
    }
  }

  close(): void {
    closeSync(this.file);
  }
}
