// Reads the beginning of a file and of a section.

import {
  BLOCK_SECTION,
  BYTE_ORDER_MAGIC,
  LINKTYPE_NETLINK,
  LINKTYPE_USER0,
  OPTION_APPLICATION,
  OPTION_COMMENT,
  OPTION_IF_TSRESOL,
  TraceError,
  TSRESOL_NS,
} from "./format.ts";
import { eachOption, type FileView, latin1 } from "./packet.ts";
import type { SectionFacts, Start } from "./section.ts";

/** Words before a header's options: type, length, byte order, version, length of the section. */
const SECTION_OPTIONS = 6;
/** Words before an interface's: type, length, link type, snaplen. */
const INTERFACE_OPTIONS = 4;
/** The default unit of an interface's times. */
const TSRESOL_DEFAULT = 6;
const PCAP_MAGICS = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1];
const GZIP_MAGIC = 0x8b1f;
const STARTS: readonly Start[] = ["fresh", "snapshot", "unknown"];

/** Throws a TraceError that says what a file is where its first bytes are not those of a trace. */
export function checkBeginning(words: Int32Array, fileBytes: number): void {
  if (fileBytes === 0) throw new TraceError("The file is empty.");
  const first = (words[0] ?? 0) >>> 0;
  if (PCAP_MAGICS.includes(first)) {
    throw new TraceError("This is a pcap file, and not a trace of dm-ulog, which is pcapng.");
  }
  if ((first & 0xffff) === GZIP_MAGIC) throw new TraceError("This file is compressed by gzip. Uncompress it first.");
  if (first !== BLOCK_SECTION) {
    throw new TraceError("This is not a trace of dm-ulog: it does not begin as a pcapng file does.");
  }
  if (words[2] !== undefined) checkByteOrder(words[2]);
}

function checkByteOrder(magic: number | undefined): void {
  if (magic === BYTE_ORDER_MAGIC) return;
  throw new TraceError("This pcapng file was written with its bytes in another order than dm-ulog writes.");
}

/** The facts in the section header at a word; its length is known to be right. Throws a TraceError where it is no trace's. */
export function readSectionHeader({ words, bytes }: FileView, at: number, total: number): SectionFacts {
  checkByteOrder(words[at + 2]);
  if (((words[at + 3] as number) & 0xffff) !== 1)
    throw new TraceError("This pcapng file has a version that nobody knows here.");
  let application = "";
  const said = new Map<string, string>();
  eachOption(words, at + SECTION_OPTIONS, at + (total >>> 2) - 1, (code, offset, length) => {
    const text = () => latin1(bytes.subarray(offset, offset + length));
    if (code === OPTION_APPLICATION) application = text();
    if (code !== OPTION_COMMENT) return;
    const [, key = "", value = ""] = /^(\S+) (.*)$/s.exec(text()) ?? [];
    said.set(key, value);
  });
  const start = STARTS.find((name) => name === said.get("start"));
  const abiVersion = count(said.get("abi"));
  const firstEvent = count(said.get("event"));
  if (start === undefined || abiVersion === null || firstEvent === null) {
    throw new TraceError("This is a pcapng file, but not a trace of dm-ulog: its header does not say how it begins.");
  }
  const clock = said.get("clock");
  return {
    application,
    coreSha256: said.get("core-sha256") ?? "",
    abiVersion,
    start,
    firstEvent,
    life: said.get("life") ?? "",
    after: said.get("after"),
    clockUnixNs: clock !== undefined && /^-?\d{1,19}$/.test(clock) ? BigInt(clock) : null,
  };
}

/** The link type of the interface block at a word, or null where its times have lost what a replay needs. */
export function readLinkType({ words, bytes }: FileView, at: number, total: number): number | null {
  let resolution = TSRESOL_DEFAULT;
  eachOption(words, at + INTERFACE_OPTIONS, at + (total >>> 2) - 1, (code, offset) => {
    if (code === OPTION_IF_TSRESOL) resolution = bytes[offset] as number;
  });
  const link = (words[at + 2] as number) & 0xffff;
  const isOurs = link === LINKTYPE_NETLINK || link === LINKTYPE_USER0;
  return isOurs && resolution !== TSRESOL_NS ? null : link;
}

function count(text: string | undefined): number | null {
  const value = Number(text ?? "");
  return text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(value) ? value : null;
}
