/*
 * State files, mapped: a write is a store, which the kernel keeps however this process ends. Their layout is that of
 * src/node/state/state-files.ts, so that either server goes on where the other has ended.
 */
#include <ctype.h>
#include <dirent.h>

#include "appliance.h"

/* A UUID and a line feed. */
#define BOOT_ID_BYTES 37

static struct state states[DM_ULOG_HANDLE_COUNT];

/* Maps a file, made of zeros where a size is given. It has all its space then: no store finds the disk full. */
struct state state_map(const char *path, size_t size) {
  struct state state = {NULL, 0};
  int fd = open(path, O_RDWR | O_CLOEXEC | (size > 0 ? O_CREAT : 0), 0600);
  errno = fd < 0 ? errno : size > 0 ? posix_fallocate(fd, 0, (off_t)size) : 0;
  if (errno == 0) state.size = (size_t)lseek(fd, 0, SEEK_END);
  if (errno == 0) state.bytes = mmap(NULL, state.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  return errno == 0 ? state : (struct state){NULL, 0};
}

/* Maps what an earlier server left, and removes what is of another boot. Returns NULL with errno. */
struct state *states_open(void) {
  char boot[BOOT_ID_BYTES], path[300];
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  mkdir("state", 0700);
  struct state boot_of_files = state_map("state/boot_id", BOOT_ID_BYTES);
  DIR *entries = opendir("state");
  if (boot_of_files.bytes == NULL || entries == NULL || read(fd, boot, sizeof boot) != sizeof boot) return NULL;
  int is_of_this_boot = memcmp(boot, boot_of_files.bytes, sizeof boot) == 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    uint32_t handle = (uint32_t)strtoul(entry->d_name, NULL, 10);
    snprintf(path, sizeof path, "state/%s", entry->d_name);
    if (strstr(path, ".new") != NULL || (!is_of_this_boot && strstr(path, "boot_id") == NULL)) unlink(path);
    else if (isdigit(entry->d_name[0]) && handle < DM_ULOG_HANDLE_COUNT) states[handle] = state_map(path, 0);
  }
  memcpy(boot_of_files.bytes, boot, sizeof boot);
  close(fd);
  closedir(entries);
  return states;
}

/* One that is half made, the core refuses when it is restored. */
int state_create(const struct head *head) {
  char path[32];
  snprintf(path, sizeof path, "state/%u", head->handle);
  state_delete(head->handle);
  states[head->handle] = state_map(path, head->offset);
  return states[head->handle].bytes == NULL ? -errno : 0;
}

/* Requests write aligned words, of which no half may ever be there. A log without a file is not kept. */
/* Both copies, one after the other: a process that is killed between them must leave one of them whole. */
void state_write(const struct head *head, const uint8_t *bytes) {
  const struct state *state = &states[head->handle];
  for (int copy = 0; copy < 2 && state->bytes != NULL; copy++) {
    const uint64_t offset = copy == 0 ? head->offset : head->ticket;
    if (offset + head->size > state->size) abort();
    if (head->size == 8) *(volatile uint64_t *)(state->bytes + offset) = *(const uint64_t *)bytes;
    else memcpy(state->bytes + offset, bytes, head->size);
    __asm__ volatile("" ::: "memory");
  }
}

void state_delete(uint32_t handle) {
  char path[32];
  snprintf(path, sizeof path, "state/%u", handle);
  unlink(path);
  if (states[handle].bytes != NULL) munmap(states[handle].bytes, states[handle].size);
  states[handle] = (struct state){NULL, 0};
}
