/** A digest of datagrams in order: FNV-1a over 32-bit words, in two lanes with different starts. Not for secrets. */
export class Digest {
  /** The two lanes, as signed words. */
  low = 0x811c9dc5 | 0;
  high = 0x050c5d1f;
  datagramCount = 0;

  /** Adds a datagram, its length included. */
  add(datagram: Uint8Array): void {
    this.datagramCount++;
    this.addWord(datagram.length);
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    let at = 0;
    for (; at + 4 <= datagram.length; at += 4) this.addWord(view.getInt32(at, true));
    for (; at < datagram.length; at++) this.addWord(datagram[at] as number);
  }

  /** Adds words alone, without a length before them. */
  addWords(words: Int32Array, first: number, count: number): void {
    let { low, high } = this;
    for (let i = first; i < first + count; i++) {
      const word = words[i] as number;
      low = Math.imul(low ^ word, 0x01000193);
      low ^= low >>> 15;
      high = Math.imul(high ^ word, 0x01000193) ^ (low >>> 7);
    }
    this.low = low;
    this.high = high;
  }

  /** Adds one word. */
  addWord(word: number): void {
    this.low = Math.imul(this.low ^ word, 0x01000193);
    this.low ^= this.low >>> 15;
    this.high = Math.imul(this.high ^ word, 0x01000193) ^ (this.low >>> 7);
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return [this.high, this.low].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
