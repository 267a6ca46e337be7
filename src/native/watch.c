/*
 * A mirror that was removed while no server was listening is in no table of the kernel, and the kernel never asks for its log
 * again. While the server runs, a log is given up only if no table named it at two looks with some time between: a mirror that
 * is being made is in no table before all its legs are open.
 *
 * Linear memory is read here while the core changes it. What is read wrong is a name that no log has, and the core ignores that.
 */
#include "watch.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bell.h"
#include "device-mapper.h"
#include "flight.h"
#include "listeners.h"
#include "shared.h"

#define LOOK_S 5
/* How often to look whether the server has begun. */
#define START_LOOK_NS 20000000
/* Looks between two comparisons with the tables. */
#define LOOKS_PER_COMPARISON 7

struct names { unsigned count, room; char (*uuids)[UUID_ROOM]; };

static void take(const char *uuid, void *context) {
  struct names *names = context;
  if (names->count == names->room) {
    names->room = names->room * 2 + 64;
    names->uuids = realloc(names->uuids, names->room * sizeof *names->uuids);
    if (names->uuids == NULL) abort();
  }
  memset(names->uuids[names->count], 0, UUID_ROOM);
  strncpy(names->uuids[names->count++], uuid, UUID_ROOM - 1);
}

static int compare(const void *one, const void *other) { return strncmp(one, other, UUID_ROOM); }

struct names *read_names(void) {
  struct names *names = calloc(1, sizeof *names);
  if (names == NULL) return NULL;
  if (for_each_log(take, names) != 0) {
    names_free(names);
    return NULL;
  }
  if (names->count > 0) qsort(names->uuids, names->count, sizeof *names->uuids, compare);
  return names;
}

bool names_have(const struct names *names, const char *uuid) {
  return names->count > 0 && bsearch(uuid, names->uuids, names->count, sizeof *names->uuids, compare) != NULL;
}

void names_free(struct names *names) {
  if (names != NULL) free(names->uuids);
  free(names);
}

/* By handle: the log that was in no table at the last comparison; luid 0 for none. */
static struct { uint64_t luid; char uuid[UUID_ROOM]; } *absent;

bool read_log(uint32_t handle, uint64_t *luid, char *uuid) {
  uint32_t log = *(volatile uint32_t *)(memory + DM_ULOG_HANDLES + 4 * handle);
  if (log == 0 || (uint64_t)log + DM_ULOG_LOG_BYTES > atomic_load(&shared->memory_bytes)) return false;
  *luid = U64(log + DM_ULOG_LOG_LUID);
  memcpy(uuid, memory + log + DM_ULOG_LOG_UUID, UUID_ROOM);
  uuid[UUID_ROOM - 1] = 0;
  return *luid != 0;
}

static void propose(unsigned *count, uint32_t handle, uint64_t luid, const char *uuid) {
  if (*count == FORGOTTEN_AT_ONCE) return; /* the rest at the next comparison */
  struct forgotten *forgotten = &shared->forgotten[(*count)++];
  forgotten->handle = handle;
  forgotten->luid = luid;
  memcpy(forgotten->uuid, uuid, UUID_ROOM);
}

static void find_forgotten(void) {
  if (atomic_load(&shared->forgotten_count) != 0) return;
  struct names *names = read_names();
  unsigned count = 0;
  for (uint32_t handle = 0; names != NULL && handle < DM_ULOG_HANDLE_COUNT; handle++) {
    uint64_t luid;
    char uuid[UUID_ROOM];
    bool is_absent = read_log(handle, &luid, uuid) && !names_have(names, uuid);
    if (is_absent && absent[handle].luid == luid && strcmp(absent[handle].uuid, uuid) == 0) propose(&count, handle, luid, uuid);
    if (is_absent) memcpy(absent[handle].uuid, uuid, UUID_ROOM);
    if (is_absent || absent[handle].luid != 0) absent[handle].luid = is_absent ? luid : 0;
  }
  names_free(names);
  if (count == 0) return;
  atomic_store(&shared->forgotten_count, count);
  ring_bell();
}

void watch(unsigned unused) {
  (void)unused;
  absent = calloc(DM_ULOG_HANDLE_COUNT, sizeof *absent);
  if (absent == NULL) err(1, "names of logs");
  while (*(volatile uint32_t *)&shared->server_port == 0) nanosleep(&(struct timespec){0, START_LOOK_NS}, NULL);
  flight_keep_lost();
  for (unsigned looks = 0;; looks++) {
    look_at_listeners();
    if (looks % LOOKS_PER_COMPARISON == LOOKS_PER_COMPARISON - 1) find_forgotten();
    nanosleep(&(struct timespec){LOOK_S, 0}, NULL);
  }
}
