/*
 * Threads of the device process whose descriptors are theirs alone. A process that is killed lets go of what a table of
 * descriptors holds when the last thread with that table is gone: one that hangs in a device keeps that device, and nothing else.
 */
#ifndef OWN_THREAD_H
#define OWN_THREAD_H

/* Starts a thread that runs `work(number)`. Returns 0 or an errno. */
int start_own_thread(void (*work)(unsigned number), unsigned number);

#endif
