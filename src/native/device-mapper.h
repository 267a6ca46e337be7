/* Reads device-mapper's tables. Each call may wait for a lock that the kernel holds while it waits for the server. */
#ifndef DEVICE_MAPPER_H
#define DEVICE_MAPPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "shared.h"

/* The kernel's limit for a mirror, in the table that is live and in one that is loaded. */
#define LEGS_MAX (2 * 9)

struct legs { unsigned count; dev_t devices[LEGS_MAX]; };

void add_leg(struct legs *legs, dev_t device);

/* Adds the legs of every mirror whose log has this UUID. Returns 0 or a negative errno. */
int find_legs(struct legs *legs, const char *uuid);

/*
 * Calls `named` with the UUID of each userspace log in any table, live or loaded. Returns 0 or a negative errno; then some
 * may be missing.
 */
int for_each_log(void (*named)(const char *uuid, void *context), void *context);

#endif
