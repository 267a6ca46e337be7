#include "claim.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "say.h"
#include "set-aside.h"

#define CONTROL "/dev/mapper/control"
#define LOCK "lock"
#define HOLDERS_MAX 8

static int directory_fd = -1, machine_fd = -1;

static bool file_has(const char *path, const char *words) {
  char text[4096];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[size < 0 ? 0 : size] = 0;
  return strstr(text, words) != NULL;
}

static uint64_t capabilities(void) {
  char line[256];
  unsigned long long found = 0;
  FILE *status = fopen("/proc/self/status", "re");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) sscanf(line, "CapEff: %llx", &found);
  if (status != NULL) fclose(status);
  return found;
}

void check_prerequisites(void) {
  uint64_t needed = 1ull << CAP_NET_ADMIN | 1ull << CAP_SYS_ADMIN;
  if ((capabilities() & needed) != needed)
    errx(1, "The privilege to answer the kernel is missing (CAP_NET_ADMIN and CAP_SYS_ADMIN): the kernel silently drops replies "
            "from other processes. Start the server as root.");
  if (access("/proc/net/connector", R_OK) < 0)
    errx(1, "This kernel has no connector (CONFIG_CONNECTOR). Type: sudo modprobe cn");
  if (!file_has("/proc/net/connector", "7:1"))
    errx(1, "The kernel module dm-log-userspace is not loaded. Type: sudo modprobe dm-log-userspace");
}

void enter_runtime_directory(const char *path) {
  struct stat found;
  struct statfs system;
  if (mkdir(path, 0700) < 0 && errno != EEXIST) err(1, "%s", path);
  if (stat(path, &found) < 0) err(1, "%s", path);
  if (!S_ISDIR(found.st_mode)) errx(1, "%s is no directory. Remove it, or name another with --runtime-dir.", path);
  if (found.st_uid != geteuid())
    errx(1, "%s belongs to user %u. Remove it, or name another with --runtime-dir.", path, found.st_uid);
  if (chmod(path, 0700) < 0 || chdir(path) < 0) err(1, "%s", path);
  if (statfs(".", &system) == 0 && system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC)
    say(WARNING,
        "%s is on a disk: the server may have to wait for it before it answers the kernel. Name a directory on a tmpfs, as /run "
        "is, with --runtime-dir.",
        path);
}

/* Whether a process was killed and only cannot leave. One that cannot be looked at is taken to live. */
static bool is_dead(long pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[size < 0 ? 0 : size] = 0;
  const char *end = strrchr(text, ')');
  return end != NULL && (end[2] == 'Z' || end[2] == 'X');
}

/* Other processes with a lock (flock) on an open file. */
static unsigned holders_of(int fd, long *holders) {
  char line[256], wanted[64], where[64];
  struct stat file;
  long pid;
  unsigned count = 0;
  fstat(fd, &file);
  snprintf(wanted, sizeof wanted, "%02x:%02x:%lu", major(file.st_dev), minor(file.st_dev), (unsigned long)file.st_ino);
  FILE *locks = fopen("/proc/locks", "re");
  /* 1: FLOCK  ADVISORY  READ 1234 00:06:1057 0 EOF */
  while (locks != NULL && count < HOLDERS_MAX && fgets(line, sizeof line, locks) != NULL)
    if (sscanf(line, "%*s FLOCK %*s %*s %ld %63s", &pid, where) == 2 && strcmp(where, wanted) == 0 && pid != getpid())
      holders[count++] = pid;
  if (locks != NULL) fclose(locks);
  return count;
}

static int open_lock(void) {
  int fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) err(1, "the lock of the runtime directory");
  return fd;
}

static void claim_directory(void) {
  struct stat found;
  if (lstat(LOCK, &found) == 0 && !S_ISREG(found.st_mode)) set_aside(LOCK, "is no regular file");
  int fd = open_lock();
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    char pid[32] = "";
    if (read(fd, pid, sizeof pid - 1) < 0) pid[0] = 0;
    pid[strcspn(pid, "\n")] = 0;
    /* A server that was killed while it hangs keeps the lock of a file that nobody needs. */
    if (is_dead(strtol(pid, NULL, 10))) unlink(LOCK);
    close(fd);
    fd = open_lock();
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
      errx(1, "dm-ulog serves this machine already (process %s). See it with: dm-ulog status", pid);
  }
  if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", getpid()) < 0) err(1, "the lock of the runtime directory");
  directory_fd = fd;
}

static void claim_machine(int is_forced) {
  int fd = open(CONTROL, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    say(WARNING, "Whether another server serves this machine cannot be seen, since " CONTROL " cannot be opened (%s).",
        strerror(errno));
    return;
  }
  machine_fd = fd;
  bool is_alone = flock(fd, LOCK_EX | LOCK_NB) == 0;
  /* The kernel lets go of the one before it takes the other: another server may have come between. */
  bool is_shared = flock(fd, LOCK_SH | LOCK_NB) == 0;
  if (is_alone && is_shared) return;
  long holders[HOLDERS_MAX], living = 0;
  unsigned count = holders_of(fd, holders);
  for (unsigned i = 0; i < count; i++)
    if (!is_dead(holders[i])) living = holders[i];
  if (is_shared && count > 0 && living == 0) return;
  char who[64] = "in a container that cannot be seen from here";
  if (living != 0) snprintf(who, sizeof who, "process %ld", living);
  if (!is_forced)
    errx(1, "Another dm-ulog serves this machine (%s). Two servers with two opinions of a mirror destroy it. End that one first; "
            "if it cannot answer the kernel any more: dm-ulog serve --force", who);
  say(WARNING, "Another dm-ulog serves this machine (%s). Two servers with two opinions of a mirror destroy it. This one was told "
               "to serve all the same (--force).", who);
}

void claim(int is_forced) {
  claim_directory();
  claim_machine(is_forced);
}

void claim_release(void) {
  close(directory_fd);
  close(machine_fd);
}

long claim_holder(void) {
  char pid[32] = "";
  int fd = open(LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return 0;
  bool is_held = flock(fd, LOCK_SH | LOCK_NB) < 0;
  if (read(fd, pid, sizeof pid - 1) < 0) pid[0] = 0;
  close(fd);
  return is_held ? strtol(pid, NULL, 10) : 0;
}

static void expect(const char *path, mode_t kind, const char *oddity) {
  struct stat found;
  if (lstat(path, &found) == 0 && (found.st_mode & S_IFMT) != kind) set_aside(path, oddity);
}

void tidy_runtime_directory(void) {
  static const char *const files[] = {"flight-recorder", "flight-recorder.lost", "server"};
  static const char *const directories[] = {"state", "nodes", "crashes", "set-aside"};
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) expect(files[i], S_IFREG, "is no regular file");
  for (unsigned i = 0; i < sizeof directories / sizeof *directories; i++) expect(directories[i], S_IFDIR, "is no directory");
  expect("keeper", S_IFSOCK, "is no socket");
  unlink("control.sock"); /* of the other host: nobody answers there */
}
