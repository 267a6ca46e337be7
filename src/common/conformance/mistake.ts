// What a host has done wrong, and the sentences of the document that say so.

/** Where a rule stands. */
const ABI_DOCUMENT = "assembly/README.md";
const PROTOCOL_DOCUMENT = "docs/conformance.md";

export interface Rule {
  readonly document: string;
  /** Its words, as they stand there; a test compares them. */
  readonly words: string;
}

const abi = (words: string): Rule => ({ document: ABI_DOCUMENT, words });
const protocol = (words: string): Rule => ({ document: PROTOCOL_DOCUMENT, words });

export const RULES = {
  version: abi("A host that was written for another version must stop."),
  order: abi("Carry out every record in order, then take the next input."),
  time: abi("It is never 0 and never goes backwards."),
  datagram: abi("its bytes. `INPUT_PORT` is its sender's port."),
  truncated: abi("If it did not fit, give its full size: the core counts it as truncated"),
  completion: abi("the effect's own head, its kind, 0 or a negative errno, what the kind adds"),
  completionSize: abi("An `OPEN` that succeeded has 64, a `READ` the bytes it was to read behind the 32."),
  once: abi("Complete every `OPEN`, `READ`, `WRITE` and `FLUSH_LEGS` exactly once."),
  tick: abi("the time of the last `WAKE` has come; a late or superfluous one does no harm"),
  options: protocol("Leave the options of the core at their defaults"),
  restore: abi("for each existing state file, part by part: the first parts of all before the first datagram"),
  restoreParts: abi("The other parts of a file come in their order, before the first datagram or between datagrams."),
  forget: abi("Only for a host that has read the tables"),
  send: abi("sends the payload to netlink port 0, the kernel's"),
  open: abi("opens the log device, a path or `major:minor`, for direct I/O"),
  openFacts: abi(
    "its size and numbers, and the file system and inode of a regular file: two mirrors must not share a log.",
  ),
  all: abi("all the bytes or an error."),
  durable: abi("A write is complete when a power cut cannot undo it."),
  writeBytes: abi("its `COMPLETION` is given: the bytes do not change before"),
  growth: abi("If growing moves it, as in JavaScript, make new views afterwards."),
  close: abi("closes it. No other effect on it is under way"),
  legs: abi("flushes their write caches, beginning after it was asked"),
  state: abi("Therefore carry out effects in order, and state effects at once."),
  stateTwice: abi("A `STATE_WRITE` writes the same bytes twice: to the offset, then to the one in `ticket`"),
  boot: abi("one of another boot must be gone."),
  neverWait: abi("Never wait for one of them between two inputs"),
  stop: abi(
    "A host that stops leaves group 7, handles the datagrams it has received, completes the effects under way, and does not inform the core.",
  ),
  alone: abi("Only one host serves a machine"),
  frames: protocol("Standard output carries frames and nothing else."),
  idle: protocol("`IDLE` says that the program has done all that it can do, and waits for a frame."),
  clock: protocol("The time of the last frame is the program's clock."),
  calls: protocol("Give each call a number of its own while it is under way."),
  ends: protocol("The program ends when it was told to, and not before."),
  answers: protocol("The kit waits ten seconds for each frame"),
} as const;

export type RuleName = keyof typeof RULES;

/** A host has done something wrong. The message is one sentence. */
export class Mistake extends Error {
  constructor(
    /** What it had to do. */
    readonly expected: string,
    /** What it did. */
    readonly came: string,
    readonly rule: RuleName,
  ) {
    super(`expected ${expected}; came ${came}`);
  }
}

/** Bytes as a person reads them: the first few. */
export function hex(bytes: Uint8Array, count = 16): string {
  const shown = [...bytes.subarray(0, count)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return bytes.length > count ? `${shown} …` : shown;
}

/** The first place at which two pieces of the same length differ, or -1. */
export function firstDifference(one: Uint8Array, other: Uint8Array): number {
  const length = Math.min(one.length, other.length);
  for (let i = 0; i < length; i++) if (one[i] !== other[i]) return i;
  return one.length === other.length ? -1 : length;
}
