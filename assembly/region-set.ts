// A set of regions: one bit a region, with summary levels above it.
//
// Invariants:
//   - a bit of level k+1 is set if and only if its 64-bit word of level k is not zero;
//   - bits at and beyond `size` are zero on every level's share;
//   - `population` is the number of bits set on level 0.
//
// Level 0 has one bit a region. Each level above is 64 times smaller, up to one of a single word, so 2^32 regions need
// six levels and the whole costs 1/63 more than its bits. Adding, removing and finding the next member touch at most
// one word (finding: two) of each level: the cost does not grow with the mirror. Work on every region goes word by word, in slices
// (slices.ts): `append` makes a new set so, and `put` changes one that exists, whose invariants hold after each word.
//
//   region 4711 of level 0: word 4711 / 64 = 73, bit 4711 % 64 = 39; on level 1 it is bit 73: word 1, bit 9; …

/** No region: greater than any region number. */
export const NO_REGION: u32 = 0xffff_ffff;
/** Most regions a set can have, so that NO_REGION never is one. */
export const REGIONS_MAX: u64 = 0xffff_fffe;

const LEVELS_MAX: u32 = 6;

@unmanaged
export class RegionSet {
  /** Regions of the mirror. */
  size: u32;
  /** Regions in the set. */
  population: u32;
  levels: u32;
  /** Address of the bits of level 0, u64 words. */
  bits: usize;
  private level1: usize;
  private level2: usize;
  private level3: usize;
  private level4: usize;
  private level5: usize;

  @inline
  has(region: u32): bool {
    return ((load<u64>(this.bits + wordOffset(region)) >> (region & 63)) & 1) != 0;
  }

  /** Returns whether the set changed. */
  add(region: u32): bool {
    const at = this.bits + wordOffset(region);
    const word = load<u64>(at);
    const bit = (<u64>1) << (region & 63);
    if (word & bit) return false;
    store<u64>(at, word | bit);
    this.population++;
    if (word == 0) this.raise(region >>> 6);
    return true;
  }

  /** Returns whether the set changed. */
  remove(region: u32): bool {
    const at = this.bits + wordOffset(region);
    const word = load<u64>(at);
    const bit = (<u64>1) << (region & 63);
    if ((word & bit) == 0) return false;
    store<u64>(at, word ^ bit);
    this.population--;
    if (word == bit) this.lower(region >>> 6);
    return true;
  }

  /** The lowest member that is not below `from`, or NO_REGION. */
  next(from: u32): u32 {
    if (from >= this.size || this.population == 0) return NO_REGION;
    let index = from;
    let words = wordsOf(this.size);
    for (let level: u32 = 0; level < this.levels; level++) {
      const position = index >>> 6;
      if (position >= words) return NO_REGION;
      const rest = load<u64>(levelAt(this, level) + (position << 3)) >> (index & 63);
      if (rest != 0) return this.descend(level, index + <u32>ctz(rest));
      index = position + 1;
      words = wordsOf(words);
    }
    return NO_REGION;
  }

  fill(): void {
    let count = this.size;
    for (let level: u32 = 0; level < this.levels; level++) {
      const words = wordsOf(count);
      const address = levelAt(this, level);
      memory.fill(address, 0xff, words << 3);
      if (count & 63) store<u64>(address + ((words - 1) << 3), ((<u64>1) << (count & 63)) - 1);
      count = words;
    }
    this.population = this.size;
  }

  /** Gives the next word of level 0 of a new set its bits: words 0, 1, 2 and so on, once each. Bits beyond the set do not count. */
  append(word: u32, bits: u64): void {
    let index = word;
    for (let level: u32 = 1; level < this.levels && (index & 63) == 0; level++) {
      index >>>= 6;
      store<u64>(levelAt(this, level) + (index << 3), 0);
    }
    const members = bits & this.valid(word);
    store<u64>(this.bits + ((<usize>word) << 3), members);
    if (members == 0) return;
    this.population += <u32>popcnt(members);
    this.raise(word);
  }

  /** Gives 64 regions other bits. Bits beyond the set do not count. */
  put(word: u32, bits: u64): void {
    const at = this.bits + ((<usize>word) << 3);
    const before = load<u64>(at);
    const members = bits & this.valid(word);
    if (before == members) return;
    store<u64>(at, members);
    this.population += <u32>popcnt(members) - <u32>popcnt(before);
    if (before == 0) this.raise(word);
    else if (members == 0) this.lower(word);
  }

  /** The bits of a word of level 0 that stand for regions. */
  valid(word: u32): u64 {
    const beyond = this.size & 63;
    return beyond != 0 && word == this.size >>> 6 ? ((<u64>1) << beyond) - 1 : u64.MAX_VALUE;
  }

  /** Costs a visit to each word that holds members, or a pass over all words where most of them do. */
  clear(): void {
    if (this.population >= wordsOf(this.size) >>> 2) {
      if (this.population != 0) this.wipe();
      return;
    }
    for (let region = this.next(0); region != NO_REGION; region = this.next(region)) {
      const at = this.bits + wordOffset(region);
      this.population -= <u32>popcnt(load<u64>(at));
      store<u64>(at, 0);
      this.lower(region >>> 6);
    }
  }

  /** Empties the set whatever its bits are: costs a pass over all words. */
  wipe(): void {
    let count = this.size;
    for (let level: u32 = 0; level < this.levels; level++) {
      count = wordsOf(count);
      memory.fill(levelAt(this, level), 0, count << 3);
    }
    this.population = 0;
  }

  /** Moves every member of `other`, which has none of ours, into this set. Costs a pass over the words of `other` that hold members. */
  absorb(other: RegionSet): void {
    for (let region = other.next(0); region != NO_REGION; region = other.next(region)) {
      const offset = wordOffset(region);
      const mine = load<u64>(this.bits + offset);
      const theirs = load<u64>(other.bits + offset);
      store<u64>(this.bits + offset, mine | theirs);
      store<u64>(other.bits + offset, 0);
      const moved = <u32>popcnt(theirs);
      this.population += moved;
      other.population -= moved;
      if (mine == 0) this.raise(region >>> 6);
      other.lower(region >>> 6);
    }
  }

  /** Whether the invariants hold. Costs a pass over every word. */
  isSound(): bool {
    let count = this.size;
    let members: u64 = 0;
    for (let level: u32 = 0; level < this.levels; level++) {
      const words = wordsOf(count);
      for (let i: u32 = 0; i < words; i++) {
        const word = load<u64>(levelAt(this, level) + (i << 3));
        if (level == 0) members += popcnt(word);
        if (i == words - 1 && count & 63 && word >> (count & 63)) return false;
        if (level + 1 < this.levels) {
          const summary = (load<u64>(levelAt(this, level + 1) + ((i >>> 6) << 3)) >> (i & 63)) & 1;
          if ((summary != 0) != (word != 0)) return false;
        }
      }
      count = words;
    }
    return members == this.population;
  }

  private descend(level: u32, index: u32): u32 {
    let at = index;
    for (let below = level; below > 0; below--) {
      at = (at << 6) + <u32>ctz(load<u64>(levelAt(this, below - 1) + (at << 3)));
    }
    return at;
  }

  /** Word `word` of level 0 is no longer empty: tells the levels above. */
  private raise(word: u32): void {
    let index = word;
    for (let level: u32 = 1; level < this.levels; level++) {
      const at = levelAt(this, level) + ((index >>> 6) << 3);
      const above = load<u64>(at);
      store<u64>(at, above | ((<u64>1) << (index & 63)));
      if (above != 0) return;
      index >>>= 6;
    }
  }

  /** Word `word` of level 0 has become empty: tells the levels above. */
  private lower(word: u32): void {
    let index = word;
    for (let level: u32 = 1; level < this.levels; level++) {
      const at = levelAt(this, level) + ((index >>> 6) << 3);
      const left = load<u64>(at) & ~((<u64>1) << (index & 63));
      store<u64>(at, left);
      if (left != 0) return;
      index >>>= 6;
    }
  }
}

/** 64-bit words of `bits` bits. In 64 bits, since the largest mirrors are within 63 regions of 2^32. */
export function wordsOf(bits: u32): u32 {
  return <u32>((<u64>bits + 63) >>> 6);
}

/** Offset of the word that holds a region's bit, from the bits of its set. */
export function wordOffset(region: u32): usize {
  return (<usize>(region >>> 6)) << 3;
}

function levelAt(set: RegionSet, level: u32): usize {
  return load<usize>(changetype<usize>(set) + ((<usize>level) << 2), offsetof<RegionSet>("bits"));
}

/** Bytes of the bits of a set of `size` regions, all levels. */
export function regionSetBytes(size: u32): u64 {
  let bytes: u64 = 0;
  let count = size;
  do {
    count = wordsOf(count);
    bytes += (<u64>count) << 3;
  } while (count > 1);
  return bytes;
}

/** Makes `set` an empty set of `size` members at the most, 1 to REGIONS_MAX, whose bits begin at `address`. Costs a pass over them. */
export function regionSetInitialize(set: RegionSet, size: u32, address: usize): void {
  regionSetLayOut(set, size, address);
  set.wipe();
}

/** The same for a set that `append` makes word by word. */
export function regionSetLayOut(set: RegionSet, size: u32, address: usize): void {
  set.size = size;
  set.levels = 0;
  let at = address;
  let count = size;
  do {
    store<usize>(changetype<usize>(set) + ((<usize>set.levels) << 2), at, offsetof<RegionSet>("bits"));
    set.levels++;
    count = wordsOf(count);
    at += (<usize>count) << 3;
  } while (count > 1);
  if (ASC_NO_ASSERT == false) assert(set.levels <= LEVELS_MAX);
}
