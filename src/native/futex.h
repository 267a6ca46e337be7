/* Waiting for a word to change, also between processes. */
#ifndef FUTEX_H
#define FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Waits while `*word` is `value`, at most so many ms, or for ever with 0. May return early. */
static inline void futex_wait(atomic_uint *word, unsigned value, unsigned timeout_ms) {
  struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
  syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ms == 0 ? NULL : &timeout, NULL, 0);
}

static inline void futex_wake(atomic_uint *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

#endif
