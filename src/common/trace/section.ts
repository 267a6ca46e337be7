// What a section begins and ends with: who recorded what, the two interfaces, the state that its first event found.

import { Digest } from "../sim/digest.ts";
import {
  BLOCK_INTERFACE,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
  BYTE_ORDER_MAGIC,
  HOST_INPUT_BYTES,
  INTERFACE_HOST,
  INTERFACE_NETLINK,
  KIND_SNAPSHOT_PART,
  LINKTYPE_NETLINK,
  LINKTYPE_USER0,
  OPTION_APPLICATION,
  OPTION_COMMENT,
  OPTION_END,
  OPTION_FLAGS,
  OPTION_IF_NAME,
  OPTION_IF_TSOFFSET,
  OPTION_IF_TSRESOL,
  OPTION_PACKET_ID,
  PACKET_DATA,
  PACKET_OVERHEAD_BYTES,
  PAGE_BYTES,
  pad4,
  SNAPLEN,
  SNAPSHOT_HEAD_BYTES,
  SNAPSHOT_PART_BYTES,
  TO_CORE,
  TSRESOL_NS,
  TWO_TO_32,
} from "./format.ts";
import type { TraceBuffer } from "./trace-buffer.ts";

/**
 * Where a section's replay starts from: an engine as it is made, the snapshot that the section begins with, or nothing,
 * so that the section can be looked at and not replayed.
 */
export type Start = "fresh" | "snapshot" | "unknown";

/** What the header of a section tells. Texts are ASCII without line breaks. */
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
  /** Unix time at the core's time 0, in nanoseconds; null where nobody knows. */
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

/**
 * Appends linear memory, from `fromBytes` on, in packets that belong to the section's first event. Pages of zeros are left
 * out. Returns where it stopped: `memory.length`, or less where a fixed buffer is full and another is to go on.
 */
export function writeSnapshot(
  buffer: TraceBuffer,
  memory: Uint8Array,
  firstEvent: number,
  timeNs: number,
  fromBytes = 0,
): number {
  const source = new Int32Array(memory.buffer, memory.byteOffset, memory.length >>> 2);
  let offset = fromBytes;
  for (;;) {
    while (offset < memory.length && isZeroPage(source, offset)) offset += PAGE_BYTES;
    if (offset >= memory.length) return memory.length;
    let end = offset + PAGE_BYTES;
    while (end < memory.length && end - offset < SNAPSHOT_PART_BYTES && !isZeroPage(source, end)) end += PAGE_BYTES;
    if (!writeSnapshotPart(buffer, memory, offset, end - offset, firstEvent, timeNs)) return offset;
    offset = end;
  }
}

function writeSnapshotPart(
  buffer: TraceBuffer,
  memory: Uint8Array,
  offset: number,
  size: number,
  firstEvent: number,
  timeNs: number,
): boolean {
  const payloadBytes = SNAPSHOT_HEAD_BYTES + size;
  const captured = HOST_INPUT_BYTES + payloadBytes;
  const total = PACKET_OVERHEAD_BYTES + captured;
  if (!buffer.reserve(total)) return false;
  const { words } = buffer;
  const first = buffer.size >>> 2;
  const data = first + PACKET_DATA;
  words.set([BLOCK_PACKET, total, INTERFACE_HOST, timeNs / TWO_TO_32, timeNs, captured, captured], first);
  words.set([KIND_SNAPSHOT_PART, payloadBytes, offset, 0, memory.length, memory.length / TWO_TO_32], data);
  buffer.bytes.set(memory.subarray(offset, offset + size), (data + 8) * 4);
  const digest = snapshotDigest(words, data + 8, size >>> 2, offset, memory.length);
  words.set([digest.low, digest.high], data + 6);
  const options = data + (captured >>> 2);
  words.set([optionHead(OPTION_FLAGS, 4), TO_CORE, optionHead(OPTION_PACKET_ID, 8)], options);
  words.set([firstEvent, firstEvent / TWO_TO_32, OPTION_END, total], options + 3);
  buffer.size += total;
  return true;
}

/**
 * Finds a part of a snapshot that was damaged: an engine that starts from one may do anything, even never end. Of `count`
 * words from `first` on, which stand at `offset` of a memory of `memoryBytes`.
 */
export function snapshotDigest(
  words: Int32Array,
  first: number,
  count: number,
  offset: number,
  memoryBytes: number,
): Digest {
  const digest = new Digest();
  digest.addWord(offset);
  digest.addWord(memoryBytes);
  digest.addWords(words, first, count);
  return digest;
}

function isZeroPage(words: Int32Array, offset: number): boolean {
  const end = Math.min(words.length, (offset + PAGE_BYTES) >>> 2);
  for (let i = offset >>> 2; i < end; i++) if (words[i] !== 0) return false;
  return true;
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

/** Code and length of an option as one word. */
function optionHead(code: number, length: number): number {
  return code | (length << 16);
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
