#include "clock.h"

#include <time.h>

uint64_t now_ns;
int64_t clock_unix_ns;
static uint64_t start_ns;

static uint64_t time_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t read_clock(void) { return now_ns = time_of(CLOCK_MONOTONIC) - start_ns; }

void clock_start(void) {
  start_ns = time_of(CLOCK_MONOTONIC) - 1;
  clock_unix_ns = (int64_t)(time_of(CLOCK_REALTIME) - read_clock());
}
