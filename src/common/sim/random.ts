// sfc32 by Chris Doty-Humphrey (PractRand), seeded through splitmix32. Integers only, so that every JavaScript engine
// draws the same numbers.

const TWO_TO_32 = 0x1_0000_0000;
/** Draws that are thrown away until the seed has reached every bit. */
const WARM_UP_DRAWS = 12;

/** A seeded stream of random numbers. The same seed gives the same stream, everywhere and always. */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** `seed` is an integer from 0 to 2^53 - 1. */
  constructor(seed: number) {
    let state = (seed ^ Math.floor(seed / TWO_TO_32)) | 0;
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.a = next();
    this.b = next();
    this.c = next();
    for (let i = 0; i < WARM_UP_DRAWS; i++) this.uint32();
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `limit` - 1; `limit` is at most 2^21. */
  below(limit: number): number {
    return Math.floor((this.uint32() * limit) / TWO_TO_32);
  }

  /** `lowest` to `highest`, both included. */
  between(lowest: number, highest: number): number {
    return lowest + Math.floor((this.uint32() / TWO_TO_32) * (highest - lowest + 1));
  }

  /** True once in `times` draws, on average. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of the items, each as likely. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** A stream of its own, so that drawing from one does not shift the other. */
  fork(): Random {
    return new Random(this.uint32());
  }
}
