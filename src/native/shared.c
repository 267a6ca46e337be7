#include "shared.h"

#include <err.h>
#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "bell.h"
#include "memory-lock.h"

struct shared *shared;
static struct part (*parts)[DM_ULOG_EXTENTS_MAX];
static uint8_t (*readings)[READING_BYTES];
_Static_assert(READING_BYTES % PAGE_BYTES == 0, "Direct I/O reads whole pages");

void *reserve_shared(uint64_t bytes) {
  void *memory_of_both = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_of_both == MAP_FAILED) err(1, "memory that two processes share");
  return memory_of_both;
}

void shared_make(void) {
  shared = reserve_shared(sizeof *shared);
  keep_resident_to_write(shared, sizeof *shared);
  parts = reserve_shared(PLACES * sizeof *parts);
  readings = reserve_shared((uint64_t)PLACES * sizeof *readings);
}

struct part *parts_of(unsigned place) { return parts[place]; }
uint8_t *reading_of(unsigned place) { return readings[place]; }

void job_done(unsigned job) {
  atomic_fetch_or(&shared->done[job / 64], 1ull << job % 64);
  ring_bell();
}
