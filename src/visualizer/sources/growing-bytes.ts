// Bytes put together as they come, in one array.

export class GrowingBytes {
  private bytes: Uint8Array;
  private count = 0;

  /** `expected` is how many there will be, as far as is known. */
  constructor(expected: number) {
    this.bytes = new Uint8Array(expected);
  }

  /** All there are so far; a view that stays as it is when more come. */
  get filled(): Uint8Array {
    return this.bytes.subarray(0, this.count);
  }

  append(part: Uint8Array): void {
    if (this.count + part.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.count + part.length, this.bytes.length * 2));
      larger.set(this.filled);
      this.bytes = larger;
    }
    this.bytes.set(part, this.count);
    this.count += part.length;
  }
}
