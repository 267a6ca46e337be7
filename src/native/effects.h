/* Does what the core asks for. */
#ifndef EFFECTS_H
#define EFFECTS_H

#include <stdint.h>

/* When the core wants a tick, 0 for never. */
extern uint64_t wake_ns;

/* Carries out the records of an input, in order. */
void carry_out(uint32_t bytes);

#endif
