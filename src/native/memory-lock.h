/*
 * Keeps a process from waiting for memory that only it can free: the kernel frees memory by writing to disks, and one of them may
 * be a mirror whose writes wait for our answer.
 */
#ifndef MEMORY_LOCK_H
#define MEMORY_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Both processes, each for itself: a lock on memory is not inherited. The first says what could not be had. */
void lock_memory(bool is_first);

/*
 * Takes all pages of this range from the machine now, and keeps them: what is locked by `lock_memory` alone is locked when it is
 * first touched, and may be written to swap before. MAP_POPULATE does nothing for such memory.
 */
void keep_resident(const void *at, uint64_t bytes);
/* The same for a range that will be written, and that nobody changes without atomic operations meanwhile. */
void keep_resident_to_write(void *at, uint64_t bytes);

/*
 * Keeps the code and the constants of this process resident, and with `is_written_too` its variables and heap: after a fork, the
 * first write to each page of them takes a new one. Code that never ran is read from the disk when it runs first.
 */
void keep_program_resident(bool is_written_too);

/* The stack of a thread that writes to a device is used once as deep as a write needs it. The server's own is whole. */
void touch_stack(void);

/* Runs before everything that has no such priority, 1 to 99. Says where that cannot be. */
void run_in_real_time(uint32_t priority);

/* Keeps these capabilities, as bits, and gives up all others for good. */
void keep_capabilities(uint64_t kept);

#endif
