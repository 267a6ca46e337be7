// The rules of the protocol and of a log's life, numbered. A number is never given to another rule: tests, documents and the
// sentences of violations name rules by it. docs/protocol-rules.md is this file as a page; a test holds them together.

import type { RequestName } from "./wire.ts";

export interface Rule {
  readonly number: string;
  readonly sentence: string;
  /** Where it comes from, in a few words. */
  readonly source: string;
}

export interface Chapter {
  readonly title: string;
  /** What a reader must know before the rules. */
  readonly text: string;
  readonly rules: readonly Rule[];
}

const HEADER = "the header, linux/dm-log-userspace.h";
const TRANSFER = "dm-log-userspace-transfer.c";
const BASE = "dm-log-userspace-base.c";
const DM_LOG = "dm-log.c";
const SEEN = "seen on Linux 6.1";
const HOST = "the contract with hosts, assembly/README.md";
const OWN = "dm-ulog's own promise";

export const CHAPTERS = [
  {
    title: "Messages",
    text:
      "A request is nlmsghdr, cn_msg, dm_ulog_request and data. The kernel sends it to group 7 of the connector from port 0, and " +
      "finds who waits for an answer by the `seq` in it alone. A request that got no answer for 15 s is sent again with another `seq`, so each may come twice.",
    rules: [
      {
        number: "R1",
        sentence:
          "A datagram that is no request of the kernel (from another port, of another protocol, cut, or with lengths that contradict each other) has no effect at all.",
        source: SEEN,
      },
      {
        number: "R2",
        sentence:
          "An answer repeats its request's headers, but for `error` and the three lengths, which agree with each other: `nlmsg_len`, `cn_msg.len` and `data_size`.",
        source: TRANSFER,
      },
      {
        number: "R3",
        sentence: "A request is answered once at most, and nothing is sent that answers no request.",
        source: TRANSFER,
      },
      {
        number: "R4",
        sentence:
          "Only CTR, RESUME, POSTSUSPEND, DTR, FLUSH, and SET_REGION_SYNC to out of sync, and these only of a log on a device, may be answered later. All others are answered at once, if their log is whole (R49).",
        source: OWN,
      },
      {
        number: "R5",
        sentence:
          "While a request waits, something is under way for its mirror's logs, or a wake-up is asked for: none waits for nothing. A log that ends leaves no request unanswered. " +
          "Where more requests of one kind wait than the build keeps, the oldest may stay without an answer: the kernel has given it up.",
        source: OWN,
      },
      {
        number: "R6",
        sentence:
          "`error` is 0 or a negative errno. A refusal carries as many zero bytes as the answer would have had (64 of STATUS_INFO), because the kernel takes the size of a refusal as the room that it offers when it repeats the request.",
        source: SEEN,
      },
    ],
  },
  {
    title: "Requests that are refused",
    text: "A request that is refused changes nothing. Where several things are wrong with it, it gets the errno of any of them.",
    rules: [
      {
        number: "R7",
        sentence:
          "A request type that is not 1 to 17 (of its low 8 bits), or a version that is not 1 to 3, is refused with -EINVAL.",
        source: HEADER,
      },
      {
        number: "R8",
        sentence:
          "A log is known by luid and UUID together. A request for one that is not known, or whose DTR has come, is refused with -ESRCH: the kernel then constructs and resumes it, and repeats the request. " +
          "DTR, PRESUSPEND and POSTSUSPEND are answered with 0: nothing is left to do.",
        source: SEEN,
      },
      {
        number: "R9",
        sentence:
          "Data of a wrong size, a region that is not the log's, and a state of SET_REGION_SYNC that is neither 0 nor 1 are refused with -EINVAL.",
        source: HEADER,
      },
      {
        number: "R10",
        sentence:
          "MARK_REGION, FLUSH, GET_RESYNC_WORK and SET_REGION_SYNC of a log that is not resumed (a suspended one may still be told of clears, by CLEAR_REGION and a FLUSH without marks), and IN_SYNC, IS_CLEAN and IS_REMOTE_RECOVERING " +
          "of a log on a device that was never resumed, are refused: with -ESRCH, so that the kernel resumes it, or with -EINVAL where another luid has the mirror.",
        source: BASE,
      },
      {
        number: "R11",
        sentence: "Nothing else is refused.",
        source: OWN,
      },
      {
        number: "R12",
        sentence: "A question, or a request that is refused, does nothing to a device, to the legs or to a state file.",
        source: OWN,
      },
    ],
  },
  {
    title: "The life of a log",
    text:
      "A log is created by CTR, resumed by RESUME, suspending from PRESUSPEND and suspended from POSTSUSPEND on, resumed again, and gone with DTR. While a table is reloaded, two luids of one UUID live side by side. " +
      "A log is in memory (`core`, `clustered-core`) or on a device (`disk`, `clustered-disk`).",
    rules: [
      {
        number: "R13",
        sentence:
          "A constructor's string is `<length in sectors> core <region size> [sync|nosync] [block_on_error]` or `<length in sectors> disk <device> <region size> …`; the region size is a power of two, from 2 sectors to the mirror's length. " +
          "Any other, and an empty UUID or one without a NUL, is refused with -EINVAL. -ENOMEM says that there are as many logs as there can be, or no memory for so many regions.",
        source: DM_LOG,
      },
      {
        number: "R14",
        sentence:
          "A first constructor of a log on a block device (version 2 and later) is answered with `major:minor` and a NUL, which the kernel then holds open. Any other constructor is answered without data: a kernel that reconnects offers no room.",
        source: SEEN,
      },
      {
        number: "R15",
        sentence:
          "The constructor of a log on a device is answered when the device is open. The error of opening it is the answer's; a device that is too small gives -EINVAL, one that holds another mirror's log -EBUSY, and both are closed again.",
        source: OWN,
      },
      {
        number: "R16",
        sentence:
          "A string that ends in a NUL is that of a kernel that reconnects: with the same string it finds its log as it was. Without a NUL, it finds its log only while that was never resumed. " +
          "Every other constructor makes a new log, which inherits nothing; one that was there is let go of.",
        source: SEEN,
      },
      {
        number: "R17",
        sentence:
          "After RESUME the log is resumed, and RESUME of a log that is known never fails: a device that cannot be used makes FLUSH fail instead. Only where another luid of the mirror was or is being resumed may it be answered with 0 and change nothing: " +
          "a kernel that reconnects speaks of tables that are not in use, too.",
        source: SEEN,
      },
      {
        number: "R18",
        sentence:
          "PRESUSPEND makes a resumed log suspending, POSTSUSPEND a log that is resumed or suspending suspended. Nothing else changes where in its life a log is, but that another luid of the mirror which resumes takes its place.",
        source: BASE,
      },
      {
        number: "R19",
        sentence:
          "DTR is answered with 0, when the device is closed and the state file removed. A log also goes, without another write to its device, when the host says that no table names it, when a constructor makes a new one in its place, " +
          "or, where a mirror has more than three luids with a device, when one more comes.",
        source: OWN,
      },
      {
        number: "R20",
        sentence: "Of the luids of one mirror that are on a device, one at most takes work.",
        source: OWN,
      },
    ],
  },
  {
    title: "Regions",
    text:
      "A region is in sync (its legs hold the same data, but for writes under way) or out of sync, and it is marked or not. It is clean where it is in sync and not marked. A new log has every region out of sync and none marked; with `nosync`, " +
      "and if the kernel does not reconnect, every region in sync. MARK_REGION, and FLUSH with regions as data, mark; CLEAR_REGION takes marks away; SET_REGION_SYNC puts a region in sync or out of it.",
    rules: [
      {
        number: "R21",
        sentence: "GET_REGION_SIZE answers with the region size of the constructor, in sectors.",
        source: HEADER,
      },
      { number: "R22", sentence: "IN_SYNC answers with 1 of a region in sync, otherwise with 0.", source: HEADER },
      {
        number: "R23",
        sentence: "IS_CLEAN answers with 1 of a region that is clean, otherwise with 0.",
        source: HEADER,
      },
      { number: "R24", sentence: "GET_SYNC_COUNT answers with the number of regions in sync.", source: HEADER },
      {
        number: "R25",
        sentence: "GET_RESYNC_WORK answers with {1, region} of a region that is out of sync, or with {0, 0}.",
        source: HEADER,
      },
      {
        number: "R26",
        sentence:
          "One region is out at a time: it is handed out again until SET_REGION_SYNC reports it, or the log is resumed.",
        source: "dm-raid1.c: MAX_RECOVERY 1; every request may come twice",
      },
      {
        number: "R27",
        sentence:
          "A region whose recovery has failed waits until every other one had its turn, also where the log is resumed meanwhile. {0, 0} is the answer only if every region that is out of sync has failed since the log was resumed.",
        source: OWN,
      },
      {
        number: "R28",
        sentence:
          "IS_REMOTE_RECOVERING answers that no other machine recovers the region, with a hint of the region count where everything is in sync, otherwise of one less: the kernel holds writes above the hint back, and ends the resync at the region count.",
        source: BASE,
      },
      {
        number: "R29",
        sentence:
          "STATUS_INFO is `1 <log type>` of a log in memory and `3 <log type> <major>:<minor> <A|D>` of one on a device, without a NUL; D from the first failure of the device on, until the log is resumed again.",
        source: "lvm2 and libdm read it so",
      },
      { number: "R30", sentence: "STATUS_TABLE is the constructor's string from the log type on.", source: HEADER },
    ],
  },
  {
    title: "What must be durable before which answer",
    text: "What a device is known to hold is what was read from it and what writes have put there whose completion was a success. A write that is under way or has failed may be there or not, in whole or in part.",
    rules: [
      {
        number: "R31",
        sentence:
          "FLUSH of a log on a device is answered with 0 only when the device calls no region clean that was not when the FLUSH came, and has not become clean since. FLUSH of a log in memory is answered with 0 at once.",
        source: HEADER,
      },
      {
        number: "R32",
        sentence:
          "SET_REGION_SYNC to out of sync is answered with 0 only when the device does not call the region clean.",
        source: OWN,
      },
      {
        number: "R33",
        sentence:
          "FLUSH and SET_REGION_SYNC fail, with -EIO, only if the device has failed since the log was resumed, or if the log does not take work any more.",
        source: OWN,
      },
      {
        number: "R34",
        sentence: "No write calls a region clean that is out of sync or marked.",
        source: DM_LOG,
      },
      {
        number: "R35",
        sentence:
          "No write calls a region clean before a flush of the legs' caches has ended that began after the region became clean, unless the device calls it so already: a power cut could leave legs that differ under a log that says clean.",
        source: `${DM_LOG}, which flushes the target before it writes`,
      },
      {
        number: "R36",
        sentence:
          "Only the luid that takes work, is being resumed, or ends a suspend or a destruction that it was asked for while it took work, writes to the device, and not while another one's write is under way.",
        source: OWN,
      },
      {
        number: "R37",
        sentence:
          "A header other than the one on the device (or the one that a failed write may have put there) is written only when nothing else is under way or has failed and the device calls no region clean that is not: " +
          "a torn write may leave a new header over old bits.",
        source: OWN,
      },
      {
        number: "R38",
        sentence:
          "RESUME that has read the device is answered when the device holds a header of version 2 with the region count and the mirror's UUID, no bit behind the last region, and calls no region clean that is not; or when the device has failed.",
        source: DM_LOG,
      },
      {
        number: "R39",
        sentence:
          "POSTSUSPEND and DTR of a log that takes work are answered when every region that was clean when they came, and still is, is clean on the device; where the legs could not be flushed, some may be missing, and a POSTSUSPEND that comes while one waits owes no more than that. " +
          "If the device has failed, POSTSUSPEND fails with -EIO, and otherwise it does not.",
        source: DM_LOG,
      },
      {
        number: "R40",
        sentence:
          "While a region is clean and the device does not call it so, something is under way for the log, or a wake-up is asked for: a clear gets to the device in the end.",
        source: OWN,
      },
      { number: "R41", sentence: "CLEAR_REGION never causes a write to the device at once.", source: OWN },
    ],
  },
  {
    title: "A log's device",
    text: "The format is that of the kernel's `disk` log, little endian: magic `MiRr` (u32), version 2 (u32; 1 is read as 2), number of regions (u64); at 512, `dmul`, 1 (u32) and the mirror's UUID, padded to 136 bytes; from 1,024 on a bit for each region, set where it is clean.",
    rules: [
      {
        number: "R42",
        sentence:
          "The first RESUME takes what is in sync from the device: the regions that it calls clean, of as many as its header has. Regions beyond are out of sync. Nothing is believed, and all is out of sync, where the magic is missing, the version unknown, the UUID another mirror's, " +
          "the device not readable, or known to be behind after a failure, or where the constructor says `sync` or `nosync`. `nosync` puts in sync what the device is not believed of, but not where the device failed, is behind, has an unknown version, or the server lost the log. Of a lost log every region is marked.",
        source: DM_LOG,
      },
      {
        number: "R43",
        sentence:
          "Later the log knows more than its device, and nothing is taken from that: what is in sync and what is marked stay as they are. Only an unknown version puts everything out of sync, and the marks of a lost log end with the first RESUME after a suspend.",
        source: OWN,
      },
      {
        number: "R44",
        sentence:
          "A device is opened by the name in the constructor, read and written while it is open, and closed when nothing is under way on it. The legs of a log are flushed once at a time, by its luid and UUID.",
        source: HOST,
      },
      {
        number: "R45",
        sentence:
          "Reads and writes lie within the log and the device. They begin at multiples of 4,096 bytes and, but at the end of the device, have multiples of it (reads may be of 1,024): direct I/O asks for it.",
        source: HOST,
      },
    ],
  },
  {
    title: "The state file",
    text: "A log's state file outlives the server. The next server restores the log from it, so that the kernel never meets one that has forgotten what was in sync. This is dm-ulog's own; another server may keep its memory in another way.",
    rules: [
      {
        number: "R46",
        sentence:
          "What an answer tells the kernel is in both copies of the state file before the answer leaves: where in its life the log is, and which regions are out of sync and marked.",
        source: OWN,
      },
      {
        number: "R47",
        sentence:
          "A state file is created once, in the size that its log needs, is written within that, and is removed with the log.",
        source: HOST,
      },
      {
        number: "R48",
        sentence:
          "A restored log is what its state file says: of headers the first copy that is whole, of sets a region that either copy has. A file without a whole header, or of a log that is there already, is removed.",
        source: OWN,
      },
      {
        number: "R49",
        sentence:
          "A request for a log that is not whole waits without an effect: a large log is made in slices, and parts of its state file may still be to come. When the log is whole, those that waited are taken in the order they came, one with each TICK. Where there is no room for them, the earliest is let go, and the kernel asks again.",
        source: OWN,
      },
    ],
  },
] as const satisfies readonly Chapter[];

export type RuleNumber = (typeof CHAPTERS)[number]["rules"][number]["number"];

/** All rules, in the order of their numbers. */
export const RULES: readonly Rule[] = CHAPTERS.flatMap(({ rules }): readonly Rule[] => rules);

/** What a request means, for the page. */
export interface RequestWords {
  readonly data: string;
  readonly answer: string;
  readonly meaning: string;
  readonly rules: readonly RuleNumber[];
}

const REGIONS = "u64 for each region";
const REGION = "region u64";

export const REQUESTS: Readonly<Record<RequestName, RequestWords>> = {
  CTR: {
    data: "the constructor's string",
    answer: "`major:minor` and a NUL, or nothing",
    meaning: "makes a log",
    rules: ["R13", "R14", "R15", "R16"],
  },
  DTR: { data: "any", answer: "nothing", meaning: "ends it", rules: ["R8", "R19", "R39"] },
  PRESUSPEND: { data: "none", answer: "nothing", meaning: "I/O is about to end", rules: ["R8", "R18"] },
  POSTSUSPEND: { data: "none", answer: "nothing", meaning: "I/O has ended", rules: ["R8", "R18", "R39"] },
  RESUME: { data: "none", answer: "nothing", meaning: "I/O may begin", rules: ["R17", "R38", "R42", "R43"] },
  GET_REGION_SIZE: { data: "none", answer: "u64, sectors", meaning: "how large is a region", rules: ["R21"] },
  IS_CLEAN: { data: REGION, answer: "i64, 1 or 0", meaning: "is it in sync and not marked", rules: ["R10", "R23"] },
  IN_SYNC: { data: REGION, answer: "i64, 1 or 0", meaning: "is it in sync", rules: ["R10", "R22"] },
  FLUSH: {
    data: `none, or ${REGIONS} to mark (\`integrated_flush\`)`,
    answer: "nothing",
    meaning: "make every mark durable; writes wait for the answer",
    rules: ["R10", "R31", "R33"],
  },
  MARK_REGION: { data: REGIONS, answer: "nothing", meaning: "writes are about to begin", rules: ["R10", "R34"] },
  CLEAR_REGION: { data: REGIONS, answer: "nothing", meaning: "writes have ended", rules: ["R10", "R35", "R40", "R41"] },
  GET_RESYNC_WORK: {
    data: "none",
    answer: "i64, 1 or 0; region u64",
    meaning: "which region to resync next",
    rules: ["R25", "R26", "R27"],
  },
  SET_REGION_SYNC: {
    data: "region u64; i64, 1 or 0",
    answer: "nothing",
    meaning: "the region is in sync, or is not",
    rules: ["R26", "R32", "R33"],
  },
  GET_SYNC_COUNT: { data: "none", answer: "u64", meaning: "how many regions are in sync", rules: ["R24"] },
  STATUS_INFO: { data: "none", answer: "text", meaning: "what `dmsetup status` shows", rules: ["R29"] },
  STATUS_TABLE: { data: "none", answer: "text", meaning: "what `dmsetup table` shows", rules: ["R30"] },
  IS_REMOTE_RECOVERING: {
    data: REGION,
    answer: "i64, 1 or 0; hint u64",
    meaning: "does another machine resync it",
    rules: ["R10", "R28"],
  },
};
