#include "devices.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "die.h"
#include "futex.h"
#include "say.h"
#include "shared.h"
#include "watch.h"

/* Less than the 15 s after which the kernel asks again. */
#define FLUSH_NS (10ull * 1000000000)
/* An operation that takes longer is told of. */
#define HANGS_NS (5ull * 1000000000)
#define NO_PLACE UINT16_MAX
#define NO_HANDLE UINT32_MAX

/* By place. A place whose device is closed, and not yet let go of, has no handle. */
static struct { uint32_t handle; bool is_used, is_busy; uint64_t since_ns; } places[PLACES];
/* By handle. */
static uint16_t place_of[DM_ULOG_HANDLE_COUNT];
/* `is_answer`: the flush under way began after it was asked for, so that its end is the answer. */
static struct {
  struct head asked;
  uint64_t due_ns, luid;
  char uuid[UUID_ROOM];
  bool is_asked, is_running, is_answer;
} flushes[DM_ULOG_HANDLE_COUNT];
static unsigned busy_places, asked_flushes;
/* The place for which writes are collected. An input has effects on one device, or few. */
static unsigned collecting = NO_PLACE;
/* Handles whose OPEN found no place: completed with the next look. */
static struct head refused[DM_ULOG_LIFE_WAITERS_MAX];
static unsigned refused_count;

struct since device_since[DM_ULOG_HANDLE_COUNT];

static void tell_of_answer(uint32_t handle, uint64_t time_ns);

static void ask(unsigned job) {
  unsigned asked = atomic_load_explicit(&shared->asked, memory_order_relaxed);
  shared->asked_jobs[asked % (JOBS * 2)] = (uint16_t)job;
  atomic_store(&shared->asked, asked + 1);
  atomic_fetch_add(&shared->asked_rings, 1);
  futex_wake(&shared->asked_rings);
}

/* What is asked of a place stands there. Its thread is started with its first job. */
static void hand_over(unsigned number) {
  struct place *place = &shared->places[number];
  place->error = 0;
  places[number].is_busy = true;
  places[number].since_ns = now_ns;
  busy_places++;
  device_since[places[number].handle] = (struct since){now_ns, place->kind, 0};
  atomic_fetch_add(&place->rings, 1);
  if (place->kind == DM_ULOG_EFFECT_KIND_OPEN) ask(number);
  else futex_wake(&place->rings);
}

static unsigned find_place(void) {
  static unsigned next;
  for (unsigned tries = 0; tries < PLACES; tries++, next = (next + 1) % PLACES)
    if (!places[next].is_used) return next;
  return NO_PLACE;
}

static void open_device(uint32_t payload, uint32_t bytes) {
  const struct head *head = &HEAD(payload);
  unsigned number = find_place();
  uint32_t name_bytes = bytes - DM_ULOG_OPEN_NAME;
  if (number == NO_PLACE || name_bytes >= DEVICE_NAME_BYTES) {
    if (refused_count == DM_ULOG_LIFE_WAITERS_MAX) die("More log devices hang than this server has places for.");
    refused[refused_count++] = *head;
    return;
  }
  places[number].handle = head->handle;
  places[number].is_used = true;
  place_of[head->handle] = (uint16_t)number;
  /* The thread of the place before has ended: it starts to count anew. */
  shared->places[number] = (struct place){.kind = DM_ULOG_EFFECT_KIND_OPEN, .parts = 1, .name_bytes = name_bytes};
  parts_of(number)->head = *head;
  memcpy(reading_of(number), memory + payload + DM_ULOG_OPEN_NAME, name_bytes);
  reading_of(number)[name_bytes] = 0;
  hand_over(number);
}

/* The place of an open device on which nothing is under way. */
static unsigned idle_place(uint32_t handle) {
  unsigned number = handle < DM_ULOG_HANDLE_COUNT ? place_of[handle] : NO_PLACE;
  if (number >= PLACES || !places[number].is_used || places[number].handle != handle || places[number].is_busy)
    die("The core speaks of device %u, which is not open or has not done what it was asked for.", handle);
  return number;
}

static void collect_write(uint32_t payload) {
  unsigned number = idle_place(HEAD(payload).handle);
  struct place *place = &shared->places[number];
  if (collecting != number) devices_hand_over();
  if (collecting == NO_PLACE) {
    place->kind = DM_ULOG_EFFECT_KIND_WRITE;
    place->parts = 0;
    collecting = number;
  }
  if (place->parts == DM_ULOG_EXTENTS_MAX) die("The core writes more at once than it says it does.");
  parts_of(number)[place->parts++] = (struct part){HEAD(payload), U32(payload + DM_ULOG_WRITE_ADDRESS), 0};
}

void devices_hand_over(void) {
  if (collecting == NO_PLACE) return;
  unsigned number = collecting;
  collecting = NO_PLACE;
  hand_over(number);
}

void device_ask(uint32_t kind, uint32_t payload, uint32_t bytes) {
  if (kind == DM_ULOG_EFFECT_KIND_OPEN) {
    open_device(payload, bytes);
    return;
  }
  if (kind == DM_ULOG_EFFECT_KIND_WRITE) {
    collect_write(payload);
    return;
  }
  unsigned number = idle_place(HEAD(payload).handle);
  struct place *place = &shared->places[number];
  place->kind = kind;
  place->parts = 1;
  parts_of(number)->head = HEAD(payload);
  hand_over(number);
  if (kind == DM_ULOG_EFFECT_KIND_CLOSE) {
    device_since[places[number].handle] = (struct since){0};
    places[number].handle = NO_HANDLE;
  }
}

/* ---- Completions */

/* Puts what every completion begins with into the input. Returns its size. */
static uint32_t begin_completion(const struct head *head, uint32_t kind, int error) {
  HEAD(DM_ULOG_INPUT_PAYLOAD) = *head;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_EFFECT) = kind;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_ERROR) = (uint32_t)error;
  return DM_ULOG_COMPLETION_DATA;
}

static uint32_t describe_device(const struct place *place) {
  U64(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_DEVICE_BYTES) = place->device_bytes;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_MAJOR) = place->major;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_MINOR) = place->minor;
  U64(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_FILE_SYSTEM) = place->file_system;
  U64(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_INODE) = place->inode;
  return DM_ULOG_COMPLETION_OPEN_BYTES;
}

static void place_done(unsigned number, deliver_completion deliver) {
  struct place *place = &shared->places[number];
  const struct part *parts = parts_of(number);
  const uint32_t kind = place->kind, count = place->parts, handle = places[number].handle;
  const int error = place->error;
  places[number].is_busy = false;
  busy_places--;
  if (handle != NO_HANDLE) {
    tell_of_answer(handle, now_ns);
    device_since[handle] = (struct since){0};
  }
  if (kind == DM_ULOG_EFFECT_KIND_CLOSE || (kind == DM_ULOG_EFFECT_KIND_OPEN && error != 0)) places[number].is_used = false;
  if (kind == DM_ULOG_EFFECT_KIND_CLOSE) return;
  /* The core asks for more when it was told of the last part, and may then use the rows anew. */
  for (uint32_t i = 0; i < count; i++) {
    uint32_t size = begin_completion(&parts[i].head, kind, error);
    if (error == 0 && kind == DM_ULOG_EFFECT_KIND_OPEN) size = describe_device(place);
    if (error == 0 && kind == DM_ULOG_EFFECT_KIND_READ) {
      memcpy(memory + DM_ULOG_INPUT_PAYLOAD + DM_ULOG_COMPLETION_DATA, reading_of(number), parts[i].head.size);
      size += parts[i].head.size;
    }
    deliver(size);
  }
}

static void complete_flush(uint32_t handle, int error, deliver_completion deliver) {
  flushes[handle].is_asked = false;
  asked_flushes--;
  deliver(begin_completion(&flushes[handle].asked, DM_ULOG_EFFECT_KIND_FLUSH_LEGS, error));
}

static void start_flush(uint32_t handle) {
  struct flush *flush = &shared->flushes[handle];
  flush->luid = flushes[handle].luid;
  memcpy(flush->uuid, flushes[handle].uuid, UUID_ROOM);
  flushes[handle].is_running = flushes[handle].is_answer = true;
  ask(PLACES + handle);
}

void flush_ask(uint32_t payload, uint64_t time_ns) {
  uint32_t handle = HEAD(payload).handle;
  if (!flushes[handle].is_asked) asked_flushes++;
  flushes[handle].asked = HEAD(payload);
  flushes[handle].is_asked = true;
  flushes[handle].is_answer = false;
  flushes[handle].due_ns = time_ns + FLUSH_NS;
  flushes[handle].luid = U64(payload + DM_ULOG_FLUSH_LEGS_LUID);
  memcpy(flushes[handle].uuid, memory + payload + DM_ULOG_FLUSH_LEGS_UUID, UUID_ROOM);
  /* One that was given up and still hangs keeps the next from a thread. */
  if (!flushes[handle].is_running) start_flush(handle);
}

static void flush_done(uint32_t handle, deliver_completion deliver) {
  flushes[handle].is_running = false;
  if (!flushes[handle].is_asked) return;
  if (flushes[handle].is_answer) complete_flush(handle, shared->flushes[handle].error, deliver);
  else start_flush(handle);
}

void flushes_look(uint64_t time_ns, deliver_completion deliver) {
  for (uint32_t handle = 0; asked_flushes > 0 && handle < DM_ULOG_HANDLE_COUNT; handle++)
    if (flushes[handle].is_asked && flushes[handle].due_ns <= time_ns) complete_flush(handle, -ETIMEDOUT, deliver);
}

void devices_collect(deliver_completion deliver) {
  for (unsigned word = 0; word < (JOBS + 63) / 64; word++) {
    if (atomic_load_explicit(&shared->done[word], memory_order_relaxed) == 0) continue;
    for (uint64_t bits = atomic_exchange(&shared->done[word], 0); bits != 0; bits &= bits - 1) {
      unsigned job = word * 64 + (unsigned)__builtin_ctzll(bits);
      if (job < PLACES) place_done(job, deliver);
      else flush_done(job - PLACES, deliver);
    }
  }
  while (refused_count > 0) {
    struct head head = refused[--refused_count];
    deliver(begin_completion(&head, DM_ULOG_EFFECT_KIND_OPEN, -EMFILE));
  }
}

/* What a log is called, for a sentence. */
static void name_log(char *name, uint32_t handle) {
  uint64_t luid;
  if (!read_log(handle, &luid, name)) strcpy(name, "that was removed");
}

void devices_look(uint64_t time_ns) {
  char name[UUID_ROOM];
  for (uint32_t handle = 0; busy_places > 0 && handle < DM_ULOG_HANDLE_COUNT; handle++) {
    struct since *since = &device_since[handle];
    if (since->ns == 0 || since->is_said || time_ns - since->ns < HANGS_NS) continue;
    since->is_said = 1;
    name_log(name, handle);
    say(ERROR, "The log device of log %s hangs: an operation has taken longer than %u s. Its mirror waits for it, the others do not.",
        name, (unsigned)(HANGS_NS / 1000000000));
  }
}

static void tell_of_answer(uint32_t handle, uint64_t time_ns) {
  char name[UUID_ROOM];
  if (!device_since[handle].is_said) return;
  name_log(name, handle);
  say(INFO, "The log device of log %s answers again, after %llu s.", name,
      (unsigned long long)((time_ns - device_since[handle].ns) / 1000000000));
}

bool devices_have_ended(uint64_t time_ns, uint64_t patience_ns) {
  for (unsigned number = 0; busy_places > 0 && number < PLACES; number++)
    if (places[number].is_busy && time_ns - places[number].since_ns < patience_ns) return false;
  return true;
}

bool devices_are_idle(void) { return busy_places == 0; }
