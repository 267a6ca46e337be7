#include "device-process.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "futex.h"
#include "leg-flushes.h"
#include "lock-registry.h"
#include "log-device.h"
#include "memory-lock.h"
#include "own-thread.h"
#include "seccomp.h"
#include "shared.h"
#include "watch.h"

#define END_TRIES 1000
#define END_TRY_NS 1000000

static void start_device(unsigned number) {
  if (start_own_thread(serve_device, number) == 0) return;
  shared->places[number].error = -EAGAIN;
  job_done(number);
}

static void *take_jobs(void *unused) {
  for (unsigned taken = 0;;) {
    unsigned rings = atomic_load(&shared->asked_rings);
    if (atomic_load(&shared->asked) == taken) futex_wait(&shared->asked_rings, rings, 0);
    for (; taken != atomic_load(&shared->asked); taken++) {
      unsigned job = shared->asked_jobs[taken % (JOBS * 2)];
      if (job < PLACES) start_device(job);
      else start_flush(job - PLACES);
    }
  }
  return unused;
}

static _Noreturn void run(pid_t server) {
  pthread_t thread;
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != server) _exit(1);
  prctl(PR_SET_NAME, "dm-ulogd:devices");
  log_ring = NULL; /* its own sentences are written where they come up */
  lock_memory(false);
  keep_program_resident(false);
  forbid_system_calls();
  console_start();
  lock_registry_start();
  leg_flushes_start();
  if ((errno = pthread_create(&thread, NULL, take_jobs, NULL)) != 0) err(1, "a thread for devices");
  if ((errno = start_own_thread(watch, 0)) != 0) err(1, "a thread that looks at the machine");
  write_log(&shared->log);
  _exit(0);
}

static pid_t pid;

bool device_process_has_ended(void) { return waitpid(pid, NULL, WNOHANG) != 0; }

pid_t device_process_start(void) {
  pid_t server = getpid();
  pid = fork();
  if (pid < 0) err(1, "a process for devices");
  if (pid == 0) run(server);
  log_ring = &shared->log;
  return pid;
}

void device_process_end(bool hangs) {
  log_end();
  for (int tries = 0; tries < END_TRIES && waitpid(pid, NULL, WNOHANG) == 0 && !(hangs && log_is_written()); tries++)
    nanosleep(&(struct timespec){0, END_TRY_NS}, NULL);
}
