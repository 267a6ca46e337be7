// The frames of docs/conformance.md on standard input and output. Everything here waits: the program has nothing else to do.

import { readSync, writeSync } from "node:fs";

export const START = 1;
export const DATAGRAM = 2;
export const TIME = 3;
export const DONE = 4;
export const STOP = 5;
export const READY = 16;
export const INPUT = 17;
export const SEND = 18;
export const OPEN = 19;
export const READ = 20;
export const WRITE = 21;
export const FLUSH = 22;
export const CLOSE = 23;
export const FLUSH_LEGS = 24;
export const IDLE = 25;

const HEAD_BYTES = 8;
const IN = 0;
const OUT = 1;

/** What a call was answered with. */
export interface Done {
  result: number;
  data: Buffer;
}

interface Waiting {
  readonly resolve: (done: Done) => void;
  readonly reject: (error: Error) => void;
}

export class Wire {
  /** The kit's time. */
  nowNs = 0;
  private number = 0;
  private readonly calls = new Map<number, Waiting>();

  /** The next frame, whose payload begins with the time. Ends the process where the kit has gone. */
  read(): { kind: number; payload: Buffer } {
    const head = this.readBytes(HEAD_BYTES);
    const payload = this.readBytes(head.readUInt32LE(4));
    this.nowNs = Number(payload.readBigUInt64LE(0));
    return { kind: head.readUInt32LE(0), payload };
  }

  write(kind: number, ...parts: Uint8Array[]): void {
    const payload = Buffer.concat(parts);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(kind, 0);
    head.writeUInt32LE(payload.length, 4);
    const frame = Buffer.concat([head, payload]);
    for (let at = 0; at < frame.length; ) at += writeSync(OUT, frame, at);
  }

  /** Sends a datagram to the kernel. The next frame is its DONE. */
  send(datagram: Uint8Array): void {
    this.write(SEND, datagram);
    this.read();
  }

  /** Begins a call. Rejects with the errno that it is answered with. */
  call(kind: number, device: number, offsetBytes: number, rest: Uint8Array = Buffer.alloc(0)): Promise<Done> {
    const number = ++this.number;
    this.write(kind, this.callHead(number, device, offsetBytes), rest);
    return new Promise((resolve, reject) => this.calls.set(number, { resolve, reject }));
  }

  close(device: number): void {
    this.write(CLOSE, this.callHead(0, device, 0));
  }

  done(payload: Buffer): void {
    const number = payload.readUInt32LE(8);
    const result = payload.readInt32LE(12);
    const waiting = this.calls.get(number);
    this.calls.delete(number);
    if (result < 0) waiting?.reject(Object.assign(new Error(`the kit answers ${result}`), { errno: result }));
    else waiting?.resolve({ result, data: payload.subarray(16) });
  }

  private callHead(number: number, device: number, offsetBytes: number): Buffer {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(number, 0);
    head.writeUInt32LE(device, 4);
    head.writeBigUInt64LE(BigInt(offsetBytes), 8);
    return head;
  }

  private readBytes(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    for (let at = 0; at < count; ) {
      const read = readSync(IN, bytes, at, count - at, null);
      if (read === 0) process.exit(0);
      at += read;
    }
    return bytes;
  }
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
