// The logs that a trace names. A log's name is a luid followed by a UUID, in requests as in effects. Logs are numbered in the
// order of their appearance.

import type { Abi } from "../abi.ts";
import { latin1 } from "./packet.ts";

/** A log that a trace names. */
export interface LogName {
  readonly luid: bigint;
  readonly uuid: string;
}

export class LogNames {
  readonly names: LogName[] = [];
  /** The bytes of each name (luid and UUID) at its first appearance. */
  private readonly seen: Int32Array[] = [];
  private readonly byLuid = new Map<number, number[]>();
  private readonly byName = new Map<string, number>();
  private last = 0;
  private readonly wordCount: number;

  constructor(abi: Abi) {
    this.wordCount = (abi.ULOG_UUID - abi.ULOG_LUID + abi.UUID_BYTES + 3) >>> 2;
  }

  /** Bytes of a name in the file. */
  get nameBytes(): number {
    return this.wordCount * 4;
  }

  /** The number of the log whose name begins at a word. */
  find(words: Int32Array, at: number): number {
    if (this.last < this.seen.length && this.stands(this.last, words, at)) return this.last;
    const candidates = this.byLuid.get(words[at] as number) ?? [];
    this.last = candidates.find((log) => this.stands(log, words, at)) ?? this.read(words, at);
    return this.last;
  }

  private stands(log: number, words: Int32Array, at: number): boolean {
    const seen = this.seen[log] as Int32Array;
    for (let i = 0; i < this.wordCount; i++) if (seen[i] !== words[at + i]) return false;
    return true;
  }

  /** A new log, or a known one with different bytes after the end of its UUID. */
  private read(words: Int32Array, at: number): number {
    const seen = words.slice(at, at + this.wordCount);
    const luid = BigInt.asUintN(32, BigInt(seen[0] as number)) | (BigInt.asUintN(32, BigInt(seen[1] as number)) << 32n);
    const bytes = new Uint8Array(seen.buffer, 8);
    const end = bytes.indexOf(0);
    const uuid = latin1(bytes.subarray(0, end < 0 ? bytes.length : end));
    const known = this.byName.get(`${luid} ${uuid}`);
    if (known !== undefined) return known;
    const log = this.names.push({ luid, uuid }) - 1;
    this.byName.set(`${luid} ${uuid}`, log);
    this.seen.push(seen);
    const sameLuid = this.byLuid.get(seen[0] as number);
    if (sameLuid === undefined) this.byLuid.set(seen[0] as number, [log]);
    else sameLuid.push(log);
    return log;
  }
}
