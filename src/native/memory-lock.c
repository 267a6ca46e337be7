#include "memory-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "say.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
/* A write to a log device needs less. */
#define STACK_BYTES 8192

static int avoid_oom_killer(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, "-1000", 5);
  close(fd);
  return written == 5 ? 0 : -1;
}

void touch_stack(void) {
  volatile char stack[STACK_BYTES];
  for (unsigned i = 0; i < sizeof stack; i += 1024) stack[i] = 0;
}

/* Where locks are forbidden, `lock_memory` has said so. */
void keep_resident(const void *at, uint64_t bytes) { mlock(at, bytes); }

/* A page that was mapped for reading faults once more when it is written first, on a machine that keeps its marks in software. */
void keep_resident_to_write(void *at, uint64_t bytes) {
  /* All at once, where the kernel has it (Linux 5.14): what comes into use is locked then. */
  if (madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return;
  keep_resident(at, bytes);
  for (uint64_t offset = 0; offset < bytes; offset += 4096) __atomic_fetch_or((uint8_t *)at + offset, 0, __ATOMIC_RELAXED);
}

void keep_program_resident(bool is_written_too) {
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "re");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    char access[5];
    if (sscanf(line, "%lx-%lx %4s", &from, &to, access) != 3 || access[0] != 'r' || access[3] != 'p') continue;
    if (access[1] == 'w' && !is_written_too) continue;
    /* Pages of the kernel itself, [vdso] and [vvar], are always there. */
    if (strstr(line, " [v") == NULL) keep_resident((void *)from, to - from);
  }
  if (maps != NULL) fclose(maps);
}

/* `sentence` has one %s, for the reason. */
static void warn_unless(bool is_done, bool is_first, const char *sentence) {
  if (!is_done && is_first) say(WARNING, sentence, strerror(errno));
}

void lock_memory(bool is_first) {
  setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
  touch_stack();
  /* What is reserved and not used yet, which is gigabytes, is locked as it comes into use. */
  warn_unless(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0, is_first,
              "The server's memory cannot be locked (%s): when memory runs out, it may wait for its own mirrors. It takes "
              "CAP_IPC_LOCK.");
  warn_unless(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0, is_first,
              "PR_SET_IO_FLUSHER cannot be set (%s; it takes CAP_SYS_RESOURCE and Linux 5.6): when memory runs out, the server "
              "may wait for its own mirrors.");
  warn_unless(avoid_oom_killer() == 0, is_first,
              "The kernel may choose this server when it runs out of memory: oom_score_adj cannot be set (%s).");
}

void run_in_real_time(uint32_t priority) {
  if (priority == 0) return;
  struct sched_param parameters = {.sched_priority = (int)priority};
  if (sched_setscheduler(0, SCHED_RR, &parameters) < 0)
    say(WARNING, "The server cannot run with real-time priority %u (%s; it takes CAP_SYS_NICE).", priority, strerror(errno));
}

void keep_capabilities(uint64_t kept) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return;
  for (unsigned i = 0; i < 2; i++) {
    data[i].permitted &= (uint32_t)(kept >> 32 * i);
    data[i].effective = data[i].permitted;
    data[i].inheritable = 0;
  }
  /* A unit that forbids the call has bounded the capabilities itself. */
  if (syscall(SYS_capset, &header, data) < 0 && errno != EPERM) say(WARNING, "Capabilities cannot be given up: %s.", strerror(errno));
}
