/* The process that does what may wait: see shared.h. */
#ifndef DEVICE_PROCESS_H
#define DEVICE_PROCESS_H

#include <sys/types.h>

/*
 * Starts it. It ends with its server, however that ends. Returns its process id. Call it before anything is opened that it
 * must not keep open.
 */
pid_t device_process_start(void);

/* The server has said its last sentence: waits until it is written, or a second. */
void device_process_end(pid_t pid);

#endif
