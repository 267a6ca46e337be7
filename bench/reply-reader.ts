import type { Abi } from "../src/common/abi.ts";
import type { EffectHandler, Engine } from "../src/common/engine.ts";

/** Reads the parts of every reply that a kernel would read first, and hashes them so that no request can be left out. */
export class ReplyReader implements EffectHandler {
  mixed = 0;
  replies = 0;
  errors = 0;
  /** First and second word of the last reply's payload; 0 where it has none. */
  first = 0;
  second = 0;
  private words: Uint32Array = new Uint32Array(0);

  constructor(private readonly abi: Abi) {}

  /** Linear memory moves when it grows, which a constructor can make it do. */
  attach(engine: Engine): void {
    this.words = new Uint32Array(engine.bytes().buffer);
  }

  send(address: number, size: number): void {
    const { abi, words } = this;
    const error = words[(address + abi.ULOG_ERROR) >>> 2] as number;
    const hasData = size > abi.FRAME_BYTES;
    this.first = hasData ? (words[(address + abi.ULOG_DATA) >>> 2] as number) : 0;
    this.second = hasData ? (words[(address + abi.ULOG_DATA + 8) >>> 2] as number) : 0;
    if (error !== 0) this.errors++;
    this.replies++;
    this.mixed = Math.imul(this.mixed ^ this.first ^ error, 0x0100_0193);
  }

  notice(): void {}
}
