#include "resident-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory-lock.h"

#define PAGE_BYTES 4096

void *resident_file_reserve(int fd, uint64_t bytes) {
  struct stat file;
  if (fstat(fd, &file) < 0 || ((uint64_t)file.st_size < bytes && ftruncate(fd, (off_t)bytes) < 0)) return NULL;
  void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return mapped == MAP_FAILED ? NULL : mapped;
}

bool resident_file_take(int fd, uint8_t *mapped, uint64_t offset, uint64_t bytes) {
  uint64_t before = offset % PAGE_BYTES;
  errno = posix_fallocate(fd, (off_t)offset, (off_t)bytes);
  if (errno != 0) return false;
  keep_resident_to_write(mapped + offset - before, bytes + before);
  return true;
}

void *resident_file_map(int fd, uint64_t bytes) {
  uint8_t *mapped = resident_file_reserve(fd, bytes);
  if (mapped == NULL || resident_file_take(fd, mapped, 0, bytes)) return mapped;
  int error = errno;
  munmap(mapped, bytes);
  errno = error;
  return NULL;
}

void *resident_file_make(uint64_t bytes, int *fd) {
  *fd = open(".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  void *mapped = *fd < 0 ? NULL : resident_file_map(*fd, bytes);
  if (mapped == NULL && *fd >= 0) {
    int error = errno;
    close(*fd);
    errno = error;
  }
  return mapped;
}

bool resident_file_name(int fd, const char *name) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  bool is_named = linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
  int error = errno;
  close(fd);
  errno = error;
  return is_named;
}
