/** A digest of datagrams in order: FNV-1a over 32-bit words, in two lanes with different starts. Not for secrets. */
export class Digest {
  private low = 0x811c9dc5;
  private high = 0x050c5d1f;
  datagramCount = 0;

  add(datagram: Uint8Array): void {
    this.datagramCount++;
    this.word(datagram.length);
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    let at = 0;
    for (; at + 4 <= datagram.length; at += 4) this.word(view.getInt32(at, true));
    for (; at < datagram.length; at++) this.word(datagram[at] as number);
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return [this.high, this.low].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }

  private word(word: number): void {
    this.low = Math.imul(this.low ^ word, 0x01000193);
    this.low ^= this.low >>> 15;
    this.high = Math.imul(this.high ^ word, 0x01000193) ^ (this.low >>> 7);
  }
}
