/*
 * A mirror that is being removed leaves the kernel's list before it is suspended. The legs that a log was found with last are
 * therefore kept and flushed too.
 */
#include "leg-flushes.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block-node.h"
#include "device-mapper.h"
#include "own-thread.h"
#include "shared.h"

/* As many flushes can hang before the others wait. A flush that waits too long fails, and its clears are tried again. */
#define THREADS_MAX 64

/* By handle, with the luid that they are of. A log has one flush under way at the most. */
static struct { uint64_t luid; struct legs legs; } *last;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_asked = PTHREAD_COND_INITIALIZER;
static uint16_t waiting[DM_ULOG_HANDLE_COUNT];
static unsigned first, count, threads, spare;

static int flush_leg(dev_t device) {
  int fd = open_block_device(device, O_RDONLY);
  if (fd < 0) return fd;
  int error = fsync(fd) < 0 ? -errno : 0;
  close(fd);
  return error;
}

static int flush_legs(unsigned handle, const struct flush *flush) {
  struct legs found = {0}, all = {0};
  int error = find_legs(&found, flush->uuid);
  if (error != 0) return error;
  if (last[handle].luid == flush->luid) all = last[handle].legs;
  for (unsigned i = 0; i < found.count; i++) add_leg(&all, found.devices[i]);
  if (found.count > 0) {
    last[handle].luid = flush->luid;
    last[handle].legs = found;
  }
  if (all.count == 0) return -ENODEV;
  for (unsigned i = 0; i < all.count && error == 0; i++) error = flush_leg(all.devices[i]);
  return error;
}

static void work(unsigned unused) {
  (void)unused;
  for (;;) {
    pthread_mutex_lock(&mutex);
    spare++;
    while (count == 0) pthread_cond_wait(&is_asked, &mutex);
    spare--;
    unsigned handle = waiting[first];
    first = (first + 1) % DM_ULOG_HANDLE_COUNT;
    count--;
    pthread_mutex_unlock(&mutex);
    struct flush *flush = &shared->flushes[handle];
    flush->error = flush_legs(handle, flush);
    job_done(PLACES + handle);
  }
}

void leg_flushes_start(void) {
  last = calloc(DM_ULOG_HANDLE_COUNT, sizeof *last);
  if (last == NULL) err(1, "legs of logs");
}

void start_flush(unsigned handle) {
  pthread_mutex_lock(&mutex);
  waiting[(first + count++) % DM_ULOG_HANDLE_COUNT] = (uint16_t)handle;
  bool is_needed = spare < count && threads < THREADS_MAX;
  if (is_needed && start_own_thread(work, 0) == 0) threads++;
  pthread_cond_signal(&is_asked);
  pthread_mutex_unlock(&mutex);
}
