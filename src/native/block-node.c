#include "block-node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NODES "nodes"
#define PATH_BYTES 300

bool parse_numbers(const char *text, dev_t *device) {
  unsigned major_number, minor_number;
  int end = -1;
  if (text[0] < '0' || text[0] > '9') return false;
  if (sscanf(text, "%u:%u%n", &major_number, &minor_number, &end) != 2 || text[end] != 0) return false;
  *device = makedev(major_number, minor_number);
  return true;
}

static bool is_node_of(const char *path, dev_t device) {
  struct stat found;
  return stat(path, &found) == 0 && S_ISBLK(found.st_mode) && found.st_rdev == device;
}

/* Takes the path from the line DEVNAME=… of the device's uevent. */
static bool kernels_path(char *path, dev_t device) {
  char name[64], text[1024], word[200];
  snprintf(name, sizeof name, "/sys/dev/block/%u:%u/uevent", major(device), minor(device));
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[size < 0 ? 0 : size] = 0;
  const char *line = strstr(text, "DEVNAME=");
  if (line == NULL || sscanf(line, "DEVNAME=%199[^\n]", word) != 1) return false;
  snprintf(path, PATH_BYTES, "/dev/%s", word);
  return is_node_of(path, device);
}

static bool find_or_make(char *path, dev_t device) {
  if (kernels_path(path, device)) return true;
  snprintf(path, PATH_BYTES, "/dev/block/%u:%u", major(device), minor(device));
  if (is_node_of(path, device)) return true;
  mkdir(NODES, 0700);
  snprintf(path, PATH_BYTES, NODES "/%u:%u", major(device), minor(device));
  return is_node_of(path, device) || mknod(path, S_IFBLK | 0600, device) == 0;
}

int open_block_device(dev_t device, int flags) {
  char path[PATH_BYTES];
  if (!find_or_make(path, device)) return -errno;
  int fd = open(path, flags | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}
