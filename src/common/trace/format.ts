// The numbers of a trace file: those of pcapng, and those of dm-ulog. README.md describes the whole format.
//
// Invariant: everything is little endian and aligned to 4 bytes, so files are read and written by words.

/** A file, or a part of one, cannot be used as requested. The message is a sentence for a person. */
export class TraceError extends Error {
  override readonly name = "TraceError";
}

/** pcapng: types of blocks. */
export const BLOCK_SECTION = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
export const BLOCK_STATISTICS = 5;
export const BLOCK_PACKET = 6;
/** pcapng: the number in a section's header that shows its byte order. */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Type and both lengths. */
export const BLOCK_BYTES_MIN = 12;

/** pcapng: codes of options. */
export const OPTION_END = 0;
export const OPTION_COMMENT = 1;
export const OPTION_APPLICATION = 4;
export const OPTION_IF_NAME = 2;
export const OPTION_IF_TSRESOL = 9;
export const OPTION_IF_TSOFFSET = 14;
export const OPTION_FLAGS = 2;
export const OPTION_PACKET_ID = 5;
/** Code and length of an option, as the word it begins with. */
export const OPTION_FLAGS_HEAD = OPTION_FLAGS | (4 << 16);
export const OPTION_PACKET_ID_HEAD = OPTION_PACKET_ID | (8 << 16);

/** Words of a packet block, counted from its first. */
export const PACKET_INTERFACE = 2;
export const PACKET_TIME_HIGH = 3;
export const PACKET_TIME_LOW = 4;
export const PACKET_CAPTURED = 5;
export const PACKET_ORIGINAL = 6;
export const PACKET_DATA = 7;
/** The options as they are written: flags, event number, end. */
export const PACKET_OPTIONS_BYTES = 8 + 12 + 4;
/** What a packet takes beside its data, which is padded to 4 bytes. */
export const PACKET_OVERHEAD_BYTES = PACKET_DATA * 4 + PACKET_OPTIONS_BYTES + 4;

/** Directions in the flags of a packet. */
export const DIRECTION_MASK = 3;
export const TO_CORE = 1;
export const FROM_CORE = 2;

export const INTERFACE_NETLINK = 0;
export const INTERFACE_HOST = 1;
export const LINKTYPE_NETLINK = 253;
export const LINKTYPE_USER0 = 147;
/** Timestamps count 10^-9 s. */
export const TSRESOL_NS = 9;
/** The largest packet that Wireshark and libpcap take. */
export const SNAPLEN = 262_144;

/** Two consecutive big-endian numbers of 16 bits, as a word of this file. */
export const bigEndian = (first: number, second: number) =>
  (first >>> 8) | ((first & 0xff) << 8) | ((second >>> 8) << 16) | (second << 24);

/** Interface 0: the header before a datagram, as words. Its own fields are big endian. */
export const COOKED_BYTES = 16;
const ARPHRD_NETLINK = 824;
const NETLINK_CONNECTOR = 11;
export const COOKED_TO_US = bigEndian(0, ARPHRD_NETLINK);
export const COOKED_BY_US = bigEndian(4, ARPHRD_NETLINK);
export const COOKED_PROTOCOL = bigEndian(0, NETLINK_CONNECTOR);
export const COOKED_PORT_BYTES = 4;

/** Of interface 1, to the core: kind and claimed size of the input, then its payload. */
export const HOST_INPUT_BYTES = 8;
/** Kind: a part of linear memory as it was before the section's first event. The core has no kind with such a high number. */
export const KIND_SNAPSHOT_PART = 0x100;
/** offset u64, bytes of all of linear memory u64, digest of this part and those before it u64. */
export const SNAPSHOT_HEAD_BYTES = 24;
export const SNAPSHOT_PART_BYTES = 65_536;
export const PAGE_BYTES = 4096;

/** Interface 1, from the core: kind of the record for a trap of the core; its payload is text. */
export const KIND_TRAP = 0x100;
/** The stream of an event's effects is cut into packets of at most this many bytes. */
export const STREAM_PACKET_BYTES = 131_072;

export const TWO_TO_32 = 0x1_0000_0000;

/** For any length that a file may claim. */
export const pad4 = (bytes: number) => bytes + (-bytes & 3);
export const pad8 = (bytes: number) => bytes + (-bytes & 7);
