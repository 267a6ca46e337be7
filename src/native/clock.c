#include "clock.h"

#include <stdbool.h>
#include <time.h>

/* A call of the clock that takes longer is a system call, ns. */
#define FAST_CALL_NS 250
#define TRIALS 16
/* The counter's speed is taken from spans at least so long. */
#define SPAN_MIN_NS (50 * NS_PER_MS)
/* A counter that is off by more over a span is none to rely on: it does not count evenly, or not on every processor alike. */
#define DEVIATION_MOST_NS (5 * NS_PER_MS)
#define FRACTION_BITS 24

uint64_t now_ns;
int64_t clock_unix_ns;
static uint64_t start_ns;
/* The time at a reading of the counter, and ns for each count, with a binary fraction; 0 where the kernel is asked. */
static uint64_t base_ns, base_count, ns_per_count;
static bool is_slow;

static uint64_t time_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#if defined(__x86_64__)
static uint64_t counter(void) { return __builtin_ia32_rdtsc(); }
#elif defined(__aarch64__)
static uint64_t counter(void) {
  uint64_t count;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
  return count;
}
#else
static uint64_t counter(void) { return 0; }
#endif

static uint64_t kernels_time(void) { return time_of(CLOCK_MONOTONIC) - start_ns; }

static void set(uint64_t ns) {
  if (ns > now_ns) now_ns = ns;
}

uint64_t read_clock(void) {
  if (ns_per_count == 0) set(kernels_time());
  else set(base_ns + ((counter() - base_count) * ns_per_count >> FRACTION_BITS));
  return now_ns;
}

void check_clock(void) {
  if (!is_slow) return;
  uint64_t ns = kernels_time(), count = counter(), span_ns = ns - base_ns, counts = count - base_count;
  if (span_ns < SPAN_MIN_NS) return;
  if (ns_per_count != 0) {
    uint64_t told_ns = counts * ns_per_count >> FRACTION_BITS;
    uint64_t deviation_ns = told_ns > span_ns ? told_ns - span_ns : span_ns - told_ns;
    if (deviation_ns > DEVIATION_MOST_NS) is_slow = false; /* and slow it is: the kernel is asked from now on */
  }
  ns_per_count = is_slow && counts != 0 ? (span_ns << FRACTION_BITS) / counts : 0;
  base_ns = ns;
  base_count = count;
  set(ns);
}

/* Whether asking the kernel takes a system call. */
static bool is_call_slow(void) {
  uint64_t from = time_of(CLOCK_MONOTONIC), to = from;
  for (int trial = 0; trial < TRIALS; trial++) to = time_of(CLOCK_MONOTONIC);
  return to - from > TRIALS * FAST_CALL_NS;
}

void clock_start(void) {
  start_ns = time_of(CLOCK_MONOTONIC) - 1;
  is_slow = is_call_slow() && counter() != 0;
  base_ns = read_clock();
  base_count = counter();
  clock_unix_ns = (int64_t)(time_of(CLOCK_REALTIME) - now_ns);
}
