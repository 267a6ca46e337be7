/*
 * Log devices are locked (flock) against other servers. A lock belongs to one opening, and when a table is reloaded its log is
 * opened once more beside the old one: the second opening has to share the first one's lock. The threads that have devices
 * open see nothing of each other's descriptors, so one thread keeps a duplicate of each and hands it out.
 */
#ifndef LOCK_REGISTRY_H
#define LOCK_REGISTRY_H

#include <sys/stat.h>

/* To the registry, for the threads of devices. */
extern int lock_registry_fd;

/* Starts the registry's thread. Ends the process where it cannot be. */
void lock_registry_start(void);

/*
 * Locks an open device. Returns the descriptor to use: `fd`, or one that shares the lock of the opening that has it; then
 * `fd` is closed. Returns -EBUSY, with `fd` still open, where another process has the lock.
 */
int registry_lock(int fd, const struct stat *file);

/* The device is closed: what `registry_lock` returned is closed already. */
void registry_release(const struct stat *file);

#endif
