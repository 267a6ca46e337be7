// Memory for blocks: either it grows, or it is the caller's memory of fixed size. It is filled word by word, emptied by its
// owner and used again, so that writing allocates nothing once it is large enough.

/** The largest size: typed arrays of this size work everywhere. */
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

  /** Uses the caller's memory, shared or not, which begins at a multiple of 4 and does not grow. */
  static over(memory: Uint8Array): TraceBuffer {
    return new TraceBuffer(memory, true);
  }

  /** Makes room for this many more bytes. Returns false if there is none. */
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

  /** A view of the written bytes, valid until more is written. */
  content(): Uint8Array {
    return this.bytes.subarray(0, this.size);
  }

  clear(): void {
    this.size = 0;
  }
}
