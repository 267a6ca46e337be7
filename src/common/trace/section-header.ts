// Reads what a section begins with.

import { BYTE_ORDER_MAGIC, OPTION_APPLICATION, OPTION_COMMENT, TraceError } from "./format.ts";
import { eachOption, type FileView, latin1 } from "./packet.ts";
import type { SectionFacts, Start } from "./section.ts";

/** Words before the options: type, length, byte order, version, length of the section. */
const OPTIONS = 6;
const STARTS: readonly Start[] = ["fresh", "snapshot", "unknown"];

/** The facts in the section header at a word; its length is known to be right. Throws a TraceError where it is no trace's. */
export function readSectionHeader({ words, bytes }: FileView, at: number, total: number): SectionFacts {
  if (words[at + 2] !== BYTE_ORDER_MAGIC) {
    throw new TraceError("This pcapng file was written with its bytes in another order than dm-ulog writes.");
  }
  if (((words[at + 3] as number) & 0xffff) !== 1)
    throw new TraceError("This pcapng file has a version that nobody knows here.");
  let application = "";
  const said = new Map<string, string>();
  eachOption(words, at + OPTIONS, at + (total >>> 2) - 1, (code, offset, length) => {
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
    clockUnixNs: clock !== undefined && /^-?\d{1,19}$/.test(clock) ? BigInt(clock) : null,
  };
}

function count(text: string | undefined): number | null {
  const value = Number(text ?? "");
  return text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(value) ? value : null;
}
