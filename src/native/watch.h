/* Looks at the machine from time to time: which mirrors are gone, who else receives the kernel's requests. */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Device process: a thread's work. */
void watch(unsigned unused);

/* Reads from linear memory which log has a handle. Returns whether there is one; `uuid` has UUID_ROOM bytes. */
bool read_log(uint32_t handle, uint64_t *luid, char *uuid);

/* A set of UUIDs, for as long as it takes to compare it. */
struct names;
struct names *read_names(void); /* of all tables; NULL where they cannot be read: then nothing is known */
bool names_have(const struct names *names, const char *uuid);
void names_free(struct names *names);

#endif
