#include "spin.h"

#include <sched.h>
#include <sys/resource.h>

#include "clock.h"

#define WINDOW_MIN_NS 5000
#define WINDOW_FIRST_NS 10000
/* Looks between two questions to the kernel whether others were kept from the processor. */
#define LOOKS_PER_QUESTION 64
/* So long the server does not look again when they were. */
#define BACK_OFF_NS (200 * NS_PER_MS)

struct spin spin;
static uint64_t not_before_ns;
static long switches;

void spin_start(uint32_t most_us) {
  cpu_set_t processors;
  bool is_alone = sched_getaffinity(0, sizeof processors, &processors) != 0 || CPU_COUNT(&processors) < 2;
  spin.most_ns = is_alone ? 0 : most_us * NS_PER_US;
}

/* The kernel took the processor from this thread though it had not done: somebody else wants it. */
static bool is_machine_busy(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) != 0) return false;
  long since = usage.ru_nivcsw - switches;
  switches = usage.ru_nivcsw;
  return since > 1;
}

static void widen(void) {
  uint64_t wider = spin.window_ns == 0 ? WINDOW_FIRST_NS : spin.window_ns * 2;
  spin.window_ns = wider < spin.most_ns ? wider : spin.most_ns;
}

void spin_ended(uint64_t took_ns, bool has_come, uint64_t now_ns) {
  spin.tries++;
  spin.spent_ns += took_ns;
  if (has_come) spin.hits++;
  if (spin.tries % LOOKS_PER_QUESTION == 0 && is_machine_busy()) {
    spin.window_ns = 0;
    not_before_ns = now_ns + BACK_OFF_NS;
  }
}

void spin_slept(uint64_t slept_ns, uint64_t now_ns) {
  if (spin.most_ns == 0 || now_ns < not_before_ns) return;
  /* It came soon after the look had ended: a longer one pays. It came much later: looking was for nothing. */
  if (slept_ns <= spin.most_ns) widen();
  else if (spin.window_ns / 2 < WINDOW_MIN_NS) spin.window_ns = 0;
  else spin.window_ns /= 2;
}
