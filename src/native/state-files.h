/*
 * What of each log must outlive the server, though not the kernel: one small file for each, mapped into memory. A write is a
 * store, which the kernel keeps however the process ends. The layout is that of src/node/state/state-files.ts, so that either
 * host goes on where the other has ended.
 */
#ifndef STATE_FILES_H
#define STATE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* Maps what an earlier server left, removes what is of another boot, sets aside what is no file of a server. */
void states_open(void);

/* What an earlier server left of a handle's log, or this one has made: its bytes, 0 where there is no file, and a part of them. */
uint64_t state_size(uint32_t handle);
void state_read(uint32_t handle, uint64_t offset, void *bytes, uint64_t size);

/* Return 0 or a negative errno. A log without a file is not kept. A file that cannot be written has gone. */
int state_create(const struct head *head);
int state_delete(uint32_t handle);
int state_write(const struct head *head, const uint8_t *bytes);

/* Whether space of what was removed is still to be given back to the machine, and a piece of it given. */
bool states_to_give_back(void);
void states_give_back(void);

/* Requests that wait for their answers. A kernel has four of each log at the most. */
#define WAITING_MAX (4 * DM_ULOG_HANDLE_COUNT)

/*
 * The number of the last request that was seen, and those of all that wait, in any order: a file beside them, in the layout of
 * src/node/requests/request-recall.ts.
 */
struct request_numbers { uint32_t last, waiting_count, waiting[WAITING_MAX]; };
/* Never NULL once the files are open. */
extern volatile struct request_numbers *requests;

#endif
