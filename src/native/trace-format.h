/* The numbers of a trace file: those of src/common/trace/format.ts. */
#ifndef TRACE_FORMAT_H
#define TRACE_FORMAT_H

#include <stdint.h>

enum {
  BLOCK_SECTION = 0x0a0d0d0a,
  BLOCK_INTERFACE = 1,
  BLOCK_STATISTICS = 5,
  BLOCK_PACKET = 6,
  BYTE_ORDER_MAGIC = 0x1a2b3c4d,
  OPTION_COMMENT = 1,
  OPTION_APPLICATION = 4,
  OPTION_IF_NAME = 2,
  OPTION_IF_TSRESOL = 9,
  OPTION_IF_TSOFFSET = 14,
  OPTION_FLAGS_HEAD = 2 | 4 << 16,
  OPTION_PACKET_ID_HEAD = 5 | 8 << 16,
  TO_CORE = 1,
  FROM_CORE = 2,
  INTERFACE_NETLINK = 0,
  INTERFACE_HOST = 1,
  LINKTYPE_NETLINK = 253,
  LINKTYPE_USER0 = 147,
  TSRESOL_NS = 9,
  SNAPLEN = 262144,
  COOKED_BYTES = 16,
  HOST_INPUT_BYTES = 8,
  KIND_SNAPSHOT_PART = 0x100,
  KIND_TRAP = 0x100,
  SNAPSHOT_HEAD_BYTES = 24,
  SNAPSHOT_PART_BYTES = 65536,
  STREAM_PACKET_BYTES = 131072,
  /* What a packet takes beside its data: seven words, flags, number of the event, end of options, length. */
  PACKET_OVERHEAD_BYTES = 7 * 4 + 8 + 12 + 4 + 4,
};

/* Two numbers of 16 bits, big endian one after the other, as a word of the file. */
#define BIG_ENDIAN_PAIR(first, second) \
  ((uint32_t)(first) >> 8 | ((uint32_t)(first) & 0xff) << 8 | ((uint32_t)(second) >> 8) << 16 | (uint32_t)(second) << 24)
#define ARPHRD_NETLINK_NUMBER 824
#define COOKED_TO_US BIG_ENDIAN_PAIR(0, ARPHRD_NETLINK_NUMBER)
#define COOKED_BY_US BIG_ENDIAN_PAIR(4, ARPHRD_NETLINK_NUMBER)
#define COOKED_PROTOCOL BIG_ENDIAN_PAIR(0, 11)
#define COOKED_PORT_BYTES 4

static inline uint64_t pad4(uint64_t bytes) { return (bytes + 3) & ~3ull; }
static inline uint64_t pad8(uint64_t bytes) { return (bytes + 7) & ~7ull; }

#endif
