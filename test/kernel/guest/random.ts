import { createHash } from "node:crypto";

/**
 * Random data that follows from the path alone, which begins with the seed: a scenario gets the same whether it runs alone or not.
 *
 * The generator is sfc32. It writes into existing memory, because in the guest the first access to a page
 * costs 0.2 ms: 16 MiB of fresh buffer take most of a second, 16 MiB of this 30 ms.
 */
export class Random {
  readonly #path: string;
  readonly #state: Uint32Array;
  #forks = 0;

  constructor(path: string) {
    this.#path = path;
    const digest = createHash("sha256").update(path).digest();
    this.#state = Uint32Array.from([0, 4, 8, 12], (offset) => digest.readUInt32LE(offset));
  }

  /** A generator of its own, for what may run beside others. */
  fork(): Random {
    return new Random(`${this.#path}/${this.#forks++}`);
  }

  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number {
    const word = new Uint32Array(1);
    this.#generate(word);
    return (word[0] ?? 0) % limit;
  }

  /** `buffer` starts and ends on a multiple of 4 bytes. */
  fill(buffer: Buffer): void {
    this.#generate(new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length / 4));
  }

  #generate(words: Uint32Array): void {
    let [a = 0, b = 0, c = 0, counter = 0] = this.#state;
    for (let i = 0; i < words.length; i++) {
      const word = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + word;
      words[i] = word;
    }
    this.#state.set([a, b, c, counter]);
  }
}
