#include "flight.h"
void flight_start(void) {}
void flight_handled(uint32_t effects_bytes) { (void)effects_bytes; }
void flight_settle(void) {}
void flight_trapped(const char *reason) { (void)reason; }
void flight_close(void) {}
