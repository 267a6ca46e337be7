#include "own-thread.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bell.h"
#include "lock-registry.h"
#include "memory-lock.h"

/* The deepest of these threads asks device-mapper for tables and needs 20 KiB. */
#define STACK_BYTES (64u << 10)

struct start { void (*work)(unsigned number); unsigned number; };

static void close_others(int first, int last) {
  if (first <= last) syscall(SYS_close_range, first, last, 0);
}

static void *run(void *given) {
  struct start start = *(struct start *)given;
  free(given);
  touch_stack();
  if (unshare(CLONE_FILES) < 0) err(1, "a table of descriptors of its own");
  int low = bell_fd < lock_registry_fd ? bell_fd : lock_registry_fd;
  int high = bell_fd < lock_registry_fd ? lock_registry_fd : bell_fd;
  close_others(STDERR_FILENO + 1, low - 1);
  close_others(low + 1, high - 1);
  close_others(high + 1, ~0u >> 1);
  start.work(start.number);
  return NULL;
}

int start_own_thread(void (*work)(unsigned number), unsigned number) {
  struct start *start = malloc(sizeof *start);
  if (start == NULL) return ENOMEM;
  *start = (struct start){work, number};
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  int error = pthread_create(&thread, &attributes, run, start);
  pthread_attr_destroy(&attributes);
  if (error != 0) free(start);
  return error;
}
