/*
 * What the server and its device process share.
 *
 * The server (server.c) is one thread that answers the kernel and never waits for anything but a datagram. The device process
 * (device-process.c) does all that may wait: devices, device-mapper's tables, the log. It is a process of its own so that the
 * server dies at once when it is killed, whatever device hangs; and in it each thread has a table of descriptors of its own,
 * so that a thread that hangs keeps its own device and no other.
 *
 * Work goes over by being written into a place here and named in `asked`, which the server alone writes. What is done is a
 * bit in `done`, and a ring of the server's bell, which is a datagram to its netlink socket: it waits for nothing else.
 */
#ifndef SHARED_H
#define SHARED_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "say.h"

/* Places for open devices: one for each log, and some for closed ones that hang while they are let go. */
#define PLACES (DM_ULOG_HANDLE_COUNT + 64)
/* By handle: flushes of legs. Behind them in numbers of work. */
#define JOBS (PLACES + DM_ULOG_HANDLE_COUNT)
#define UUID_ROOM 136
#define DEVICE_NAME_BYTES 4096
/* Read and write direct I/O in pages. */
#define PAGE_BYTES 4096
_Static_assert(DM_ULOG_PAGE_BYTES == PAGE_BYTES, "The core's images lie on other boundaries");

/* One part of what is asked of a device at once. The head comes back with the completion. */
struct part { struct head head; uint32_t address; uint32_t unused; };

/* A device, asked for one kind of thing at a time: EFFECT_KIND_OPEN, READ, WRITE, CLOSE. */
struct place {
  atomic_uint rings;     /* changes when something is asked; the device's thread waits for it */
  uint32_t kind, parts;  /* of what is asked: its parts stand in the rows of this place */
  int32_t error;         /* 0 or a negative errno, of all parts */
  uint32_t name_bytes;   /* OPEN: of the device's name, which stands where reads go */
  uint32_t major, minor; /* OPEN: of a block device; 0 for a regular file */
  uint64_t device_bytes, file_system, inode;
};

/* A flush of the legs of a log. */
struct flush { uint64_t luid; char uuid[UUID_ROOM]; int32_t error; uint32_t unused; };

/* Asks the server to give up a log that no table of the kernel names any more. */
struct forgotten { uint32_t handle; uint64_t luid; char uuid[UUID_ROOM]; };
#define FORGOTTEN_AT_ONCE 64

struct shared {
  struct log_ring log;
  _Atomic uint64_t memory_bytes;   /* of linear memory */
  _Atomic uint64_t listener_drops; /* requests that other members of the group dropped */
  /* The server's bell: whether it rang and was not heard yet. */
  atomic_uint is_rung;
  uint32_t server_port;
  /* Numbers of jobs for the device process, in order: below PLACES a place, then handles to flush. */
  atomic_uint asked, asked_rings;
  uint16_t asked_jobs[JOBS * 2];
  _Atomic uint64_t done[(JOBS + 63) / 64];
  struct place places[PLACES];
  struct flush flushes[DM_ULOG_HANDLE_COUNT];
  /* The device process fills it while it is 0 and the server sets it back. */
  atomic_uint forgotten_count;
  struct forgotten forgotten[FORGOTTEN_AT_ONCE];
};
_Static_assert(JOBS * 2 <= UINT16_MAX + 1 && JOBS <= UINT16_MAX, "A job has a number of 16 bits");

extern struct shared *shared;

/* Memory for which there is none yet: it is taken page by page when it is first used. `bytes` may be huge. */
void *reserve_shared(uint64_t bytes);

/* The rows of a place: its parts. */
struct part *parts_of(unsigned place);
/* Room for what a place reads, on a boundary for direct I/O: as much as one READ asks for, and a page on either side. */
uint8_t *reading_of(unsigned place);
#define READING_BYTES (DM_ULOG_READ_BYTES_MAX + 2 * PAGE_BYTES)

/* Makes all of it. Ends the process where it cannot be had. */
void shared_make(void);

/* Device process: a job is done. */
void job_done(unsigned job);

#endif
