/* The core, compiled to C, and its linear memory. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm-ulog.h"

/*
 * Where linear memory begins. It never moves: 4 GiB of addresses are reserved for it, and the file behind it grows.
 * Whoever has the file open sees it grow too.
 */
extern uint8_t *memory;
extern uint64_t memory_bytes;
extern int memory_fd;
/* Inputs handled, of whatever kind. */
extern uint32_t input_count;

/* What stands at an address of linear memory. */
#define U32(address) (*(uint32_t *)(memory + (address)))
#define U64(address) (*(uint64_t *)(memory + (address)))

/* What effects on a log's device, legs and state file begin with, and completions too. */
struct head { uint32_t handle, size; uint64_t offset, ticket; };
_Static_assert(offsetof(struct head, offset) == DM_ULOG_HEAD_OFFSET && sizeof(struct head) == DM_ULOG_HEAD_BYTES,
               "The core's head is another one");
#define HEAD(address) (*(struct head *)(memory + (address)))

/* Makes the one engine of this process. Ends the process where there is no memory for it. */
void engine_start(void);

/*
 * Gives the core an input whose payload stands at DM_ULOG_INPUT_PAYLOAD. Returns the bytes of the effect records at
 * DM_ULOG_EFFECTS, which the caller carries out, in order, before the next input.
 */
uint32_t engine_input(uint32_t kind, uint32_t size, uint32_t port, uint64_t now_ns);

/* Whether the core has any log. */
bool engine_has_logs(void);

/*
 * A second instance of the core that puts notices into words, for a process that has no engine. It has memory of its own,
 * and may allocate.
 */
void console_start(void);

/* A notice as a sentence in UTF-8, cut to `bytes`. Returns its priority as syslog numbers it: 3, 4 or 6. */
int console_describe(const uint8_t *notice, char *sentence, size_t bytes);

#endif
