#include "resident-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory-lock.h"

void *resident_file_map(int fd, uint64_t bytes) {
  errno = posix_fallocate(fd, 0, (off_t)bytes);
  void *mapped = errno == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  if (mapped == MAP_FAILED) return NULL;
  keep_resident_to_write(mapped, bytes);
  return mapped;
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
