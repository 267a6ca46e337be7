/*
 * The flight recorder: the last events of the engine, in a mapped file of the runtime directory, so that they outlive the process
 * and anyone may follow them. Its format is that of src/node's event log: two halves, each a section of a trace
 * (src/common/trace/README.md). One thread writes and waits for nobody. Where the process is killed, the halves are whole.
 */
#ifndef FLIGHT_H
#define FLIGHT_H

#include <stdint.h>

#define FLIGHT_NAME "flight-recorder"
#define FLIGHT_LOST_NAME "flight-recorder.lost"
#define FLIGHT_HEAD_BYTES 4096
#define FLIGHT_MAGIC 0x32464c55u

/* What the file begins with. A half that is begun anew has another age before anything else of it changes. */
struct flight_head {
  uint32_t magic, half_bytes, is_running, time_low, time_high;
  struct { int32_t age; uint32_t events_at, used, has_gap; } halves[2];
};

/* Makes a file of about so many bytes, 0 for no recorder, which has no name yet. Takes 20 to 40 ms where page faults are slow. */
void flight_prepare(uint64_t bytes);

/* Gives it its name, and begins. The file of a server that was killed is put aside. */
void flight_start(void);

/* An input was handled, and its effects carried out: it is an event now. */
void flight_handled(uint32_t effects_bytes);

/* Between two inputs: begins the other half if it is time. */
void flight_settle(void);

/* The core has stopped at the present input. Takes no lock and allocates nothing. */
void flight_trapped(const char *reason);

/* The server ends as it should: nobody will need these events. */
void flight_close(void);

/* Device process: makes a trace in `crashes` of what a server that was killed has left, and says so. */
void flight_keep_lost(void);

#endif
