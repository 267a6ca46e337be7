/*
 * Gives recorded conversations to the core as native code. Prints a line for each file: its path, how many inputs the core
 * was given, and the digest of all that it answered, which is the same from every host. src/common/trace/README.md says
 * what stands in a trace and how the digest is made. Interfaces are taken to be those that it names, in its order.
 *
 * Nothing here trusts a file: a length is believed when the block ends with it too, and what lies beyond is not read. Like
 * the format and the core, this program is for machines that keep the low byte first.
 *
 * usage: replay FILE…
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"
#include "dm-ulog.h"

enum { BLOCK_PACKET = 6, BLOCK_BYTES_MIN = 12, PACKET_BYTES_MIN = 32, SECTION_OPTIONS = 24 };
enum { OPTION_END = 0, OPTION_COMMENT = 1, OPTION_FLAGS = 2, OPTION_PACKET_ID = 5 };
enum { INTERFACE_NETLINK = 0, INTERFACE_HOST = 1, DIRECTION_MASK = 3, TO_CORE = 1 };
enum { COOKED_BYTES = 16, HOST_INPUT_BYTES = 8, SNAPSHOT_HEAD_BYTES = 24, KIND_SNAPSHOT_PART = 0x100 };
#define BLOCK_SECTION 0x0a0d0d0au
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define WASM_PAGE_BYTES 65536u
#define TEXT_BYTES 256

#define PADDED(bytes, to) (((size_t)(bytes) + (to) - 1) & ~(size_t)((to) - 1))

/* As it stands in a file: at a multiple of 4. */
struct packet { uint32_t type, total, interface, time_high, time_low, captured, original, data[]; };
struct option { uint16_t code, length; const uint8_t *value; };
struct digest { uint32_t low, high; };

static Z_dm_ulog_instance_t core;
static int has_core;       /* whether there is an instance to free */
static uint32_t own_bytes; /* of linear memory as the compiler made it */

/* Of the file in hand. */
static const char *problem; /* why it cannot be replayed any further */
static uint64_t inputs;
static struct digest answers;

/* Of the section in hand. */
static int is_running; /* whether the core is as the next event found it */
static uint64_t next_event, section_events;
static char life[TEXT_BYTES], start[TEXT_BYTES];
static struct digest snapshot;
static uint64_t snapshot_end; /* of linear memory once the snapshot is whole, else 0 */

static void digest_word(struct digest *digest, uint32_t word) {
  digest->low = (digest->low ^ word) * 0x01000193u;
  digest->low ^= digest->low >> 15;
  digest->high = ((digest->high ^ word) * 0x01000193u) ^ (digest->low >> 7);
}

/* `size` bytes, then zeros up to `padded`, which is a multiple of 4. */
static void digest_bytes(struct digest *digest, const uint8_t *bytes, size_t size, size_t padded) {
  for (size_t at = 0; at < padded; at += 4) {
    uint32_t word = 0;
    if (at < size) memcpy(&word, bytes + at, size - at < 4 ? size - at : 4);
    digest_word(digest, word);
  }
}

/* Linear memory from an address on, or a NULL and a problem where so many bytes do not lie there. */
static uint8_t *linear(uint32_t address, size_t size) {
  const wasm_rt_memory_t *memory = Z_dm_ulogZ_memory(&core);
  if (address <= memory->size && size <= memory->size - address) return memory->data + address;
  problem = "the core has answered with what lies outside its memory";
  return NULL;
}

static uint32_t word_at(uint32_t address) {
  uint32_t word = 0;
  const uint8_t *bytes = linear(address, sizeof word);
  if (bytes != NULL) memcpy(&word, bytes, sizeof word);
  return word;
}

static void set_word(uint32_t address, uint32_t word) {
  memcpy(linear(address, sizeof word), &word, sizeof word);
}

static void answer_bytes(uint32_t address, size_t size, size_t padded) {
  const uint8_t *bytes = linear(address, size);
  if (bytes != NULL) digest_bytes(&answers, bytes, size, padded);
}

static int is_write(uint32_t kind) {
  return kind == DM_ULOG_EFFECT_KIND_WRITE || kind == DM_ULOG_EFFECT_KIND_STATE_WRITE;
}

/* One record of the effects area: its head, its payload, the address behind both. */
struct record { uint32_t head, kind, payload, size, next; };

static int next_record(struct record *record, uint32_t end) {
  record->head = record->next;
  if (record->head >= end || problem != NULL) return 0;
  record->kind = word_at(record->head + DM_ULOG_EFFECT_KIND);
  record->size = word_at(record->head + DM_ULOG_EFFECT_PAYLOAD_SIZE);
  record->payload = record->head + DM_ULOG_EFFECT_PAYLOAD;
  if (linear(record->payload, record->size) == NULL) return 0;
  record->next = record->payload + (uint32_t)PADDED(record->size, 8);
  return 1;
}

/* Each datagram with its length before it, then the stream of effects with its length before it. */
static void digest_answers(uint32_t effects_bytes) {
  const uint32_t end = DM_ULOG_EFFECTS + effects_bytes;
  uint32_t records = 0, sends = 0;
  size_t stream = 0;
  for (struct record at = {.next = DM_ULOG_EFFECTS}; next_record(&at, end); records++) {
    stream += DM_ULOG_EFFECT_PAYLOAD;
    if (at.kind == DM_ULOG_EFFECT_KIND_SEND) {
      sends++;
      digest_word(&answers, at.size);
      answer_bytes(at.payload, at.size, PADDED(at.size, 4));
    } else {
      stream += PADDED(at.size, 8);
      if (is_write(at.kind)) stream += PADDED(word_at(at.payload + DM_ULOG_HEAD_SIZE), 8);
    }
  }
  if (records == 0 || (records == 1 && sends == 1)) return;
  digest_word(&answers, (uint32_t)stream);
  for (struct record at = {.next = DM_ULOG_EFFECTS}; next_record(&at, end);) {
    if (at.kind == DM_ULOG_EFFECT_KIND_SEND) {
      answer_bytes(at.head, DM_ULOG_EFFECT_PAYLOAD, DM_ULOG_EFFECT_PAYLOAD);
    } else if (is_write(at.kind)) {
      const uint32_t known = DM_ULOG_EFFECT_PAYLOAD + DM_ULOG_HEAD_BYTES;
      const uint32_t size = word_at(at.payload + DM_ULOG_HEAD_SIZE);
      answer_bytes(at.head, known, known);
      digest_word(&answers, 0); /* an address means nothing outside this engine */
      digest_word(&answers, 0);
      answer_bytes(word_at(at.payload + DM_ULOG_HEAD_BYTES), size, PADDED(size, 8));
    } else {
      answer_bytes(at.head, DM_ULOG_EFFECT_PAYLOAD + at.size, DM_ULOG_EFFECT_PAYLOAD + PADDED(at.size, 8));
    }
  }
}

static void start_core(void) {
  if (has_core) Z_dm_ulog_free(&core);
  memset(&core, 0, sizeof core);
  Z_dm_ulog_instantiate(&core);
  Z_dm_ulogZ_initialize(&core);
  has_core = is_running = 1;
  own_bytes = Z_dm_ulogZ_memory(&core)->size;
}

/* A part of a snapshot. What the compiler put into linear memory stays this core's own. */
static void restore(const struct packet *packet) {
  const uint32_t *head = packet->data + HOST_INPUT_BYTES / 4;
  const uint8_t *bytes = (const uint8_t *)head + SNAPSHOT_HEAD_BYTES;
  problem = "a snapshot is damaged";
  if (packet->captured < HOST_INPUT_BYTES + SNAPSHOT_HEAD_BYTES) return;
  const uint32_t size = packet->captured - HOST_INPUT_BYTES - SNAPSHOT_HEAD_BYTES;
  const uint64_t offset = head[0] | (uint64_t)head[1] << 32, whole = head[2] | (uint64_t)head[3] << 32;
  if (size % 4 != 0 || offset > whole || size > whole - offset) return;
  digest_word(&snapshot, head[0]);
  digest_word(&snapshot, head[2]);
  digest_bytes(&snapshot, bytes, size, size);
  if (snapshot.low != head[4] || snapshot.high != head[5]) return;

  wasm_rt_memory_t *memory = Z_dm_ulogZ_memory(&core);
  if (whole > UINT32_MAX || whole % WASM_PAGE_BYTES != 0 || whole < memory->size) return;
  const uint32_t pages = (uint32_t)((whole - memory->size) / WASM_PAGE_BYTES);
  if (pages > 0 && wasm_rt_grow_memory(memory, pages) == UINT32_MAX) {
    problem = "there is no room for the memory in a snapshot";
    return;
  }
  for (uint64_t at = offset; at < offset + size; at++)
    if (at < DM_ULOG_AREAS_END || at >= own_bytes) memory->data[at] = bytes[at - offset];
  snapshot_end = size == 0 && offset == whole ? whole : 0;
  problem = NULL;
}

static void feed(const struct packet *packet) {
  const uint8_t *data = (const uint8_t *)packet->data;
  const int is_datagram = packet->interface == INTERFACE_NETLINK;
  const uint32_t head = is_datagram ? COOKED_BYTES : HOST_INPUT_BYTES, held = packet->captured - head;
  uint32_t kind = DM_ULOG_INPUT_KIND_DATAGRAM, port = DM_ULOG_KERNEL_PORT, size = held;
  problem = "an input is not all there";
  if (packet->captured < head) return;
  if (is_datagram) {
    if (packet->original > packet->captured) size = packet->original - head;
    if (packet->data[1] != 0) port = (uint32_t)data[6] << 24 | (uint32_t)data[7] << 16 | data[8] << 8 | data[9];
  } else {
    kind = packet->data[0];
    size = packet->data[1];
  }
  if (held != (size < DM_ULOG_INPUT_PAYLOAD_BYTES_MAX ? size : DM_ULOG_INPUT_PAYLOAD_BYTES_MAX)) return;
  problem = NULL;
  set_word(DM_ULOG_INPUT_KIND, kind);
  set_word(DM_ULOG_INPUT_PAYLOAD_SIZE, size);
  set_word(DM_ULOG_INPUT_NOW, packet->time_low);
  set_word(DM_ULOG_INPUT_NOW + 4, packet->time_high);
  set_word(DM_ULOG_INPUT_PORT, port);
  memcpy(linear(DM_ULOG_INPUT_PAYLOAD, held), data + head, held);
  inputs++;
  digest_answers(Z_dm_ulogZ_handleInput(&core));
}

/* Reads the option at `*at` and goes on to the next one. Returns 0 at the end. */
static int next_option(const uint8_t **at, const uint8_t *end, struct option *option) {
  if (end - *at < 4) return 0;
  memcpy(&option->code, *at, 2);
  memcpy(&option->length, *at + 2, 2);
  option->value = *at + 4;
  if (option->code == OPTION_END || (size_t)(end - option->value) < PADDED(option->length, 4)) return 0;
  *at = option->value + PADDED(option->length, 4);
  return 1;
}

/* Keeps what follows a word and a space at the beginning of a comment. */
static void take(const struct option *comment, const char *word, char text[TEXT_BYTES]) {
  const size_t length = strlen(word), size = comment->length;
  if (size <= length || memcmp(comment->value, word, length) != 0 || comment->value[length] != ' ') return;
  const size_t left = size - length - 1, kept = left < TEXT_BYTES ? left : TEXT_BYTES - 1;
  memcpy(text, comment->value + length + 1, kept);
  text[kept] = 0;
}

static void start_section(const uint32_t *block, const uint8_t *end) {
  char first[TEXT_BYTES] = "", abi[TEXT_BYTES] = "", of_life[TEXT_BYTES] = "";
  const uint8_t *at = (const uint8_t *)block + SECTION_OPTIONS;
  unsigned long long number;
  unsigned version;
  start[0] = 0;
  problem = "a section's header is none of dm-ulog's";
  if (end - at < 0 || block[2] != BYTE_ORDER_MAGIC || (block[3] & 0xffff) != 1) return;
  for (struct option option; next_option(&at, end, &option);) {
    if (option.code != OPTION_COMMENT) continue;
    take(&option, "start", start);
    take(&option, "event", first);
    take(&option, "life", of_life);
    take(&option, "abi", abi);
  }
  const int is_unknown = strcmp(start, "unknown") == 0, has_snapshot = strcmp(start, "snapshot") == 0;
  if (sscanf(first, "%llu", &number) != 1 || sscanf(abi, "%u", &version) != 1) return;
  if (!is_unknown && !has_snapshot && strcmp(start, "fresh") != 0) return;
  problem = NULL;
  if (!is_unknown && version != DM_ULOG_ABI_VERSION) problem = "it was recorded with another ABI version";
  if (is_unknown) is_running = is_running && life[0] != 0 && strcmp(life, of_life) == 0 && number == next_event;
  else start_core();
  memcpy(life, of_life, sizeof life);
  next_event = number;
  section_events = snapshot_end = 0;
  snapshot = (struct digest){0x811c9dc5u, 0x050c5d1fu};
  if (has_snapshot) memset(linear(0, DM_ULOG_AREAS_END), 0, DM_ULOG_AREAS_END); /* pages of zeros are no parts */
}

static void take_packet(const struct packet *packet, const uint8_t *end) {
  const uint8_t *at = (const uint8_t *)packet->data;
  if ((size_t)(end - at) < PADDED(packet->captured, 4) || packet->interface > INTERFACE_HOST) return;
  at += PADDED(packet->captured, 4);
  uint32_t flags = 0;
  uint64_t number = UINT64_MAX;
  for (struct option option; next_option(&at, end, &option);) {
    if (option.code == OPTION_FLAGS && option.length == 4) memcpy(&flags, option.value, 4);
    if (option.code == OPTION_PACKET_ID && option.length == 8) memcpy(&number, option.value, 8);
  }
  if (number == UINT64_MAX || (flags & DIRECTION_MASK) != TO_CORE) return;
  if (packet->interface == INTERFACE_HOST && packet->captured > 4 && packet->data[0] == KIND_SNAPSHOT_PART) {
    if (is_running && section_events == 0 && strcmp(start, "snapshot") == 0) restore(packet);
    return;
  }
  if (number != next_event) is_running = 0; /* events are missing: nobody knows what this one found */
  next_event = number + 1;
  if (section_events++ == 0 && is_running && strcmp(start, "snapshot") == 0 && snapshot_end == 0)
    problem = "a snapshot is damaged";
  else if (is_running) feed(packet);
}

static void replay_blocks(const uint8_t *file, size_t size) {
  for (size_t at = 0; problem == NULL && size - at >= BLOCK_BYTES_MIN;) {
    const uint32_t *block = (const uint32_t *)(file + at);
    const uint32_t total = block[1];
    if (total < BLOCK_BYTES_MIN || total % 4 != 0 || total > size - at || block[total / 4 - 1] != total) break;
    const uint8_t *end = file + at + total - 4;
    if (block[0] == BLOCK_SECTION) start_section(block, end);
    else if (at == 0) problem = "it does not begin as a pcapng file does";
    else if (block[0] == BLOCK_PACKET && total >= PACKET_BYTES_MIN) take_packet((const struct packet *)block, end);
    at += total;
  }
}

/* Returns 0, or 1 where the file cannot be replayed to its last whole block. */
static int replay(const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) err(2, "%s", path);
  const size_t size = (size_t)status.st_size;
  problem = NULL;
  inputs = 0;
  is_running = 0;
  life[0] = 0;
  answers = (struct digest){0x811c9dc5u, 0x050c5d1fu};
  if (size > 0) {
    uint8_t *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED) err(2, "%s", path);
    replay_blocks(file, size);
    munmap(file, size);
  }
  close(fd);
  if (problem == NULL && inputs == 0) problem = "it has nothing to replay";
  const unsigned long long count = inputs;
  if (problem == NULL) printf("%s: %llu inputs, digest %08x%08x\n", path, count, answers.high, answers.low);
  else printf("%s: %s, after %llu inputs\n", path, problem, count);
  return problem != NULL;
}

int main(int count, char **paths) {
  int failed = 0;
  if (count < 2) errx(2, "usage: replay FILE…");
  Z_dm_ulog_init_module();
  for (int i = 1; i < count; i++) failed |= replay(paths[i]);
  return failed;
}
