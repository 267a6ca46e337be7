/* Jobs, on threads that may wait. Log devices are read past every cache; writes are durable when they are done. */
#include <stdatomic.h>

#include "appliance.h"

/* What direct I/O asks for. The core's images of devices begin, and what is written of them ends, on multiples of it. */
#define PAGE_BYTES 4096
/* Longer than a device needs for the writes of a server that was killed: it keeps the lock until they have ended. */
#define LOCK_ATTEMPTS 500
#define LOCK_RETRY_US 20000

/* By the kernel's own name for it, which every program knows, so that their locks meet. */
int open_block_device(dev_t device, int flags) {
  char link[64], target[256] = "/", path[264];
  snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(device), minor(device));
  if (readlink(link, target, sizeof target - 1) < 0) return -errno;
  snprintf(path, sizeof path, "/dev%s", strrchr(target, '/'));
  int fd = open(path, flags | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* Against other servers. A lock belongs to one opening, and a table reload opens a log again: `fd` becomes that opening. */
static int lock(int fd) {
  struct stat device, found;
  fstat(fd, &device);
  for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++, usleep(LOCK_RETRY_US)) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    pthread_mutex_lock(&mutex);
    for (uint32_t handle = 0; handle < DM_ULOG_HANDLE_COUNT; handle++) {
      int other = device_fds[handle];
      if (other == 0 || fstat(other, &found) < 0 || found.st_ino != device.st_ino || found.st_dev != device.st_dev) continue;
      dup2(other, fd);
    }
    pthread_mutex_unlock(&mutex);
  }
  return -EBUSY;
}

/* Opens a path or major:minor. */
static int open_log_device(struct job *job) {
  unsigned major_number, minor_number;
  struct stat *file = &job->file;
  if (sscanf(job->rest, "%u:%u", &major_number, &minor_number) == 2) file->st_rdev = makedev(major_number, minor_number);
  else if (stat(job->rest, file) < 0) return -errno;
  job->fd = S_ISREG(file->st_mode) ? open(job->rest, O_RDWR | O_CLOEXEC) : open_block_device(file->st_rdev, O_RDWR);
  if (job->fd < 0) return S_ISREG(file->st_mode) ? -errno : job->fd;
  job->bytes = (uint64_t)lseek(job->fd, 0, SEEK_END);
  int error = lock(job->fd);
  if (error != 0) close(job->fd);
  /* Direct I/O cannot write a tail that is no whole page, and some file systems do not have it: then without. */
  else if (job->bytes % PAGE_BYTES == 0) fcntl(job->fd, F_SETFL, O_DIRECT);
  return error;
}

static int error_of(ssize_t done, uint32_t wanted) { return done < 0 ? -errno : (size_t)done < wanted ? -EIO : 0; }

static int read_log_device(struct job *job) {
  job->data = aligned_alloc(PAGE_BYTES, DM_ULOG_READ_BYTES_MAX);
  return error_of(pread(job->fd, job->data, job->head.size, (off_t)job->head.offset), job->head.size);
}

static int write_log_device(struct job *batch) {
  int error = 0;
  for (struct job *job = batch; job != NULL && error == 0; job = job->more)
    error = error_of(pwrite(job->fd, job->data, job->head.size, (off_t)job->head.offset), job->head.size);
  return error == 0 && fdatasync(batch->fd) < 0 ? -errno : error;
}

/* Pointers to jobs go through a pipe to threads of which one is started when none is spare: no job waits for another. */
static int waiting[2];
static atomic_int spare_threads;

static void *work(void *unused) {
  for (struct job *job;; job_done(job)) {
    spare_threads++;
    if (read(waiting[0], &job, sizeof job) != sizeof job) return unused;
    switch (job->kind) {
      case DM_ULOG_EFFECT_KIND_OPEN: job->error = open_log_device(job); break;
      case DM_ULOG_EFFECT_KIND_READ: job->error = read_log_device(job); break;
      case DM_ULOG_EFFECT_KIND_WRITE: job->error = write_log_device(job); break;
      case DM_ULOG_EFFECT_KIND_CLOSE: close(job->fd); break;
      case DM_ULOG_EFFECT_KIND_FLUSH_LEGS: job->error = flush_legs(job); break;
    }
  }
}

void job_start(struct job *job) {
  pthread_t thread;
  if (waiting[1] == 0 && pipe2(waiting, O_CLOEXEC) < 0) err(1, "pipe");
  if (spare_threads-- <= 0 && pthread_create(&thread, NULL, work, NULL) == 0) pthread_detach(thread);
  if (write(waiting[1], &job, sizeof job) != sizeof job) err(1, "pipe");
}
