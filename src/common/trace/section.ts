// Writes the beginning and the end of a section: who recorded what, and the two interfaces.

import {
  BLOCK_INTERFACE,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
  BYTE_ORDER_MAGIC,
  INTERFACE_HOST,
  INTERFACE_NETLINK,
  LINKTYPE_NETLINK,
  LINKTYPE_USER0,
  OPTION_APPLICATION,
  OPTION_COMMENT,
  OPTION_END,
  OPTION_IF_NAME,
  OPTION_IF_TSOFFSET,
  OPTION_IF_TSRESOL,
  pad4,
  SNAPLEN,
  TSRESOL_NS,
  TWO_TO_32,
} from "./format.ts";
import type { TraceBuffer } from "./trace-buffer.ts";

/**
 * Where a section's replay starts from: an engine as it is made, the snapshot that the section begins with, or nothing,
 * so that the section can be looked at and not replayed.
 */
export type Start = "fresh" | "snapshot" | "unknown";

/** The facts in the header of a section. Texts are ASCII without line breaks. */
export interface SectionFacts {
  /** Product and version, such as `dm-ulog 0.1.0`. */
  application: string;
  /** Of the core's bytes, in lower-case hexadecimal digits. */
  coreSha256: string;
  abiVersion: number;
  start: Start;
  /** Number of the section's first event in the engine's life. */
  firstEvent: number;
  /** A name for the engine's life that no other has, so that its sections find together; "" for none. */
  life: string;
  /** The life that a server went on with, where it took over from one that served until then; left out otherwise. */
  after?: string | undefined;
  /** Unix time at the core's time 0, in nanoseconds; null if unknown. */
  clockUnixNs: bigint | null;
}

const UNKNOWN_LENGTH = -1;
const NS_PER_SECOND = 1_000_000_000n;
const VERSION_1_0 = 1;

/** Appends header and interfaces. Returns false where the buffer is full; nothing is written then. */
export function writeSectionHeader(buffer: TraceBuffer, facts: SectionFacts): boolean {
  const comments = [
    `core-sha256 ${facts.coreSha256}`,
    `abi ${facts.abiVersion}`,
    `start ${facts.start}`,
    `event ${facts.firstEvent}`,
    ...(facts.life === "" ? [] : [`life ${facts.life}`]),
    ...(facts.after === undefined ? [] : [`after ${facts.after}`]),
    ...(facts.clockUnixNs === null ? [] : [`clock ${facts.clockUnixNs}`]),
  ];
  const head = [...word(BYTE_ORDER_MAGIC), ...half(VERSION_1_0), ...half(0), ...word(UNKNOWN_LENGTH), ...word(-1)];
  const options = [
    ...option(OPTION_APPLICATION, ascii(facts.application)),
    ...comments.flatMap((comment) => option(OPTION_COMMENT, ascii(comment))),
  ];
  return appendBlocks(buffer, [
    block(BLOCK_SECTION, [...head, ...options, ...option(OPTION_END, [])]),
    interfaceBlock(LINKTYPE_NETLINK, "netlink", facts.clockUnixNs),
    interfaceBlock(LINKTYPE_USER0, "dm-ulog", facts.clockUnixNs),
  ]);
}

/** Appends the blocks that say that a section was ended, and not cut. `timeNs` is the core's. */
export function writeSectionEnd(buffer: TraceBuffer, timeNs: number): boolean {
  const statistics = (interfaceId: number) =>
    block(BLOCK_STATISTICS, [...word(interfaceId), ...word(timeNs / TWO_TO_32), ...word(timeNs)]);
  return appendBlocks(buffer, [statistics(INTERFACE_NETLINK), statistics(INTERFACE_HOST)]);
}

function interfaceBlock(linkType: number, name: string, clockUnixNs: bigint | null): number[] {
  const options = [...option(OPTION_IF_NAME, ascii(name)), ...option(OPTION_IF_TSRESOL, [TSRESOL_NS])];
  if (clockUnixNs !== null) {
    const seconds = BigInt.asUintN(64, floorDivide(clockUnixNs, NS_PER_SECOND));
    options.push(
      ...option(OPTION_IF_TSOFFSET, [...word(Number(seconds & 0xffff_ffffn)), ...word(Number(seconds >> 32n))]),
    );
  }
  return block(BLOCK_INTERFACE, [
    ...half(linkType),
    ...half(0),
    ...word(SNAPLEN),
    ...options,
    ...option(OPTION_END, []),
  ]);
}

function floorDivide(value: bigint, by: bigint): bigint {
  return (value - (((value % by) + by) % by)) / by;
}

function appendBlocks(buffer: TraceBuffer, blocks: number[][]): boolean {
  const bytes = blocks.flat();
  if (!buffer.reserve(bytes.length)) return false;
  buffer.bytes.set(bytes, buffer.size);
  buffer.size += bytes.length;
  return true;
}

function block(type: number, body: number[]): number[] {
  const total = word(body.length + 12);
  return [...word(type), ...total, ...body, ...total];
}

function option(code: number, value: number[]): number[] {
  const padding = new Array<number>(pad4(value.length) - value.length).fill(0);
  return [...half(code), ...half(value.length), ...value, ...padding];
}

function half(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

/** The low 32 bits of a number as four bytes. */
function word(value: number): number[] {
  return [...half(value & 0xffff), ...half((value >>> 16) & 0xffff)];
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 || code > 0x7e ? 0x3f : code;
  });
}
