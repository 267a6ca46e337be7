#include "trace-writer.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "engine.h"
#include "page.h"
#include "trace-format.h"

#define OUTPUT_PAGE_BYTES 4096
#define TRAP_BYTES_MAX 1024

/* The packet that is being written: where its next word goes, and what all packets of an event have in common. */
static uint32_t *at;
static uint64_t number, time_ns;
static uint32_t block_bytes;

static bool has_room(const struct trace_buffer *buffer, uint64_t bytes) { return buffer->size + bytes <= buffer->room; }

static void begin(const struct trace_buffer *buffer, uint64_t event, uint64_t event_ns) {
  at = buffer->words + buffer->size / 4;
  number = event;
  time_ns = event_ns;
}

static void end(struct trace_buffer *buffer) { buffer->size = (uint64_t)(at - buffer->words) * 4; }

static void word(uint32_t value) { *at++ = value; }

static void open_packet(uint32_t interface, uint32_t captured, uint32_t original) {
  block_bytes = (uint32_t)(PACKET_OVERHEAD_BYTES + pad4(captured));
  word(BLOCK_PACKET);
  word(block_bytes);
  word(interface);
  word((uint32_t)(time_ns >> 32));
  word((uint32_t)time_ns);
  word(captured);
  word(original);
}

static void close_packet(uint32_t direction) {
  word(OPTION_FLAGS_HEAD);
  word(direction);
  word(OPTION_PACKET_ID_HEAD);
  word((uint32_t)number);
  word((uint32_t)(number >> 32));
  word(0);
  word(block_bytes);
}

/* Copies bytes and pads them with zeros to a word. */
static void copy(const void *bytes, uint64_t size) {
  if (size % 4 != 0) at[size / 4] = 0;
  memcpy(at, bytes, size);
  at += pad4(size) / 4;
}

static void cooked_header(uint32_t type, uint32_t port) {
  word(type);
  word(port == 0 ? 0 : BIG_ENDIAN_PAIR(COOKED_PORT_BYTES, port >> 16));
  word(BIG_ENDIAN_PAIR(port & 0xffff, 0));
  word(COOKED_PROTOCOL);
}

/* ---- Events */

/* The present event's datagrams sent, the bytes of their packets, and those of the stream of all effects, 0 for none. */
static struct { uint32_t sends; uint64_t send_bytes, stream_bytes; } effects;

#define RECORD_KIND(record) U32((record) + DM_ULOG_EFFECT_KIND)
#define RECORD_SIZE(record) U32((record) + DM_ULOG_EFFECT_PAYLOAD_SIZE)
#define NEXT_RECORD(record) ((record) + DM_ULOG_EFFECT_PAYLOAD + (uint32_t)pad8(RECORD_SIZE(record)))

/* Whether the record ends with an address in linear memory of bytes that belong to it. */
static bool is_write(uint32_t kind) { return kind == DM_ULOG_EFFECT_KIND_STATE_WRITE || kind == DM_ULOG_EFFECT_KIND_WRITE; }

static void measure(uint32_t effects_bytes) {
  uint32_t records = 0;
  memset(&effects, 0, sizeof effects);
  for (uint32_t record = DM_ULOG_EFFECTS; record < DM_ULOG_EFFECTS + effects_bytes; record = NEXT_RECORD(record), records++) {
    uint32_t kind = RECORD_KIND(record), size = RECORD_SIZE(record);
    effects.stream_bytes += DM_ULOG_EFFECT_PAYLOAD;
    if (kind == DM_ULOG_EFFECT_KIND_SEND) {
      effects.sends++;
      effects.send_bytes += PACKET_OVERHEAD_BYTES + COOKED_BYTES + pad4(size);
    } else {
      effects.stream_bytes += pad8(size);
      if (is_write(kind)) effects.stream_bytes += pad8(U32(record + DM_ULOG_EFFECT_PAYLOAD + DM_ULOG_HEAD_SIZE));
    }
  }
  /* An event with a single datagram as its effect needs no stream. */
  if (records == 1 && effects.sends == 1) effects.stream_bytes = 0;
}

static uint32_t held_bytes(void) {
  uint32_t size = U32(DM_ULOG_INPUT_PAYLOAD_SIZE);
  return size < DM_ULOG_INPUT_PAYLOAD_BYTES_MAX ? size : DM_ULOG_INPUT_PAYLOAD_BYTES_MAX;
}

static uint64_t input_bytes(void) { return PACKET_OVERHEAD_BYTES + COOKED_BYTES + pad4(held_bytes()); }

static void write_input(void) {
  uint32_t kind = U32(DM_ULOG_INPUT_KIND), size = U32(DM_ULOG_INPUT_PAYLOAD_SIZE), held = held_bytes();
  if (kind == DM_ULOG_INPUT_KIND_DATAGRAM) {
    uint64_t original = (uint64_t)COOKED_BYTES + size;
    open_packet(INTERFACE_NETLINK, COOKED_BYTES + held, original < UINT32_MAX ? (uint32_t)original : UINT32_MAX);
    cooked_header(COOKED_TO_US, U32(DM_ULOG_INPUT_PORT));
  } else {
    open_packet(INTERFACE_HOST, HOST_INPUT_BYTES + held, HOST_INPUT_BYTES + held);
    word(kind);
    word(size);
  }
  copy(memory + DM_ULOG_INPUT_PAYLOAD, held);
  close_packet(TO_CORE);
}

static void write_sends(uint32_t effects_bytes) {
  for (uint32_t record = DM_ULOG_EFFECTS; record < DM_ULOG_EFFECTS + effects_bytes; record = NEXT_RECORD(record)) {
    uint32_t size = RECORD_SIZE(record);
    if (RECORD_KIND(record) != DM_ULOG_EFFECT_KIND_SEND) continue;
    open_packet(INTERFACE_NETLINK, COOKED_BYTES + size, COOKED_BYTES + size);
    cooked_header(COOKED_BY_US, 0);
    copy(memory + record + DM_ULOG_EFFECT_PAYLOAD, size);
    close_packet(FROM_CORE);
  }
}

/* Bytes of the stream that still fit the present packet, and those of later packets. */
static uint64_t stream_room, stream_left;

static void make_stream_room(void) {
  if (stream_room > 0) return;
  if (stream_left < effects.stream_bytes) close_packet(FROM_CORE);
  stream_room = stream_left < STREAM_PACKET_BYTES ? stream_left : STREAM_PACKET_BYTES;
  stream_left -= stream_room;
  open_packet(INTERFACE_HOST, (uint32_t)stream_room, (uint32_t)stream_room);
}

/* Pads with zeros to a multiple of 8. */
static void stream_copy(uint32_t from, uint64_t size) {
  while (size > 0) {
    make_stream_room();
    uint64_t part = size < stream_room ? size : stream_room;
    copy(memory + from, part);
    if (pad4(part) % 8 != 0) word(0);
    stream_room -= pad8(part);
    from += (uint32_t)part;
    size -= part;
  }
}

static void write_stream(uint32_t effects_bytes) {
  stream_room = 0;
  stream_left = effects.stream_bytes;
  for (uint32_t record = DM_ULOG_EFFECTS; record < DM_ULOG_EFFECTS + effects_bytes; record = NEXT_RECORD(record)) {
    uint32_t kind = RECORD_KIND(record), payload = record + DM_ULOG_EFFECT_PAYLOAD;
    stream_copy(record, DM_ULOG_EFFECT_PAYLOAD + (kind == DM_ULOG_EFFECT_KIND_SEND ? 0 : RECORD_SIZE(record)));
    if (!is_write(kind)) continue;
    /* An address means nothing outside its engine, but the bytes at that address do. */
    at[-2] = at[-1] = 0;
    stream_copy(U32(payload + DM_ULOG_WRITE_ADDRESS), U32(payload + DM_ULOG_HEAD_SIZE));
  }
  close_packet(FROM_CORE);
}

bool write_event(struct trace_buffer *buffer, uint32_t effects_bytes) {
  measure(effects_bytes);
  uint64_t packets = (effects.stream_bytes + STREAM_PACKET_BYTES - 1) / STREAM_PACKET_BYTES;
  uint64_t output_bytes = effects.send_bytes + effects.stream_bytes + packets * PACKET_OVERHEAD_BYTES;
  if (!has_room(buffer, input_bytes() + output_bytes)) return false;
  begin(buffer, input_count - 1, U64(DM_ULOG_INPUT_NOW));
  write_input();
  if (effects.sends > 0) write_sends(effects_bytes);
  if (effects.stream_bytes > 0) write_stream(effects_bytes);
  end(buffer);
  return true;
}

bool write_trap(struct trace_buffer *buffer, const char *reason) {
  uint32_t length = (uint32_t)strnlen(reason, TRAP_BYTES_MAX);
  uint32_t record_bytes = DM_ULOG_EFFECT_PAYLOAD + (uint32_t)pad8(length);
  if (!has_room(buffer, input_bytes() + PACKET_OVERHEAD_BYTES + record_bytes)) return false;
  begin(buffer, input_count - 1, U64(DM_ULOG_INPUT_NOW));
  write_input();
  open_packet(INTERFACE_HOST, record_bytes, record_bytes);
  word(KIND_TRAP);
  word(length);
  copy(reason, length);
  if (pad4(length) % 8 != 0) word(0);
  close_packet(FROM_CORE);
  end(buffer);
  return true;
}

/* ---- Sections */

static void option(uint32_t code, const void *value, uint32_t size) {
  word(code | size << 16);
  copy(value, size);
}

static void text_option(uint32_t code, const char *text) { option(code, text, (uint32_t)strlen(text)); }

/* Closes a block that began at `first`, whose second word is its length. */
static void close_block(uint32_t *first) {
  word(0); /* the end of the options */
  uint32_t bytes = (uint32_t)(at - first + 1) * 4;
  first[1] = bytes;
  word(bytes);
}

static void write_interface(uint32_t link_type, const char *name) {
  uint32_t *first = at;
  int64_t seconds = clock_unix_ns / (int64_t)NS_PER_S - (clock_unix_ns % (int64_t)NS_PER_S < 0);
  const uint8_t resolution = TSRESOL_NS;
  word(BLOCK_INTERFACE);
  word(0);
  word(link_type);
  word(SNAPLEN);
  text_option(OPTION_IF_NAME, name);
  option(OPTION_IF_TSRESOL, &resolution, 1);
  option(OPTION_IF_TSOFFSET, &seconds, sizeof seconds);
  close_block(first);
}

/* More than a section's header and interfaces take. */
#define SECTION_BYTES_MAX 1024

bool write_section(struct trace_buffer *buffer, enum start start, uint64_t first_event) {
  static const char *const starts[] = {"fresh", "snapshot", "unknown"};
  char text[128];
  if (!has_room(buffer, SECTION_BYTES_MAX)) return false;
  begin(buffer, 0, 0);
  uint32_t *first = at;
  word(BLOCK_SECTION);
  word(0);
  word(BYTE_ORDER_MAGIC);
  word(1); /* version 1.0 */
  word(UINT32_MAX);
  word(UINT32_MAX);
  text_option(OPTION_APPLICATION, "dm-ulogd " DM_ULOG_VERSION);
  text_option(OPTION_COMMENT, "core-sha256 " DM_ULOG_CORE_SHA256);
  snprintf(text, sizeof text, "abi %u", DM_ULOG_ABI_VERSION);
  text_option(OPTION_COMMENT, text);
  snprintf(text, sizeof text, "start %s", starts[start]);
  text_option(OPTION_COMMENT, text);
  snprintf(text, sizeof text, "event %llu", (unsigned long long)first_event);
  text_option(OPTION_COMMENT, text);
  snprintf(text, sizeof text, "life %s", page_life());
  text_option(OPTION_COMMENT, text);
  if (page_life_before()[0] != 0) {
    snprintf(text, sizeof text, "after %s", page_life_before());
    text_option(OPTION_COMMENT, text);
  }
  snprintf(text, sizeof text, "clock %lld", (long long)clock_unix_ns);
  text_option(OPTION_COMMENT, text);
  close_block(first);
  write_interface(LINKTYPE_NETLINK, "netlink");
  write_interface(LINKTYPE_USER0, "dm-ulog");
  end(buffer);
  return true;
}

bool write_section_end(struct trace_buffer *buffer, uint64_t last_ns) {
  if (!has_room(buffer, 2 * 24)) return false;
  begin(buffer, 0, 0);
  for (uint32_t interface = INTERFACE_NETLINK; interface <= INTERFACE_HOST; interface++) {
    word(BLOCK_STATISTICS);
    word(24);
    word(interface);
    word((uint32_t)(last_ns >> 32));
    word((uint32_t)last_ns);
    word(24);
  }
  end(buffer);
  return true;
}

/* ---- Snapshots */

/* FNV-1a over words, in two lanes: src/common/sim/digest.ts. */
struct digest { uint32_t low, high; };

static void add_word(struct digest *digest, uint32_t value) {
  digest->low = (digest->low ^ value) * 0x01000193u;
  digest->low ^= digest->low >> 15;
  digest->high = ((digest->high ^ value) * 0x01000193u) ^ digest->low >> 7;
}

static bool is_zero_page(uint64_t offset) {
  const uint64_t *words = (const uint64_t *)(memory + offset);
  for (unsigned i = 0; i < OUTPUT_PAGE_BYTES / 8; i++)
    if (words[i] != 0) return false;
  return true;
}

static bool write_part(struct trace_buffer *buffer, struct digest *digest, uint64_t offset, uint32_t size) {
  uint32_t captured = HOST_INPUT_BYTES + SNAPSHOT_HEAD_BYTES + size;
  if (!has_room(buffer, PACKET_OVERHEAD_BYTES + captured)) return false;
  add_word(digest, (uint32_t)offset);
  add_word(digest, (uint32_t)memory_bytes);
  for (uint32_t i = 0; i < size; i += 4) add_word(digest, U32(offset + i));
  begin(buffer, number, time_ns);
  open_packet(INTERFACE_HOST, captured, captured);
  word(KIND_SNAPSHOT_PART);
  word(SNAPSHOT_HEAD_BYTES + size);
  word((uint32_t)offset);
  word((uint32_t)(offset >> 32));
  word((uint32_t)memory_bytes);
  word((uint32_t)(memory_bytes >> 32));
  word(digest->low);
  word(digest->high);
  copy(memory + offset, size);
  close_packet(TO_CORE);
  end(buffer);
  return true;
}

bool write_snapshot(struct trace_buffer *buffer, uint64_t first_event, uint64_t event_ns) {
  struct digest digest = {0x811c9dc5, 0x050c5d1f};
  uint64_t before = buffer->size;
  number = first_event;
  time_ns = event_ns;
  for (uint64_t offset = 0, last = 0;; offset = last) {
    while (offset < memory_bytes && is_zero_page(offset)) offset += OUTPUT_PAGE_BYTES;
    for (last = offset; last < memory_bytes && last - offset < SNAPSHOT_PART_BYTES && !is_zero_page(last);) last += OUTPUT_PAGE_BYTES;
    if (!write_part(buffer, &digest, offset, (uint32_t)(last - offset))) {
      buffer->size = before;
      return false;
    }
    /* A part without bytes ends the snapshot. */
    if (last == offset) return true;
  }
}
