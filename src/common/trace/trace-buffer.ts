// Memory that blocks are written into: one that grows, or one of the caller's that does not. Filled by words, emptied by
// its owner, and used again, so that writing allocates nothing once it is large enough.

/** Most that one is asked to hold: typed arrays of this size exist everywhere. */
const BYTES_MAX = 0x7fff_fff8;

export class TraceBuffer {
  /** Bytes written so far; a multiple of 4. */
  size = 0;
  words: Int32Array;

  private constructor(
    public bytes: Uint8Array,
    private readonly isFixed: boolean,
  ) {
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  }

  /** One that grows from `capacityBytes`, a multiple of 4. */
  static growing(capacityBytes = 65_536): TraceBuffer {
    return new TraceBuffer(new Uint8Array(capacityBytes), false);
  }

  /** Over memory of the caller's, shared or not, which begins at a multiple of 4; when it is full, it is full. */
  static over(memory: Uint8Array): TraceBuffer {
    return new TraceBuffer(memory, true);
  }

  /** Makes room for so many bytes more. Returns false where there is none. */
  reserve(bytes: number): boolean {
    const needed = this.size + bytes;
    if (needed <= this.words.length * 4) return true;
    if (this.isFixed || needed > BYTES_MAX) return false;
    const larger = new Uint8Array(Math.min(BYTES_MAX, Math.max(needed, this.bytes.length * 2)));
    larger.set(this.content());
    this.bytes = larger;
    this.words = new Int32Array(larger.buffer);
    return true;
  }

  /** What was written: a view, valid until something more is. */
  content(): Uint8Array {
    return this.bytes.subarray(0, this.size);
  }

  clear(): void {
    this.size = 0;
  }
}
