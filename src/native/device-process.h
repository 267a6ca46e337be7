/* The process that does what may wait: see shared.h. */
#ifndef DEVICE_PROCESS_H
#define DEVICE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Starts it. It ends with its server, however that ends. Returns its process id. Call it before anything is opened that it
 * must not keep open.
 */
pid_t device_process_start(void);

/* Whether it has ended, as it never does before its server: what waits for a device would wait for ever. */
bool device_process_has_ended(void);

/*
 * The server has said its last sentence: waits until the process has ended, or a second. One that hangs in a device does not end, and
 * is waited for only until it has written that sentence.
 */
void device_process_end(bool hangs);

#endif
