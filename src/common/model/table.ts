// What a constructor's string says: `<length in sectors> <log type> <arguments…>`.
//
//   core | clustered-core            <region size> [sync|nosync] [block_on_error]
//   disk | clustered-disk   <device> <region size> [sync|nosync] [block_on_error]

export interface Table {
  /** The string, without the NUL of a kernel that reconnects. */
  readonly text: string;
  /** The word that names the type, and the string from there on. */
  readonly type: string;
  readonly fromType: string;
  /** The log device; null for a log in memory. */
  readonly device: string | null;
  readonly regionSizeSectors: number;
  readonly regionCount: number;
  readonly isSync: boolean;
  readonly isNosync: boolean;
}

const CORE_TYPES = ["core", "clustered-core"];
const DISK_TYPES = ["disk", "clustered-disk"];
const OPTIONS = ["sync", "nosync", "block_on_error"];
/** The kernel keeps the size in 32 bits. */
const REGION_SIZE_SECTORS_MAX = 2n ** 31n;

/** Null for a string that is refused. */
export function readTable(text: string): Table | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\0-\x1f\x7f]/.test(text)) return null;
  const words = text.split(" ").filter((word) => word !== "");
  const [lengthWord = "", type = ""] = words;
  const rest = words.slice(2);
  const isDisk = DISK_TYPES.includes(type);
  if (!isDisk && !CORE_TYPES.includes(type)) return null;
  const device = isDisk ? (rest.shift() ?? null) : null;
  if (isDisk && device === null) return null;
  const length = numberOf(lengthWord);
  const size = numberOf(rest.shift() ?? "");
  if (length === null || size === null) return null;
  if (size < 2n || (size & (size - 1n)) !== 0n || size > length || size > REGION_SIZE_SECTORS_MAX) return null;
  const isTwice = new Set(rest).size !== rest.length || (rest.includes("sync") && rest.includes("nosync"));
  if (isTwice || rest.some((option) => !OPTIONS.includes(option))) return null;
  return {
    text,
    type,
    fromType: text.slice(text.indexOf(type, text.indexOf(lengthWord) + lengthWord.length)),
    device,
    regionSizeSectors: Number(size),
    regionCount: Number((length - 1n) / size + 1n),
    isSync: rest.includes("sync"),
    isNosync: rest.includes("nosync"),
  };
}

/** A decimal number of 64 bits that is not 0. */
function numberOf(word: string): bigint | null {
  if (!/^[0-9]+$/.test(word)) return null;
  const value = BigInt(word);
  return value > 0n && value < 2n ** 64n ? value : null;
}
