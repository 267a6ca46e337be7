/*
 * The page that the server shares with whoever looks on: the file `server` in the runtime directory. The server writes it, and
 * nobody else. Readers map or read it, and linear memory, which is the file that `memory_fd` of process `pid` is.
 *
 * `sequence` is odd while the core handles an input: linear memory may then be between two states. A reader copies, and takes the
 * copy if the number was even before and is the same afterwards. A busy server leaves little time: readers copy record by record,
 * and give up after a number of tries.
 *
 * All numbers are little endian. What is added later goes behind what is there, in a page of a higher version.
 */
#ifndef SERVER_PAGE_H
#define SERVER_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "dm-ulog.h"

#define SERVER_PAGE_MAGIC 0x47505355u /* "USPG" */
#define SERVER_PAGE_VERSION 1u

/* As src/node's latencies: 13 bounds, each four times the one before, from 1 us; then the rest; then the sum in ns. */
#define LATENCY_BUCKETS 14
#define LATENCY_TYPES (DM_ULOG_REQUEST_TYPE_MAX + 1)

struct server_page {
  uint32_t magic, version;
  uint32_t pid;
  uint32_t netlink_port;
  uint32_t sequence;
  int32_t memory_fd;
  uint64_t memory_bytes;     /* of linear memory, as of the last input */
  uint64_t inputs;           /* handled so far */
  int64_t start_unix_ns;     /* when the server began to serve */
  int64_t clock_unix_ns;     /* Unix time at time 0 of the core, in ns */
  uint64_t heartbeat_ns;     /* time of the core at the last look at the clock, which is at least once in 100 ms */
  uint64_t overruns;         /* times that the receive buffer was full */
  uint64_t listener_drops;   /* requests that other members of the kernel's group dropped */
  uint64_t spin_window_ns;   /* how long the server looks for the next request before it sleeps */
  uint64_t spin_tries, spin_hits, spin_spent_ns;
  uint32_t is_stopped;       /* the server has ended, and was not killed */
  uint32_t unused;
  char application[32];      /* "dm-ulogd 0.1.0", ends with a NUL */
  char core_sha256[72];      /* hexadecimal digits and a NUL */
  char life[40];             /* a name that no other life of a server has */
  /* How long requests waited, by type; 0 for unknown types: counts of buckets, and the sum of all in ns. */
  struct { double counts[LATENCY_BUCKETS], sum_ns; } latencies[LATENCY_TYPES];
  /* By handle: since when its device is busy, as a time of the core, 0 where it is not; and with what (EFFECT_KIND_…). */
  struct { uint64_t since_ns; uint32_t kind, unused; } devices[DM_ULOG_HANDLE_COUNT];
};

_Static_assert(offsetof(struct server_page, sequence) == 16, "The layout is for other programs");
_Static_assert(offsetof(struct server_page, memory_bytes) == 24, "The layout is for other programs");
_Static_assert(offsetof(struct server_page, application) == 120, "The layout is for other programs");
_Static_assert(offsetof(struct server_page, latencies) == 264, "The layout is for other programs");

#endif
