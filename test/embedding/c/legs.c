/*
 * Flushes the write caches of a mirror's legs, to which the UUID of its log leads in the kernel's tables. A mirror that is
 * being removed has left them before it is suspended: the legs that its log was found with last are flushed too.
 */
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>

#include "appliance.h"

/* The kernel's limit for a mirror, in the table that is live and in one that is loaded. */
#define LEGS_MAX (2 * 9)

struct legs { uint64_t luid; unsigned count; dev_t devices[LEGS_MAX]; };

/* By handle. One thread at a time flushes the legs of a log. */
static struct legs last[DM_ULOG_HANDLE_COUNT];

static void add_leg(struct legs *legs, dev_t device) {
  for (unsigned i = 0; i < legs->count; i++)
    if (legs->devices[i] == device) return;
  if (legs->count < LEGS_MAX) legs->devices[legs->count++] = device;
}

/* Takes the legs of `userspace <argc> <UUID> <argument>… <#legs> {<major:minor> <offset>}… <#features> <feature>…`. */
static void add_legs(struct legs *legs, const char *uuid, char *table) {
  char found[DM_UUID_LEN], *rest;
  int argc, end = 0;
  unsigned major_number, minor_number;
  sscanf(table, "userspace %d %128s%n", &argc, found, &end);
  if (end == 0 || strcmp(found, uuid) != 0) return;
  for (char *word = strtok_r(table + end, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
    if (--argc < 0 && sscanf(word, "%u:%u", &major_number, &minor_number) == 2)
      add_leg(legs, makedev(major_number, minor_number));
}

/* Asks device-mapper, with as much room as the answer takes: 16 KiB at first, 16 MiB at most. Returns NULL with errno. */
static struct dm_ioctl *ask(int control, unsigned long command, uint64_t device, uint32_t flags) {
  for (uint32_t bytes = 1u << 14; bytes <= 1u << 24; bytes *= 2) {
    struct dm_ioctl *answer = calloc(1, bytes);
    if (answer == NULL) return NULL;
    *answer = (struct dm_ioctl){{DM_VERSION_MAJOR}, .data_size = bytes, .data_start = sizeof *answer, .flags = flags, .dev = device};
    int result = ioctl(control, command, answer);
    if (result == 0 && (answer->flags & DM_BUFFER_FULL_FLAG) == 0) return answer;
    free(answer);
    if (result < 0) return NULL;
  }
  return errno = EMSGSIZE, NULL;
}

static int find_in_table(struct legs *legs, const char *uuid, int control, uint64_t device, uint32_t flags) {
  struct dm_ioctl *answer = ask(control, DM_TABLE_STATUS, device, flags | DM_STATUS_TABLE_FLAG);
  if (answer == NULL) return errno == ENXIO ? 0 : -errno; /* gone since it was listed */
  char *targets = (char *)answer + answer->data_start;
  for (uint32_t at = 0, left = answer->target_count; left > 0; left--) {
    struct dm_target_spec *target = (void *)(targets + at);
    if (strcmp(target->target_type, "mirror") == 0) add_legs(legs, uuid, (char *)(target + 1));
    at = target->next;
  }
  free(answer);
  return 0;
}

/* While a table is reloaded there are two with a log of this UUID: the live one, and the one that is loaded. */
static int find_legs(struct legs *legs, const char *uuid, int control) {
  struct dm_ioctl *list = ask(control, DM_LIST_DEVICES, 0, 0);
  if (list == NULL) return -errno;
  int error = 0;
  struct dm_name_list *device = (void *)((char *)list + list->data_start);
  for (uint32_t next = 1; error == 0 && next != 0 && device->dev != 0; device = (void *)((char *)device + next)) {
    next = device->next;
    error = find_in_table(legs, uuid, control, device->dev, 0);
    if (error == 0) error = find_in_table(legs, uuid, control, device->dev, DM_QUERY_INACTIVE_TABLE_FLAG);
  }
  free(list);
  return error;
}

int flush_legs(const struct job *job) {
  const char *uuid = job->rest + (DM_ULOG_FLUSH_LEGS_UUID - DM_ULOG_HEAD_BYTES);
  struct legs found = {.luid = *(const uint64_t *)job->rest}, all = last[job->head.handle];
  int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
  if (control < 0) return -ENODEV;
  int error = find_legs(&found, uuid, control);
  close(control);
  if (all.luid != found.luid) all.count = 0;
  for (unsigned i = 0; i < found.count; i++) add_leg(&all, found.devices[i]);
  if (found.count > 0) last[job->head.handle] = found;
  if (error == 0 && all.count == 0) error = -ENODEV;
  for (unsigned i = 0; i < all.count && error == 0; i++) {
    int fd = open_block_device(all.devices[i], O_RDONLY);
    error = fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0) close(fd);
  }
  return error;
}
