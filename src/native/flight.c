#include "flight.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "resident-file.h"
#include "say.h"
#include "trace-writer.h"

/* A snapshot of more memory of logs would hold the next request up by more than some ms: such a half begins without one. */
#define SNAPSHOT_LOGS_BYTES_MAX (4u << 20)
#define NO_AGE (-1)

static struct flight_head *head; /* NULL where there is no recorder */
/* Of the file until it has its name. */
static int unnamed_fd;
static struct trace_buffer halves[2], *buffer;
static int32_t age;
/* An event was too large: no event is written until both halves have begun again. */
static bool has_gap;

static void publish(void) {
  head->time_low = U32(DM_ULOG_INPUT_NOW);
  head->time_high = U32(DM_ULOG_INPUT_NOW + 4);
  __atomic_store_n(&head->halves[age & 1].used, (uint32_t)buffer->size, __ATOMIC_RELEASE);
}

static uint64_t last_ns(void) { return head->time_low | (uint64_t)head->time_high << 32; }

static bool begin_section(enum start start, uint64_t first_event) {
  buffer->size = 0;
  if (!write_section(buffer, start, first_event)) return false;
  if (start != START_SNAPSHOT) return true;
  uint64_t logs_bytes = memory_bytes - DM_ULOG_AREAS_END;
  if (logs_bytes > SNAPSHOT_LOGS_BYTES_MAX || logs_bytes > head->half_bytes / 2) return false;
  return write_snapshot(buffer, first_event, last_ns());
}

static void begin_half(enum start start, uint64_t first_event) {
  has_gap = false;
  if (!begin_section(start, first_event)) begin_section(START_UNKNOWN, first_event);
  head->halves[age & 1].events_at = (uint32_t)buffer->size;
  __atomic_store_n(&head->halves[age & 1].used, (uint32_t)buffer->size, __ATOMIC_RELEASE);
}

/* Gives up the older half and goes on there. */
static void turn(bool is_gap_before) {
  int half = ++age & 1;
  __atomic_store_n(&head->halves[half].age, NO_AGE, __ATOMIC_SEQ_CST);
  head->halves[half].events_at = 0;
  head->halves[half].has_gap = is_gap_before;
  __atomic_store_n(&head->halves[half].used, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&head->halves[half].age, age, __ATOMIC_SEQ_CST);
  buffer = &halves[half];
  buffer->size = 0;
}

static void put_aside(void) {
  struct flight_head found = {0};
  int fd = open(FLIGHT_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  bool is_running = read(fd, &found, sizeof found) == sizeof found && found.magic == FLIGHT_MAGIC && found.is_running;
  close(fd);
  if (is_running) rename(FLIGHT_NAME, FLIGHT_LOST_NAME);
  else unlink(FLIGHT_NAME);
}

static void give_up(void) {
  say(WARNING, "There is no flight recorder, since its file cannot be made: %s.", strerror(errno));
  head = NULL;
}

void flight_prepare(uint64_t bytes) {
  if (bytes == 0) return;
  uint64_t half_bytes = bytes / 2 / FLIGHT_HEAD_BYTES * FLIGHT_HEAD_BYTES;
  uint8_t *mapped = resident_file_make(FLIGHT_HEAD_BYTES + 2 * half_bytes, &unnamed_fd);
  head = (struct flight_head *)mapped;
  if (head == NULL) {
    give_up();
    return;
  }
  for (int i = 0; i < 2; i++)
    halves[i] = (struct trace_buffer){(uint32_t *)(mapped + FLIGHT_HEAD_BYTES + (uint64_t)i * half_bytes), 0, half_bytes};
  buffer = &halves[0];
  head->half_bytes = (uint32_t)half_bytes;
  head->halves[1].age = NO_AGE;
  head->magic = FLIGHT_MAGIC;
}

void flight_start(void) {
  put_aside();
  if (head == NULL) return;
  if (!resident_file_name(unnamed_fd, FLIGHT_NAME)) {
    give_up();
    return;
  }
  __atomic_store_n(&head->is_running, 1, __ATOMIC_SEQ_CST);
  begin_half(START_FRESH, 0);
}

/* A large event came before the half was changed: the memory before it is lost, but a replay of the half before leads to it. */
static bool begin_unknown(void) {
  turn(false);
  begin_half(START_UNKNOWN, input_count - 1);
  return true;
}

void flight_handled(uint32_t effects_bytes) {
  if (head == NULL || has_gap) return;
  bool is_written = write_event(buffer, effects_bytes) || (begin_unknown() && write_event(buffer, effects_bytes));
  has_gap = !is_written;
  if (is_written) publish();
}

void flight_settle(void) {
  if (head == NULL || (!has_gap && buffer->size <= buffer->room - buffer->room / 8)) return;
  turn(has_gap);
  begin_half(START_SNAPSHOT, input_count);
}

void flight_trapped(const char *reason) {
  if (head == NULL || has_gap) return;
  if (write_trap(buffer, reason) || (begin_unknown() && write_trap(buffer, reason))) publish();
}

void flight_close(void) {
  if (head != NULL) __atomic_store_n(&head->is_running, 0, __ATOMIC_SEQ_CST);
}

/* ---- Of a server that was killed */

#define CRASHES "crashes"
/* How many traces of crashes are kept, numbered from 1 on. */
#define KEPT_MAX 4
/* The blocks that end a section. */
#define END_BYTES 64

static bool append(int fd, const void *bytes, uint64_t size) {
  for (const char *from = bytes; size > 0;) {
    ssize_t written = write(fd, from, size);
    if (written <= 0) return false;
    from += written;
    size -= (uint64_t)written;
  }
  return true;
}

/* The halves in the order in which they were written, and the end of the last section. */
static bool write_crash(int fd, const uint8_t *lost, uint64_t size) {
  const struct flight_head *found = (const struct flight_head *)lost;
  if (size < FLIGHT_HEAD_BYTES || found->magic != FLIGHT_MAGIC || size < FLIGHT_HEAD_BYTES + 2ull * found->half_bytes) return false;
  int first = found->halves[0].age < found->halves[1].age ? 0 : 1;
  for (int i = 0; i < 2; i++) {
    int half = first ^ i;
    uint32_t used = found->halves[half].used;
    const uint8_t *bytes = lost + FLIGHT_HEAD_BYTES + (uint64_t)half * found->half_bytes;
    if (used <= found->half_bytes && !append(fd, bytes, used)) return false;
  }
  uint32_t end[END_BYTES / 4];
  struct trace_buffer ending = {end, 0, sizeof end};
  write_section_end(&ending, found->time_low | (uint64_t)found->time_high << 32);
  return append(fd, end, ending.size);
}

static unsigned next_number(void) {
  unsigned most = 0, number;
  int length;
  DIR *entries = opendir(CRASHES);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
    if (sscanf(entry->d_name, "crash-%u.pcapng%n", &number, &length) == 1 && number > most) most = number;
  if (entries != NULL) closedir(entries);
  return most + 1;
}

void flight_keep_lost(void) {
  char path[64], old[64];
  struct stat file;
  int lost = open(FLIGHT_LOST_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (lost < 0 || fstat(lost, &file) < 0 || file.st_size == 0) return;
  const uint8_t *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, lost, 0);
  close(lost);
  if (bytes == MAP_FAILED) return;
  mkdir(CRASHES, 0700);
  unsigned number = next_number();
  snprintf(path, sizeof path, CRASHES "/crash-%u.pcapng", number);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool is_written = fd >= 0 && write_crash(fd, bytes, (uint64_t)file.st_size);
  int error = errno;
  if (fd >= 0) close(fd);
  munmap((void *)bytes, (size_t)file.st_size);
  unlink(FLIGHT_LOST_NAME);
  if (!is_written) unlink(path);
  if (number > KEPT_MAX) {
    snprintf(old, sizeof old, CRASHES "/crash-%u.pcapng", number - KEPT_MAX);
    unlink(old);
  }
  if (is_written)
    say(WARNING, "The previous server was killed or crashed. Its last events are in %s of the runtime directory: show them with "
                 "dm-ulog inspect, and attach the file to a report.", path);
  else
    say(WARNING, "The previous server was killed or crashed, and its flight recorder could not be saved: %s.", strerror(error));
}
