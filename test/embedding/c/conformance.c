/*
 * The machine of the appliance as `dm-ulog conformance` plays it, in the frames of docs/conformance.md. Its request loop, its
 * threads for devices and its state files are those of the appliance: conformance.h leads their system calls here.
 *
 * A frame is answered when every thread waits: for a job, for the answer to a call, or, the request loop, for a datagram. The
 * loop's thread then says IDLE and reads the next frame.
 *
 * usage: appliance-conformance RUNTIME_DIRECTORY
 */
#include "conformance.h"

#include <linux/netlink.h>
#include <signal.h>
#include <stdarg.h>

#include "appliance.h"

enum { START = 1, DATAGRAM, TIME, DONE, STOP };
enum { READY = 16, INPUT, SEND, OPEN, READ, WRITE, FLUSH, CLOSE, FLUSH_LEGS, IDLE };
#define PROTOCOL_VERSION 1
#define PAYLOAD_MAX (1 << 20)
#define FDS_MAX 1024
#define NS_PER_S 1000000000ull

/* How a payload begins: of a frame of the kit, of its DATAGRAM and DONE, of a call. */
struct from_kit { uint64_t now; union { uint32_t port, call; }; int32_t result; uint8_t data[]; };
struct to_kit { uint32_t call, device; uint64_t offset; };
#define DATAGRAM_HEAD offsetof(struct from_kit, result)

/* A call of a thread that waits for its answer. */
struct call { uint32_t number; int32_t result; void *data; size_t room; int is_done; struct call *next; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int out; /* for frames: what the appliance prints goes to standard error */
static int busy = 1; /* threads that do not wait */
static uint32_t calls_made;
static struct call *calls;
static uint64_t now_ns, timeout_ns;
static uint32_t device_of[FDS_MAX]; /* by descriptor: the kit's number */
static _Thread_local int has_job;
/* Of the device whose file was looked at and is opened next. */
static _Thread_local struct { uint32_t device; uint64_t size; } found;
static uint64_t boot;

static union { struct from_kit head; uint8_t bytes[PAYLOAD_MAX]; } frame;
static uint32_t frame_bytes;

static void read_all(void *bytes, size_t size) {
  for (ssize_t part; size > 0; size -= (size_t)part, bytes = (uint8_t *)bytes + part)
    if ((part = read(STDIN_FILENO, bytes, size)) <= 0) _exit(0); /* the kit has gone */
}

/* Reads a frame to where there is one, and returns its kind. */
static uint32_t read_frame(void) {
  uint32_t head[2];
  read_all(head, sizeof head);
  if (head[1] > sizeof frame) errx(1, "A frame of %u bytes", head[1]);
  read_all(frame.bytes, frame_bytes = head[1]);
  now_ns = frame.head.now;
  return head[0];
}

static void write_all(const void *bytes, size_t size) {
  for (ssize_t part; size > 0; size -= (size_t)part, bytes = (const uint8_t *)bytes + part)
    if ((part = write(out, bytes, size)) <= 0) _exit(0);
}

static void write_frame(uint32_t kind, const void *head, size_t head_size, const void *rest, size_t size) {
  write_all((uint32_t[]){kind, (uint32_t)(head_size + size)}, 8);
  write_all(head, head_size);
  write_all(rest, size);
}

/* Begins a call and waits for its answer: a number of 0 or more, or -1 with errno. */
static int32_t call_kit(uint32_t kind, struct to_kit head, const void *rest, size_t size, void *data, size_t room) {
  pthread_mutex_lock(&lock);
  struct call call = {.number = head.call = ++calls_made, .data = data, .room = room, .next = calls};
  calls = &call;
  write_frame(kind, &head, sizeof head, rest, size);
  busy--;
  pthread_cond_broadcast(&changed);
  while (!call.is_done) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  if (call.result >= 0) return call.result;
  errno = -call.result;
  return -1;
}

/* Gives the answer in the frame to the thread that waits for it, which is busy from now on. */
static void end_call(void) {
  struct call **link = &calls, *call;
  while (*link != NULL && (*link)->number != frame.head.call) link = &(*link)->next;
  if ((call = *link) == NULL) errx(1, "An answer to call %u, which is not under way", frame.head.call);
  *link = call->next;
  size_t size = frame_bytes - sizeof frame.head;
  if (call->room > 0) memcpy(call->data, frame.head.data, size < call->room ? size : call->room);
  call->result = frame.head.result;
  call->is_done = 1;
  busy++;
  pthread_cond_broadcast(&changed);
}

/* appliance.c: the kernel and the clock */

uint32_t kit_input(Z_dm_ulog_instance_t *core) {
  const uint8_t *input = Z_dm_ulogZ_memory(core)->data + DM_ULOG_INPUT_KIND;
  uint32_t size = *(const uint32_t *)(input + DM_ULOG_INPUT_PAYLOAD_SIZE - DM_ULOG_INPUT_KIND);
  if (size > DM_ULOG_INPUT_PAYLOAD_BYTES_MAX) size = DM_ULOG_INPUT_PAYLOAD_BYTES_MAX;
  pthread_mutex_lock(&lock);
  write_frame(INPUT, input, DM_ULOG_INPUT_PAYLOAD - DM_ULOG_INPUT_KIND + size, NULL, 0);
  pthread_mutex_unlock(&lock);
  return Z_dm_ulogZ_handleInput(core);
}

int kit_setsockopt(int socket, int level, int option, const void *value, socklen_t size) {
  const struct timeval *time = value;
  if (level == SOL_SOCKET && option == SO_RCVTIMEO)
    timeout_ns = (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * 1000;
  return (void)socket, (void)size, 0;
}

ssize_t kit_recvfrom(int socket, void *datagram, size_t room, int flags, struct sockaddr *from, socklen_t *from_size) {
  pthread_mutex_lock(&lock);
  const uint64_t end_ns = now_ns + (flags & MSG_DONTWAIT ? 0 : timeout_ns);
  ssize_t size = -1;
  for (int is_over = 0; !is_over;) {
    busy--;
    while (busy > 0) pthread_cond_wait(&changed, &lock);
    write_frame(IDLE, &end_ns, sizeof end_ns, NULL, 0);
    uint32_t kind = read_frame();
    busy++;
    is_over = kind != DONE;
    if (kind == DONE) end_call();
    else if (kind == STOP) raise(SIGTERM);
    else if (kind == DATAGRAM) {
      size = (ssize_t)(frame_bytes - DATAGRAM_HEAD);
      memcpy(datagram, frame.bytes + DATAGRAM_HEAD, (size_t)size < room ? (size_t)size : room);
      if ((flags & MSG_TRUNC) == 0 && (size_t)size > room) size = (ssize_t)room;
      ((struct sockaddr_nl *)from)->nl_pid = frame.head.port;
    }
  }
  pthread_mutex_unlock(&lock);
  errno = EAGAIN;
  return (void)socket, (void)from_size, size;
}

/* The kit's next frame is the answer to this one, whatever other threads wait for. */
ssize_t kit_sendto(int socket, const void *datagram, size_t size, int flags, const struct sockaddr *to, socklen_t to_size) {
  pthread_mutex_lock(&lock);
  write_frame(SEND, datagram, size, NULL, 0);
  read_frame();
  pthread_mutex_unlock(&lock);
  return (void)socket, (void)flags, (void)to, (void)to_size, (ssize_t)size;
}

int kit_clock_gettime(clockid_t clock, struct timespec *time) {
  *time = (struct timespec){(time_t)(now_ns / NS_PER_S), (long)(now_ns % NS_PER_S)};
  return (void)clock, 0;
}

/* jobs.c: a thread has a job from when it is handed over until it asks for the next one */

ssize_t kit_read_job(int pipe, void *job, size_t size) {
  pthread_mutex_lock(&lock);
  busy -= has_job;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  has_job = 1;
  return read(pipe, job, size);
}

ssize_t kit_write_job(int pipe, const void *job, size_t size) {
  pthread_mutex_lock(&lock);
  busy++;
  pthread_mutex_unlock(&lock);
  return write(pipe, job, size);
}

/* A block device's own name: here its numbers, which the link has. */
ssize_t kit_readlink(const char *link, char *target, size_t room) {
  return snprintf(target, room, "/%s", strrchr(link, '/') + 1);
}

int kit_stat(const char *name, struct stat *file) {
  struct { uint64_t size; uint32_t major, minor; uint64_t file_system, inode; } facts;
  int32_t device = call_kit(OPEN, (struct to_kit){0}, name, strlen(name), &facts, sizeof facts);
  if (device < 0) return -1;
  file->st_mode = facts.major == 0 && facts.minor == 0 ? S_IFREG : S_IFBLK;
  file->st_rdev = makedev(facts.major, facts.minor);
  file->st_dev = facts.file_system;
  file->st_ino = facts.inode;
  found.device = (uint32_t)device;
  found.size = facts.size;
  return 0;
}

/* The descriptor is of a file of the same size: it can be locked and measured, and has no content. */
int kit_open_device(const char *name, int flags) {
  struct stat unused;
  if (strncmp(name, "/dev/", 5) == 0 && kit_stat(name + 5, &unused) < 0) return -1;
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || fd >= FDS_MAX || ftruncate(fd, (off_t)found.size) < 0) err(1, "%s", name);
  device_of[fd] = found.device;
  return (void)flags, fd;
}

int kit_close_device(int fd) {
  pthread_mutex_lock(&lock);
  write_frame(CLOSE, &(struct to_kit){.device = device_of[fd]}, sizeof(struct to_kit), NULL, 0);
  pthread_mutex_unlock(&lock);
  return close(fd);
}

ssize_t kit_pread(int fd, void *bytes, size_t size, off_t offset) {
  const uint32_t wanted = (uint32_t)size;
  return call_kit(READ, (struct to_kit){0, device_of[fd], (uint64_t)offset}, &wanted, sizeof wanted, bytes, size);
}

ssize_t kit_pwrite(int fd, const void *bytes, size_t size, off_t offset) {
  return call_kit(WRITE, (struct to_kit){0, device_of[fd], (uint64_t)offset}, bytes, size, NULL, 0);
}

int kit_fdatasync(int fd) { return call_kit(FLUSH, (struct to_kit){.device = device_of[fd]}, NULL, 0, NULL, 0); }

/* In place of legs.c. */
int flush_legs(const struct job *job) {
  const char *uuid = job->rest + (DM_ULOG_FLUSH_LEGS_UUID - DM_ULOG_HEAD_BYTES);
  return call_kit(FLUSH_LEGS, (struct to_kit){0}, job->rest, sizeof(uint64_t) + strlen(uuid), NULL, 0) < 0 ? -errno : 0;
}

/* state-files.c: all is real but the kernel's name for this boot */
int kit_open_state(const char *path, int flags, ...) {
  if (strcmp(path, "/proc/sys/kernel/random/boot_id") != 0) {
    va_list rest;
    va_start(rest, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(rest, int) : 0;
    va_end(rest);
    return open(path, flags, mode);
  }
  int fd = memfd_create("boot_id", MFD_CLOEXEC);
  dprintf(fd, "%036llu\n", (unsigned long long)boot);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

int main(int argc, char **argv) {
  if ((out = dup(STDOUT_FILENO)) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) err(1, "standard output");
  if (read_frame() != START) errx(1, "The first frame is no START.");
  memcpy(&boot, frame.bytes + sizeof(uint64_t), sizeof boot);
  write_frame(READY, (uint32_t[]){PROTOCOL_VERSION, DM_ULOG_ABI_VERSION}, 8, NULL, 0);
  return appliance_main(argc, argv);
}
