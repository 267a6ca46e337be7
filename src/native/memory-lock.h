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

/* Runs before everything that has no such priority, 1 to 99. Says where that cannot be. */
void run_in_real_time(uint32_t priority);

/* Keeps these capabilities, as bits, and gives up all others for good. */
void keep_capabilities(uint64_t kept);

#endif
