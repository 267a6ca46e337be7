#include "state-files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "die.h"
#include "resident-file.h"
#include "say.h"
#include "set-aside.h"

#define FOLDER "state"
#define UNFINISHED ".new"
#define BOOT_ID FOLDER "/boot_id"
#define LAST_REQUEST FOLDER "/last_request"
/* A UUID and a line feed. */
#define BOOT_ID_BYTES 37
/* Where whatever makes a file a log's state stands: all copies of its header. */
#define HEADER_BYTES_MAX 4096
/* More than the largest log's state takes, which is twice three bits for each of 2^32 regions. */
#define STATE_BYTES_MAX (1ull << 32)
#define PATH_BYTES 320

/* A file larger than this is taken, and given back, in pieces: each page of it costs about 0.5 us. */
#define PIECE_BYTES (1ull << 20)
/* So many descriptors and no more are kept for that: a process has 1,024 where nobody allows more. */
#define DESCRIPTORS_MAX 512

/* `fd` is open, and not 0, while not all of the file's space is taken. */
static struct state { uint8_t *bytes; uint64_t size; int fd; } states[DM_ULOG_HANDLE_COUNT];
/* What was removed and is still to be given back. */
static struct state removed[DM_ULOG_HANDLE_COUNT];
static unsigned removed_count;
volatile struct request_numbers *requests;

static void path_of(char *path, uint32_t handle, const char *ending) {
  snprintf(path, PATH_BYTES, FOLDER "/%u%s", handle, ending);
}

/* Maps a file of that size, made where it is missing. The space of a small one is taken: no store finds none left. */
static int map(struct state *state, const char *path, uint64_t size, int flags) {
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (fd < 0) return -errno;
  bool is_small = size <= PIECE_BYTES || fd > DESCRIPTORS_MAX;
  void *bytes = is_small ? resident_file_map(fd, size) : resident_file_reserve(fd, size);
  int error = bytes == NULL ? errno : 0;
  if (error == 0) *state = (struct state){bytes, size, is_small ? 0 : fd};
  if (error != 0 || is_small) close(fd);
  return -error;
}

/* Takes the space of a piece that may not have been. */
static bool take(const struct state *state, uint64_t offset, uint64_t size) {
  return state->fd == 0 || resident_file_take(state->fd, state->bytes, offset, size);
}

/* All of the file's space is taken. */
static void complete(struct state *state) {
  if (state->fd != 0) close(state->fd);
  state->fd = 0;
}

/* Unmaps a file that has no name any more, a large one piece by piece. */
static void give_back(uint32_t handle) {
  struct state *state = &states[handle];
  complete(state);
  if (state->bytes == NULL) return;
  if (state->size <= PIECE_BYTES || removed_count == DM_ULOG_HANDLE_COUNT) munmap(state->bytes, state->size);
  else removed[removed_count++] = *state;
  *state = (struct state){NULL, 0, 0};
}

/* ---- At the start */

static void read_boot_id(char *boot_id) {
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, boot_id, BOOT_ID_BYTES) != BOOT_ID_BYTES) die("This kernel does not tell its boot id.");
  close(fd);
}

static bool is_of_boot(const char *boot_id) {
  char found[BOOT_ID_BYTES];
  int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  bool is_same = fd >= 0 && read(fd, found, sizeof found) == sizeof found && memcmp(found, boot_id, sizeof found) == 0;
  if (fd >= 0) close(fd);
  return is_same;
}

static void write_boot_id(const char *boot_id) {
  int fd = open(BOOT_ID UNFINISHED, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || write(fd, boot_id, BOOT_ID_BYTES) != BOOT_ID_BYTES || rename(BOOT_ID UNFINISHED, BOOT_ID) < 0)
    die("The runtime directory takes no files: %s.", strerror(errno));
  close(fd);
}

/* The handle in the name of a log's file, or HANDLE_COUNT. */
static uint32_t handle_of(const char *name) {
  size_t digits = strspn(name, "0123456789");
  if (digits == 0 || digits > 9 || (name[0] == '0' && digits > 1)) return DM_ULOG_HANDLE_COUNT;
  if (name[digits] != 0 && strcmp(name + digits, UNFINISHED) != 0) return DM_ULOG_HANDLE_COUNT;
  unsigned long handle = strtoul(name, NULL, 10);
  return handle < DM_ULOG_HANDLE_COUNT ? (uint32_t)handle : DM_ULOG_HANDLE_COUNT;
}

static bool is_ours(const char *name) {
  return strncmp(name, "boot_id", 7) == 0 || strncmp(name, "last_request", 12) == 0 || handle_of(name) < DM_ULOG_HANDLE_COUNT;
}

static void map_state(const char *path, uint32_t handle) {
  struct stat file;
  if (lstat(path, &file) < 0) return;
  if (file.st_size == 0) set_aside(path, "is empty");
  else if ((uint64_t)file.st_size > STATE_BYTES_MAX) set_aside(path, "has more bytes than any log's state");
  else if (map(&states[handle], path, (uint64_t)file.st_size, 0) < 0) set_aside(path, "cannot be read, and is taken for lost");
}

/* Returns whether something of another boot is still there. */
static bool tidy(bool is_same_boot) {
  bool is_left = false;
  DIR *entries = opendir(FOLDER);
  if (entries == NULL) die("The folder of state files cannot be read: %s.", strerror(errno));
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    char path[PATH_BYTES];
    struct stat file;
    const char *name = entry->d_name;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || lstat(path, &file) < 0) continue;
    if (!S_ISREG(file.st_mode)) is_left |= !set_aside(path, "is no regular file");
    else if (!is_ours(name)) is_left |= !set_aside(path, "is no file of this server");
    else if (!is_same_boot || strstr(name, UNFINISHED) != NULL) {
      if (unlink(path) < 0) is_left |= !set_aside(path, "cannot be removed");
    } else if (isdigit((unsigned char)name[0])) map_state(path, handle_of(name));
  }
  closedir(entries);
  return is_left;
}

void states_open(void) {
  char boot_id[BOOT_ID_BYTES];
  struct state numbers;
  read_boot_id(boot_id);
  mkdir(FOLDER, 0700);
  bool is_same_boot = is_of_boot(boot_id), is_left = tidy(is_same_boot);
  /* While something of another boot is still there, the next server must not take it for this boot's. */
  if (!is_same_boot && !is_left) write_boot_id(boot_id);
  int error = map(&numbers, LAST_REQUEST, sizeof *requests, O_CREAT);
  if (error < 0) say(WARNING, "What the kernel asked last is not kept: %s.", strerror(-error));
  requests = error < 0 ? calloc(1, sizeof *requests) : (void *)numbers.bytes;
  if (requests == NULL) die("There is no memory for what the kernel asked last.");
  if (requests->waiting_count > WAITING_MAX) requests->waiting_count = WAITING_MAX;
}

uint64_t state_size(uint32_t handle) { return states[handle].size; }

void state_read(uint32_t handle, uint64_t offset, void *bytes, uint64_t size) {
  const struct state *state = &states[handle];
  take(state, offset, size);
  memcpy(bytes, state->bytes + offset, size);
}

/* ---- While the server runs */

int state_create(const struct head *head) {
  char path[PATH_BYTES], unfinished[PATH_BYTES];
  path_of(path, head->handle, "");
  path_of(unfinished, head->handle, UNFINISHED);
  state_delete(head->handle);
  int error = map(&states[head->handle], unfinished, head->offset, O_CREAT | O_TRUNC);
  if (error == 0 && rename(unfinished, path) < 0) error = -errno;
  if (error == 0) return 0;
  unlink(unfinished);
  give_back(head->handle);
  return error;
}

/*
 * Requests write aligned words, of which no half may ever be there. What is written stands twice; of a process that is killed
 * between the two, one is whole. The core writes all of a new file before anything else, and its header last.
 */
int state_write(const struct head *head, const uint8_t *bytes) {
  struct state *state = &states[head->handle];
  if (state->bytes == NULL) return 0;
  for (int copy = 0; copy < 2; copy++) {
    uint64_t offset = copy == 0 ? head->offset : head->ticket;
    if (offset > state->size || head->size > state->size - offset) die("The core writes beyond the end of a state file.");
    if (!take(state, offset, head->size)) {
      int error = -errno;
      state_delete(head->handle);
      return error;
    }
    if (head->size == 8 && offset % 8 == 0) *(volatile uint64_t *)(state->bytes + offset) = *(const uint64_t *)bytes;
    else memcpy(state->bytes + offset, bytes, head->size);
    __asm__ volatile("" ::: "memory");
  }
  if (head->offset == 0) complete(state);
  return 0;
}

/* What cannot be removed begins with zeros, so that no server takes it for the state of a log. */
int state_delete(uint32_t handle) {
  char path[PATH_BYTES];
  const struct state *state = &states[handle];
  uint64_t head_bytes = state->size < HEADER_BYTES_MAX ? state->size : HEADER_BYTES_MAX;
  if (state->bytes != NULL && take(state, 0, head_bytes)) memset(state->bytes, 0, head_bytes);
  path_of(path, handle, "");
  int error = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
  give_back(handle);
  return error;
}

bool states_to_give_back(void) { return removed_count > 0; }

void states_give_back(void) {
  struct state *last = &removed[removed_count - 1];
  uint64_t size = last->size % PIECE_BYTES == 0 ? PIECE_BYTES : last->size % PIECE_BYTES;
  uint8_t *piece = last->bytes + last->size - size;
  /* The pages of a file go with its last mapping: all at once, unless they are punched out before. */
  munlock(piece, size);
  madvise(piece, size, MADV_REMOVE);
  munmap(piece, size);
  last->size -= size;
  if (last->size == 0) removed_count--;
}
