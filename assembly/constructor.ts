// The constructor string of a log: `<length in sectors> <log type> <arguments…>`, words parted by single spaces.
//
//   core | clustered-core            <region size> [sync|nosync] [block_on_error]
//   disk | clustered-disk   <device> <region size> [sync|nosync] [block_on_error]
//
// Sizes are in sectors of 512 bytes. A region is a power of two, at least 2 sectors and not larger than the mirror, as
// the kernel's own logs demand (drivers/md/dm-log.c). The parser only reads; a refused string leaves no trace.

import { CONSTRUCTOR, CONSTRUCTOR_BYTES } from "./layout";
import {
  NOTICE_REFUSED_CONSTRUCTOR,
  NOTICE_REFUSED_LENGTH,
  NOTICE_REFUSED_LOG_TYPE,
  NOTICE_REFUSED_OPTION,
  NOTICE_REFUSED_REGION_SIZE,
} from "./notices";

/** The log is in memory alone. */
export const LOG_TYPE_CORE: u32 = 0;
/** The log is on a device too. */
export const LOG_TYPE_DISK: u32 = 1;

/** The constructor said `sync`: every region is out of sync whatever is known. */
export const OPTION_SYNC: u32 = 1;
/** The constructor said `nosync`: every region is in sync whatever the legs hold. */
export const OPTION_NOSYNC: u32 = 2;
/** The constructor said `block_on_error`. */
export const OPTION_BLOCK_ON_ERROR: u32 = 4;

/** Largest region, in sectors: the kernel keeps the size in 32 bits, so the largest power of two there. */
const REGION_SIZE_SECTORS_MAX: u64 = 0x8000_0000;

/** What a constructor string says, and how far reading it has come. */
@unmanaged
export class Constructor {
  text: usize;
  textBytes: u32;
  /** LOG_TYPE_…, and the word that names it within the text. */
  type: u32;
  typeWord: usize;
  typeBytes: u32;
  /** The word that names the log device; length 0 for a core log. */
  device: usize;
  deviceBytes: u32;
  lengthSectors: u64;
  regionSizeSectors: u32;
  options: u32;
  /** Address and length of the word that was read last; length 0 at the end of the text. */
  word: usize;
  wordBytes: u32;
  /** What makes the refusal clear to a person: the number that did not fit. */
  detail: u64;

  regionCount(): u64 {
    return (this.lengthSectors - 1) / this.regionSizeSectors + 1;
  }

  private nextWord(): bool {
    let at = this.word + this.wordBytes;
    const end = this.text + this.textBytes;
    while (at < end && load<u8>(at) == 0x20) at++;
    this.word = at;
    while (at < end && load<u8>(at) != 0x20) at++;
    this.wordBytes = <u32>(at - this.word);
    return this.wordBytes > 0;
  }

  /** The word as a decimal number; 0, which nothing here may be, where it is none or does not fit 64 bits. */
  private number(): u64 {
    let value: u64 = 0;
    for (let i: u32 = 0; i < this.wordBytes; i++) {
      const digit = <u64>load<u8>(this.word + i) - 0x30;
      if (digit > 9 || value > (u64.MAX_VALUE - digit) / 10) return 0;
      value = value * 10 + digit;
    }
    return value;
  }

  /** Compares in place: nothing on the request path may use the language's heap. */
  private isWord(word: string): bool {
    if (<u32>word.length != this.wordBytes) return false;
    for (let i: u32 = 0; i < this.wordBytes; i++) {
      if (load<u8>(this.word + i) != <u32>word.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Reads `bytes` of `text`. Returns 0, or the code of the notice that says why the string is refused. */
  parse(text: usize, bytes: u32): u32 {
    memory.fill(changetype<usize>(this), 0, offsetof<Constructor>());
    this.text = text;
    this.textBytes = bytes;
    this.word = text;
    for (let i: u32 = 0; i < bytes; i++) {
      const character = load<u8>(text + i);
      if (character < 0x20 || character == 0x7f) return NOTICE_REFUSED_CONSTRUCTOR;
    }

    if (!this.nextWord()) return NOTICE_REFUSED_CONSTRUCTOR;
    this.lengthSectors = this.number();
    if (this.lengthSectors == 0) return NOTICE_REFUSED_LENGTH;

    if (!this.nextWord()) return NOTICE_REFUSED_CONSTRUCTOR;
    this.typeWord = this.word;
    this.typeBytes = this.wordBytes;
    if (this.isWord("core") || this.isWord("clustered-core")) this.type = LOG_TYPE_CORE;
    else if (this.isWord("disk") || this.isWord("clustered-disk")) this.type = LOG_TYPE_DISK;
    else return NOTICE_REFUSED_LOG_TYPE;
    if (this.type == LOG_TYPE_DISK) {
      if (!this.nextWord()) return NOTICE_REFUSED_CONSTRUCTOR;
      this.device = this.word;
      this.deviceBytes = this.wordBytes;
    }

    if (!this.nextWord()) return NOTICE_REFUSED_CONSTRUCTOR;
    const regionSize = this.number();
    this.detail = regionSize;
    if (regionSize < 2 || popcnt(regionSize) != 1) return NOTICE_REFUSED_REGION_SIZE;
    if (regionSize > this.lengthSectors || regionSize > REGION_SIZE_SECTORS_MAX) return NOTICE_REFUSED_REGION_SIZE;
    this.regionSizeSectors = <u32>regionSize;

    while (this.nextWord()) {
      const option = this.option();
      const clash = option == OPTION_SYNC || option == OPTION_NOSYNC ? OPTION_SYNC | OPTION_NOSYNC : option;
      if (option == 0 || this.options & clash) return NOTICE_REFUSED_OPTION;
      this.options |= option;
    }
    return 0;
  }

  private option(): u32 {
    if (this.isWord("sync")) return OPTION_SYNC;
    if (this.isWord("nosync")) return OPTION_NOSYNC;
    if (this.isWord("block_on_error")) return OPTION_BLOCK_ON_ERROR;
    return 0;
  }
}

// @ts-expect-error: decided when compiled
if (offsetof<Constructor>() > CONSTRUCTOR_BYTES) ERROR("CONSTRUCTOR_BYTES is too small");

/** The one that is being read; its content lasts for one request. */
export const constructorRead = changetype<Constructor>(CONSTRUCTOR);
