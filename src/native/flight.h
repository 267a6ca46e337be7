/* The flight recorder: see flight.c. */
#ifndef FLIGHT_H
#define FLIGHT_H

#include <stdint.h>

void flight_start(void);
void flight_handled(uint32_t effects_bytes);
void flight_settle(void);
void flight_trapped(const char *reason);
void flight_close(void);

#endif
