/* What the parts of the appliance share. A function that returns an int returns 0 or a negative errno. */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h> /* and <fcntl.h> */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dm-ulog.h"

/* What effects on a log's device, legs and state file begin with, and completions too. */
struct head { uint32_t handle, size; uint64_t offset, ticket; };
_Static_assert(offsetof(struct head, offset) == DM_ULOG_HEAD_OFFSET && sizeof(struct head) == DM_ULOG_HEAD_BYTES,
               "The core's head is another one");

/* An effect that may have to wait, then what came of it. */
struct job {
  struct job *more; /* WRITE: the rest of its batch */
  uint32_t kind;    /* EFFECT_KIND_… */
  int error, fd;
  void *data;       /* WRITE: what to write, in linear memory; READ: what was read */
  uint64_t bytes;   /* OPEN: size of the device */
  struct stat file; /* OPEN: its numbers, 0 for a regular file, which is told from another by file system and inode */
  uint64_t due_ns;  /* FLUSH_LEGS: when it has failed, done or not */
  struct head head;
  char rest[];      /* OPEN: name of the device; FLUSH_LEGS: luid and UUID */
};

/* appliance.c */
extern pthread_mutex_t mutex;
extern int device_fds[DM_ULOG_HANDLE_COUNT]; /* of log devices that are open, by handle, 0 for none; under the mutex */
void job_done(struct job *job);

/* jobs.c, legs.c */
void job_start(struct job *job);
int open_block_device(dev_t device, int flags); /* returns a descriptor */
int flush_legs(const struct job *job);

/* state-files.c */
struct state { uint8_t *bytes; size_t size; };
struct state *states_open(void); /* by handle */
struct state state_map(const char *path, size_t size);
int state_create(const struct head *head);
void state_write(const struct head *head, const uint8_t *bytes);
void state_delete(uint32_t handle);
