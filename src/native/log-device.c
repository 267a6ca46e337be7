/*
 * Every call here may hang as long as the device does. Reads go past every cache; a write is durable when it is done. Direct I/O
 * and one fdatasync for a whole batch: the page cache could hold a write back until other dirty pages are written, perhaps to
 * the mirror that waits for this log, and after a failed write it returns data that never reached the device.
 */
#include "log-device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block-node.h"
#include "futex.h"
#include "lock-registry.h"
#include "memory-lock.h"
#include "shared.h"

/* Longer than a device needs for the writes of a server that was killed, which holds the lock until they have ended. */
#define LOCK_ATTEMPTS 500
#define LOCK_RETRY_US 20000
#define RESIDENT_BYTES_MAX (64ull << 20)

struct log_device { int fd; uint32_t alignment; struct stat file; };

/* Opens a regular file, or a block device by the node that every program uses. */
static int open_named(const char *name, struct stat *file) {
  dev_t numbers;
  bool is_numbers = parse_numbers(name, &numbers);
  if (!is_numbers && stat(name, file) < 0) return -errno;
  if (!is_numbers && S_ISREG(file->st_mode)) {
    int fd = open(name, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
  }
  if (!is_numbers && !S_ISBLK(file->st_mode)) return -ENOTBLK;
  return open_block_device(is_numbers ? numbers : file->st_rdev, O_RDWR);
}

static int lock(int fd, const struct stat *file) {
  int result = registry_lock(fd, file);
  for (int attempt = 1; result == -EBUSY && attempt < LOCK_ATTEMPTS; attempt++) {
    usleep(LOCK_RETRY_US);
    result = registry_lock(fd, file);
  }
  return result;
}

static int open_device(struct log_device *device, struct place *place, const char *name) {
  int fd = open_named(name, &device->file);
  if (fd < 0) return fd;
  if (fstat(fd, &device->file) < 0 || !(S_ISREG(device->file.st_mode) || S_ISBLK(device->file.st_mode))) {
    close(fd);
    return -ENOTBLK;
  }
  device->fd = lock(fd, &device->file);
  if (device->fd < 0) {
    close(fd);
    return -EBUSY;
  }
  place->device_bytes = (uint64_t)lseek(device->fd, 0, SEEK_END);
  /* Direct I/O cannot write a tail that is no whole page, and some file systems do not have it: then without. */
  bool is_direct = place->device_bytes % PAGE_BYTES == 0 && fcntl(device->fd, F_SETFL, O_DIRECT) == 0;
  device->alignment = is_direct ? PAGE_BYTES : 1;
  place->major = S_ISBLK(device->file.st_mode) ? major(device->file.st_rdev) : 0;
  place->minor = S_ISBLK(device->file.st_mode) ? minor(device->file.st_rdev) : 0;
  place->file_system = device->file.st_dev;
  place->inode = device->file.st_ino;
  return 0;
}

/* The bytes asked for are moved to where the room begins. */
static int read_part(const struct log_device *device, const struct head *head, uint8_t *room) {
  uint64_t start = head->offset - head->offset % device->alignment, end = head->offset + head->size;
  end += (device->alignment - end % device->alignment) % device->alignment;
  ssize_t size = pread(device->fd, room, end - start, (off_t)start);
  if (size < 0) return -errno;
  if (start + (uint64_t)size < head->offset + head->size) return -EIO;
  memmove(room, room + (head->offset - start), head->size);
  return 0;
}

static int write_parts(const struct log_device *device, const struct part *parts, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const struct head *head = &parts[i].head;
    ssize_t size = pwrite(device->fd, memory + parts[i].address, head->size, (off_t)head->offset);
    if (size < 0) return -errno;
    if ((uint64_t)size != head->size) return -EIO;
  }
  return fdatasync(device->fd) < 0 ? -errno : 0;
}

static void close_device(struct log_device *device) {
  close(device->fd);
  registry_release(&device->file);
}

/* A write of this thread finds all pages that it reads. A larger memory has parts that nothing uses yet. */
static void keep_resident_for_writes(unsigned number) {
  uint64_t bytes = atomic_load(&shared->memory_bytes);
  keep_resident(parts_of(number), PAGE_BYTES);
  if (bytes <= RESIDENT_BYTES_MAX) keep_resident(memory, bytes);
}

void serve_device(unsigned number) {
  struct place *place = &shared->places[number];
  uint8_t *room = reading_of(number);
  struct log_device device = {.fd = -1};
  bool is_room_used = true; /* by the name of the device */
  for (unsigned heard = 0;;) {
    unsigned rings;
    while ((rings = atomic_load(&place->rings)) == heard) futex_wait(&place->rings, heard, 0);
    heard = rings;
    bool is_last = false;
    switch (place->kind) {
      case DM_ULOG_EFFECT_KIND_OPEN:
        place->error = open_device(&device, place, (const char *)room);
        keep_resident_for_writes(number);
        is_last = place->error != 0;
        break;
      case DM_ULOG_EFFECT_KIND_READ:
        place->error = read_part(&device, &parts_of(number)->head, room);
        is_room_used = true;
        break;
      case DM_ULOG_EFFECT_KIND_WRITE:
        /* A log that is written is not read any more: what reads took goes back. */
        if (is_room_used) madvise(room, READING_BYTES, MADV_REMOVE);
        is_room_used = false;
        place->error = write_parts(&device, parts_of(number), place->parts);
        break;
      default:
        close_device(&device);
        is_last = true;
    }
    job_done(number);
    if (is_last) return;
  }
}
