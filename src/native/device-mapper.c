#include "device-mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ANSWER_BYTES_MIN (1u << 14)
#define ANSWER_BYTES_MAX (1u << 24)

/* Called for each table of a mirror. */
typedef void (*take_table)(const char *uuid, char *after, int words, void *context);

void add_leg(struct legs *legs, dev_t device) {
  for (unsigned i = 0; i < legs->count; i++)
    if (legs->devices[i] == device) return;
  if (legs->count < LEGS_MAX) legs->devices[legs->count++] = device;
}

/* Asks with as much room as the answer takes. Returns NULL with errno; the caller frees the answer. */
static struct dm_ioctl *ask(int control, unsigned long command, uint64_t device, uint32_t flags) {
  for (uint32_t bytes = ANSWER_BYTES_MIN; bytes <= ANSWER_BYTES_MAX; bytes *= 2) {
    struct dm_ioctl *answer = calloc(1, bytes);
    if (answer == NULL) return NULL;
    *answer = (struct dm_ioctl){
        {DM_VERSION_MAJOR}, .data_size = bytes, .data_start = sizeof *answer, .flags = flags, .dev = device};
    int result = ioctl(control, command, answer);
    if (result == 0 && (answer->flags & DM_BUFFER_FULL_FLAG) == 0) return answer;
    free(answer);
    if (result < 0) return NULL;
  }
  return errno = EMSGSIZE, NULL;
}

/* Takes `userspace <argc> <UUID> <argument>… <#legs> {<major:minor> <offset>}… <#features> <feature>…`. */
static void read_mirror(char *table, take_table take, void *context) {
  char uuid[DM_UUID_LEN];
  int words = 0, end = 0;
  if (sscanf(table, "userspace %d %128s%n", &words, uuid, &end) == 2 && end > 0) take(uuid, table + end, words, context);
}

static int read_table(int control, uint64_t device, uint32_t flags, take_table take, void *context) {
  struct dm_ioctl *answer = ask(control, DM_TABLE_STATUS, device, flags | DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG);
  if (answer == NULL) return errno == ENXIO ? 0 : -errno; /* gone since it was listed */
  char *targets = (char *)answer + answer->data_start;
  for (uint32_t at = 0, left = answer->target_count; left > 0; left--) {
    struct dm_target_spec *target = (void *)(targets + at);
    if (strcmp(target->target_type, "mirror") == 0) read_mirror((char *)(target + 1), take, context);
    at = target->next;
  }
  free(answer);
  return 0;
}

/* While a table is reloaded there are two with a log of one UUID: the live one, and the one that is loaded. */
static int read_tables(take_table take, void *context) {
  int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
  if (control < 0) return -ENODEV;
  struct dm_ioctl *list = ask(control, DM_LIST_DEVICES, 0, 0);
  int error = list == NULL ? -errno : 0;
  struct dm_name_list *device = list == NULL ? NULL : (void *)((char *)list + list->data_start);
  for (uint32_t next = 1; error == 0 && next != 0 && device->dev != 0; device = (void *)((char *)device + next)) {
    next = device->next;
    error = read_table(control, device->dev, 0, take, context);
    if (error == 0) error = read_table(control, device->dev, DM_QUERY_INACTIVE_TABLE_FLAG, take, context);
  }
  free(list);
  close(control);
  return error;
}

struct search { struct legs *legs; const char *uuid; };

static void take_legs(const char *uuid, char *after, int words, void *context) {
  const struct search *search = context;
  unsigned major_number, minor_number;
  char *rest;
  if (strcmp(uuid, search->uuid) != 0) return;
  for (char *word = strtok_r(after, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
    if (--words < 0 && sscanf(word, "%u:%u", &major_number, &minor_number) == 2)
      add_leg(search->legs, makedev(major_number, minor_number));
}

int find_legs(struct legs *legs, const char *uuid) { return read_tables(take_legs, &(struct search){legs, uuid}); }

struct naming { void (*named)(const char *uuid, void *context); void *context; };

static void take_name(const char *uuid, char *after, int words, void *context) {
  (void)after, (void)words;
  const struct naming *naming = context;
  naming->named(uuid, naming->context);
}

int for_each_log(void (*named)(const char *uuid, void *context), void *context) {
  return read_tables(take_name, &(struct naming){named, context});
}
