/* The server's side of what may wait: log devices and legs. Nothing here waits. */
#ifndef DEVICES_H
#define DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "dm-ulog.h"

/* Takes an OPEN, READ, WRITE or CLOSE whose payload stands at an address of linear memory. */
void device_ask(uint32_t kind, uint32_t payload, uint32_t bytes);

/* Takes a FLUSH_LEGS. */
void flush_ask(uint32_t payload, uint64_t now_ns);

/* All effects of an input were taken: hands over what was collected. */
void devices_hand_over(void);

/* Gives the core the completion whose head is given; `bytes` and what is read or opened follow by `kind`. */
typedef void (*deliver_completion)(uint32_t size);

/* Gives the core what is done by now: `deliver` takes the size of a completion that stands in the input's payload. */
void devices_collect(deliver_completion deliver);

/* Gives up flushes that take too long. */
void flushes_look(uint64_t now_ns, deliver_completion deliver);

/* Says which devices take long, once each. */
void devices_look(uint64_t now_ns);

/* Whether nothing is under way on a log device but what has taken longer than `patience_ns` already: that hangs. */
bool devices_have_ended(uint64_t now_ns, uint64_t patience_ns);

/* Whether nothing is under way on a log device. */
bool devices_are_idle(void);

/* When the operation on the device of a handle began, of the clock of `now_ns`, or 0; and its kind. */
extern struct since { uint64_t ns; uint32_t kind, is_said; } device_since[DM_ULOG_HANDLE_COUNT];

#endif
