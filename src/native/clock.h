/* The server's time: ns since a moment before it started, which is never 0 and never goes back. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

/*
 * As of the last `read_clock`: once for each input, and for all that comes of it. Where asking the kernel is a system call, the
 * processor's own counter tells the time between two calls of `check_clock`.
 */
extern uint64_t now_ns;
uint64_t read_clock(void);

/* Asks the kernel, at least once in some seconds. The time never goes back. */
void check_clock(void);

/* Unix time at the server's time 0, in ns. */
extern int64_t clock_unix_ns;
void clock_start(void);

#endif
