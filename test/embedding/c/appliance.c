/*
 * A server for the kernel's userspace dirty logs in plain C. Its request loop waits for datagrams alone; what may wait for
 * a device is a job for other threads. Whoever has something for the core takes the mutex, gives it the input, and does
 * all that the core asks for before letting go.
 *
 * usage: appliance RUNTIME_DIRECTORY [QUIET_MS [KERNEL_PORT]]
 */
#include <linux/connector.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "appliance.h"
#include "core.h"

#define NS_PER_S 1000000000ull
/* Less than the 15 s after which the kernel asks again. */
#define FLUSH_LEGS_NS (10 * NS_PER_S)
/* How late the request loop may notice that a time has come. */
#define LOOK_US 100000
/* A server that stops has answered all when nothing comes for so long. It waits no longer than the second for devices. */
#define STOP_SILENCE_US 5000
#define STOP_NS (3 * NS_PER_S / 2)
/* Room for a few thousand requests: one that is dropped waits 15 s. */
#define RECEIVE_BUFFER_BYTES (4 << 20)
/* More requests than a kernel has under way at once. */
#define RECALLED 256

/* What stands at an address of linear memory. */
#define U32(address) (*(uint32_t *)(memory + (address)))
#define U64(address) (*(uint64_t *)(memory + (address)))
#define HEAD(address) (*(struct head *)(memory + (address)))
#define PAYLOAD DM_ULOG_INPUT_PAYLOAD
#define SET(level, option, type, ...) setsockopt(netlink, level, option, &(type){__VA_ARGS__}, sizeof(type))

/* Never waits: a thread prints what goes through the pipe, and what that has no room for is lost. */
#define SAY(...) dprintf(lines[1], __VA_ARGS__)

int device_fds[DM_ULOG_HANDLE_COUNT];
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Z_dm_ulog_instance_t core;
static uint8_t *memory; /* It grows where it is: an address in it stays good, also without the mutex. */
static uint64_t now_ns, wake_ns, jobs_under_way;
/* By handle: the job that the core waits for, and the one that has a thread. One that hangs keeps the next from a thread. */
static struct { struct job *asked, *running; } flushes[DM_ULOG_HANDLE_COUNT];
static int netlink, lines[2];
static struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
static volatile sig_atomic_t is_stop_asked;

static void *print(void *unused) {
  char text[4096];
  for (ssize_t size = 1; size > 0 && (size = read(lines[0], text, sizeof text)) > 0;)
    size = write(STDOUT_FILENO, text, (size_t)size);
  return unused;
}

static void on_signal(int signal) { is_stop_asked = signal; }

/* Once for each input, and for all that comes of it. */
static void read_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void send_to_kernel(const void *datagram, size_t size) {
  if (sendto(netlink, datagram, size, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
    SAY("a reply could not be sent: errno %d\n", errno);
}

static void say_notice(uint32_t at) {
#define WORDS(code, words) [code] = words,
  static const char *const known[256] = {DM_ULOG_NOTICES(WORDS)};
  uint32_t code = U32(at + DM_ULOG_NOTICE_CODE);
  SAY("%s: %s (notice %u), detail %llu, errno %d\n", (char *)memory + at + DM_ULOG_NOTICE_UUID, known[code % 256], code,
      (unsigned long long)U64(at + DM_ULOG_NOTICE_DETAIL), -(int32_t)U32(at + DM_ULOG_NOTICE_ERROR));
}

static struct job *make_job(uint32_t kind, uint32_t at, uint32_t bytes) {
  struct job *job = calloc(1, sizeof *job + bytes);
  if (job == NULL) err(1, "job");
  job->kind = kind;
  job->head = HEAD(at);
  memcpy(job->rest, memory + at + DM_ULOG_HEAD_BYTES, bytes - DM_ULOG_HEAD_BYTES);
  job->fd = device_fds[job->head.handle];
  return job;
}

static void start(struct job *job) {
  jobs_under_way++;
  job_start(job);
}

static void start_flush(uint32_t handle) {
  if (flushes[handle].running != NULL || flushes[handle].asked == NULL) return;
  flushes[handle].running = flushes[handle].asked;
  start(flushes[handle].running);
}

/* Does what the core asks for, in order. Writes that it asks for at once are one job. */
static void carry_out(uint32_t size) {
  struct job *batch = NULL, *job;
  for (uint32_t at = DM_ULOG_EFFECTS + DM_ULOG_EFFECT_PAYLOAD, end = at + size; at < end;) {
    uint32_t kind = U32(at - DM_ULOG_EFFECT_PAYLOAD + DM_ULOG_EFFECT_KIND);
    uint32_t bytes = U32(at - DM_ULOG_EFFECT_PAYLOAD + DM_ULOG_EFFECT_PAYLOAD_SIZE);
    const struct head *head = &HEAD(at);
    switch (kind) {
      case DM_ULOG_EFFECT_KIND_SEND: send_to_kernel(memory + at, bytes); break;
      case DM_ULOG_EFFECT_KIND_NOTICE: say_notice(at); break;
      case DM_ULOG_EFFECT_KIND_WAKE: wake_ns = U64(at + DM_ULOG_WAKE_TIME); break;
      case DM_ULOG_EFFECT_KIND_OPEN: case DM_ULOG_EFFECT_KIND_READ: case DM_ULOG_EFFECT_KIND_CLOSE:
        start(make_job(kind, at, bytes));
        if (kind == DM_ULOG_EFFECT_KIND_CLOSE) device_fds[head->handle] = 0;
        break;
      case DM_ULOG_EFFECT_KIND_WRITE:
        job = make_job(kind, at, bytes);
        job->data = memory + U32(at + DM_ULOG_WRITE_ADDRESS);
        if (batch != NULL && batch->head.handle == head->handle) job->more = batch;
        else if (batch != NULL) start(batch);
        batch = job;
        break;
      case DM_ULOG_EFFECT_KIND_FLUSH_LEGS:
        flushes[head->handle].asked = job = make_job(kind, at, bytes);
        job->due_ns = now_ns + FLUSH_LEGS_NS;
        start_flush(head->handle);
        break;
      case DM_ULOG_EFFECT_KIND_STATE_CREATE:
        if (state_create(head) < 0) SAY("log %u: its state is not kept\n", head->handle);
        break;
      case DM_ULOG_EFFECT_KIND_STATE_WRITE: state_write(head, memory + U32(at + DM_ULOG_WRITE_ADDRESS)); break;
      case DM_ULOG_EFFECT_KIND_STATE_DELETE: state_delete(head->handle); break;
      default: errx(1, "The core asks for effect %u, which is not known here", kind);
    }
    at += ((bytes + 7) & ~7u) + DM_ULOG_EFFECT_PAYLOAD;
  }
  if (batch != NULL) start(batch);
}

/* Gives the core an input whose payload stands in its place. */
static void input(uint32_t kind, uint32_t size, uint32_t port) {
  U32(DM_ULOG_INPUT_KIND) = kind;
  U32(DM_ULOG_INPUT_PAYLOAD_SIZE) = size;
  U32(DM_ULOG_INPUT_PORT) = port;
  U64(DM_ULOG_INPUT_NOW) = now_ns;
  carry_out(Z_dm_ulogZ_handleInput(&core));
}

static void complete(const struct job *job, int error) {
  uint32_t size = DM_ULOG_COMPLETION_DATA;
  HEAD(PAYLOAD) = job->head;
  U32(PAYLOAD + DM_ULOG_COMPLETION_EFFECT) = job->kind;
  U32(PAYLOAD + DM_ULOG_COMPLETION_ERROR) = (uint32_t)error;
  if (job->kind == DM_ULOG_EFFECT_KIND_OPEN && error == 0) {
    device_fds[job->head.handle] = job->fd;
    U64(PAYLOAD + DM_ULOG_COMPLETION_DEVICE_BYTES) = job->bytes;
    U32(PAYLOAD + DM_ULOG_COMPLETION_MAJOR) = major(job->file.st_rdev);
    U32(PAYLOAD + DM_ULOG_COMPLETION_MINOR) = minor(job->file.st_rdev);
    memcpy(memory + PAYLOAD + DM_ULOG_COMPLETION_FILE_SYSTEM, (uint64_t[]){job->file.st_dev, job->file.st_ino}, 16);
    size = DM_ULOG_COMPLETION_OPEN_BYTES;
  } else if (job->kind == DM_ULOG_EFFECT_KIND_READ && error == 0) {
    memcpy(memory + PAYLOAD + size, job->data, job->head.size);
    size += job->head.size;
  }
  input(DM_ULOG_INPUT_KIND_COMPLETION, size, 0);
}

/* On the thread of the job. */
void job_done(struct job *job) {
  uint32_t handle = job->head.handle;
  int error = job->error, is_awaited = job->kind != DM_ULOG_EFFECT_KIND_CLOSE;
  pthread_mutex_lock(&mutex);
  read_clock();
  jobs_under_way--;
  if (job->kind == DM_ULOG_EFFECT_KIND_FLUSH_LEGS) {
    is_awaited = flushes[handle].asked == job;
    if (is_awaited) flushes[handle].asked = NULL;
    flushes[handle].running = NULL;
    start_flush(handle);
  }
  for (struct job *more; job != NULL; job = more) {
    if (is_awaited) complete(job, error);
    if (job->kind == DM_ULOG_EFFECT_KIND_READ) free(job->data);
    more = job->more;
    free(job);
  }
  pthread_mutex_unlock(&mutex);
}

static void look_at_clock(void) {
  for (uint32_t handle = 0; handle < DM_ULOG_HANDLE_COUNT; handle++) {
    struct job *job = flushes[handle].asked;
    if (job == NULL || job->due_ns > now_ns) continue;
    flushes[handle].asked = NULL;
    complete(job, -ETIMEDOUT);
    if (flushes[handle].running != job) free(job);
  }
}

/* Hands the core a state file part by part. Of one that it refuses nothing is left. */
static void restore(uint32_t handle, const struct state *state) {
  for (uint64_t offset = 0; offset < state->size; offset += DM_ULOG_RESTORE_BYTES) {
    uint64_t left = state->size - offset, size = left < DM_ULOG_RESTORE_BYTES ? left : DM_ULOG_RESTORE_BYTES;
    HEAD(PAYLOAD) = (struct head){handle, (uint32_t)size, offset, state->size};
    memcpy(memory + PAYLOAD + DM_ULOG_RESTORE_DATA, state->bytes + offset, size);
    input(DM_ULOG_INPUT_KIND_RESTORE, DM_ULOG_RESTORE_DATA + (uint32_t)size, 0);
  }
}

/* Makes the kernel send again at once what died with the server before: all numbers around the last that was seen. */
static void recall_requests(uint32_t last) {
  struct { struct nlmsghdr netlink; struct cn_msg connector; } again = {
      {sizeof again, NLMSG_DONE, 0, 0, 0}, {.id = {CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG}, .ack = EAGAIN}};
  for (uint32_t i = 0; last != 0 && i <= 2 * RECALLED; i++) {
    again.connector.seq = last - RECALLED + i;
    send_to_kernel(&again, sizeof again);
  }
}

/* Serves until a signal asks to stop, and then until what had come is answered. */
static void serve(uint32_t *last_request) {
  static uint8_t datagram[DM_ULOG_INPUT_PAYLOAD_BYTES_MAX];
  uint64_t look_ns = 0, stop_ns = 0;
  for (int wait = 0;;) {
    struct sockaddr_nl from;
    ssize_t size = recvfrom(netlink, datagram, sizeof datagram, MSG_TRUNC | wait, (struct sockaddr *)&from,
                            &(socklen_t){sizeof from});
    if (size < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) err(1, "netlink");
    pthread_mutex_lock(&mutex);
    read_clock();
    if (size >= 0) {
      int is_kernel = from.nl_pid == kernel.nl_pid;
      memcpy(memory + PAYLOAD, datagram, (size_t)size < sizeof datagram ? (size_t)size : sizeof datagram);
      if (is_kernel) *last_request = U32(PAYLOAD + DM_ULOG_ULOG_SEQ);
      input(DM_ULOG_INPUT_KIND_DATAGRAM, (uint32_t)size, is_kernel ? DM_ULOG_KERNEL_PORT : ~DM_ULOG_KERNEL_PORT);
    }
    if (stop_ns != 0) {
      if ((size < 0 && jobs_under_way == 0) || stop_ns < now_ns) return;
    } else if (is_stop_asked) {
      stop_ns = now_ns + STOP_NS;
      SET(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, int, CN_IDX_DM);
      SET(SOL_SOCKET, SO_RCVTIMEO, struct timeval, .tv_usec = STOP_SILENCE_US);
    } else if (look_ns < now_ns) {
      look_ns = now_ns + LOOK_US * 1000;
      look_at_clock();
    }
    if (stop_ns == 0 && wake_ns != 0 && wake_ns <= now_ns) {
      wake_ns = 0;
      input(DM_ULOG_INPUT_KIND_TICK, 0, 0);
    }
    /* The core makes the log of a large mirror in slices, one with each tick. */
    wait = stop_ns == 0 && wake_ns != 0 && wake_ns <= now_ns ? MSG_DONTWAIT : 0;
    pthread_mutex_unlock(&mutex);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) errx(1, "usage: appliance RUNTIME_DIRECTORY [QUIET_MS [KERNEL_PORT]]");
  if (argc > 3) kernel.nl_pid = (uint32_t)strtoul(argv[3], NULL, 10);
  mkdir(argv[1], 0700);
  int lock = chdir(argv[1]) < 0 ? -1 : open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) err(1, "%s", argv[1]);
  if (flock(lock, LOCK_EX | LOCK_NB) < 0) errx(1, "Another server serves this machine already.");
  if (ftruncate(lock, 0) < 0 || dprintf(lock, "%d\n", getpid()) < 0) err(1, "lock");

  struct sockaddr_nl own = {.nl_family = AF_NETLINK};
  netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  /* From now on requests queue up instead of finding nobody. */
  if (bind(netlink, (struct sockaddr *)&own, sizeof own) < 0 || SET(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int, CN_IDX_DM) < 0)
    err(1, "connector");
  SET(SOL_SOCKET, SO_RCVBUFFORCE, int, RECEIVE_BUFFER_BYTES);
  SET(SOL_SOCKET, SO_RCVTIMEO, struct timeval, .tv_usec = LOOK_US);
  getsockname(netlink, (struct sockaddr *)&own, &(socklen_t){sizeof own});

  /* The kernel frees memory by writing to disks, one of which may be a mirror that waits for us: never on our account. */
  if (mlockall(MCL_CURRENT) | mlockall(MCL_FUTURE | MCL_ONFAULT) | prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
    warn("When memory runs out, this server may wait for its own mirrors");
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  signal(SIGPIPE, SIG_IGN);
  pthread_t printer;
  if (pipe2(lines, O_CLOEXEC) < 0 || pthread_create(&printer, NULL, print, NULL) != 0) err(1, "printer");
  fcntl(lines[1], F_SETFL, O_NONBLOCK);

  wasm_rt_init();
  Z_dm_ulog_init_module();
  Z_dm_ulog_instantiate(&core);
  memory = Z_dm_ulogZ_memory(&core)->data;
  if (Z_dm_ulogZ_initialize(&core) != DM_ULOG_ABI_VERSION) errx(1, "The core and dm-ulog.h are not of one build.");
  pthread_mutex_lock(&mutex);
  read_clock();
  U64(PAYLOAD + DM_ULOG_CONFIGURE_QUIET_NS) = argc > 2 ? strtoull(argv[2], NULL, 10) * 1000000 : 0;
  input(DM_ULOG_INPUT_KIND_CONFIGURE, DM_ULOG_CONFIGURE_BYTES, 0);
  struct state *states = states_open(), last_request = state_map("state/last_request", sizeof(uint64_t));
  if (states == NULL || last_request.bytes == NULL) err(1, "state");
  for (uint32_t handle = 0; handle < DM_ULOG_HANDLE_COUNT; handle++) restore(handle, &states[handle]);
  SAY("serving the kernel: netlink port %u, linear memory at %p\n", own.nl_pid, (void *)memory);
  recall_requests(*(uint32_t *)last_request.bytes);
  pthread_mutex_unlock(&mutex);
  serve((uint32_t *)last_request.bytes);
  _exit(0); /* whatever hangs */
}
