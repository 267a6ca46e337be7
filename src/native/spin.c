#include "spin.h"

#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"

#define WINDOW_MIN_NS 5000
#define WINDOW_FIRST_NS 10000
/* Looks between two questions to the kernel whether others were kept from the processor. */
#define LOOKS_PER_QUESTION 64
/*
 * So long the server does not look again when they were, or when the longest looks brought nothing: whoever asks may need the
 * processor on which this thread looks. Each time in a row it waits twice as long.
 */
#define BACK_OFF_NS (200 * NS_PER_MS)
#define BACK_OFF_MOST_NS (10 * NS_PER_S)
#define LONG_MISSES_MAX 2

struct spin spin;
static uint64_t not_before_ns, back_off_ns = BACK_OFF_NS;
static long switches;
static unsigned long_misses;

void spin_start(uint32_t most_us) {
  spin.most_ns = sysconf(_SC_NPROCESSORS_ONLN) < 2 ? 0 : most_us * NS_PER_US;
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

static void back_off(uint64_t now_ns) {
  spin.window_ns = 0;
  long_misses = 0;
  not_before_ns = now_ns + back_off_ns;
  back_off_ns = back_off_ns * 2 < BACK_OFF_MOST_NS ? back_off_ns * 2 : BACK_OFF_MOST_NS;
}

void spin_ended(uint64_t took_ns, bool has_come, uint64_t now_ns) {
  spin.tries++;
  spin.spent_ns += took_ns;
  if (has_come) {
    spin.hits++;
    long_misses = 0;
    back_off_ns = BACK_OFF_NS;
  } else if (spin.window_ns == spin.most_ns) long_misses++;
  bool is_question_due = spin.tries % LOOKS_PER_QUESTION == 0;
  if (long_misses >= LONG_MISSES_MAX || (is_question_due && is_machine_busy())) back_off(now_ns);
}

void spin_slept(uint64_t slept_ns, uint64_t now_ns) {
  if (spin.most_ns == 0 || now_ns < not_before_ns) return;
  /* It came soon after the look had ended: a longer one pays. It came much later: looking was for nothing. */
  if (slept_ns <= spin.most_ns) widen();
  else if (spin.window_ns / 2 < WINDOW_MIN_NS) spin.window_ns = 0;
  else spin.window_ns /= 2;
}
