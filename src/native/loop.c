/*
 * Invariants: this thread waits for nothing but a datagram. What may wait has gone to the device process, which rings the bell.
 * For a request it reads the clock once, makes two system calls, and allocates nothing.
 */
#include "loop.h"

#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "bell.h"
#include "clock.h"
#include "device-process.h"
#include "devices.h"
#include "die.h"
#include "effects.h"
#include "engine.h"
#include "flight.h"
#include "keeper.h"
#include "options.h"
#include "page.h"
#include "recall.h"
#include "restore.h"
#include "say.h"
#include "service-manager.h"
#include "shared.h"
#include "spin.h"
#include "state-files.h"

/* Room for 10,082 requests of 204 bytes, as counted on Linux 6.18. The kernel drops what does not fit. */
#define RECEIVE_BUFFER_BYTES (4 << 20)
/* Without a request the server looks at the clock this often. */
#define LOOK_NS (100 * NS_PER_MS)
/* A server that stops has answered all when nothing comes for so long. It waits no longer than the second for devices. */
#define STOP_SILENCE_US 5000
#define STOP_NS (3 * NS_PER_S / 2)
/* One that leaves its socket waits so long for its devices: all mirrors wait with it. */
#define LEAVE_NS (NS_PER_S / 2)
#define SET(level, option, type, ...) setsockopt(netlink_fd, level, option, &(type){__VA_ARGS__}, sizeof(type))
/* The system call for the clock costs as much as the one that looks for a datagram, where it is one. */
#define TRIES_PER_CLOCK 8

int netlink_fd = -1;
uint32_t netlink_port;
uint64_t overruns;

static struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
static uint64_t timeout_us, answered_ns;
static bool is_draining;
static volatile sig_atomic_t is_stop_asked, is_hand_over_asked;

static void on_signal(int signal) {
  if (signal == SIGUSR2) is_hand_over_asked = 1;
  else is_stop_asked = 1;
}

void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  /* A terminal that goes away takes no server with it. */
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
}

void open_socket(int kept_fd) {
  struct sockaddr_nl own = {.nl_family = AF_NETLINK};
  netlink_fd = kept_fd;
  if (netlink_fd < 0) netlink_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  if (netlink_fd < 0) err(1, "netlink");
  if (kept_fd < 0 && bind(netlink_fd, (struct sockaddr *)&own, sizeof own) < 0) err(1, "netlink");
  if (SET(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int, DM_ULOG_CN_IDX_DM) < 0) err(1, "the kernel's group of the connector");
  if (SET(SOL_SOCKET, SO_RCVBUFFORCE, int, RECEIVE_BUFFER_BYTES) < 0)
    say(WARNING, "The receive buffer cannot be enlarged (%s): when many mirrors write at once, requests may be lost and sent again.",
        strerror(errno));
  getsockname(netlink_fd, (struct sockaddr *)&own, &(socklen_t){sizeof own});
  netlink_port = own.nl_pid;
  kernel.nl_pid = options.kernel_port;
}

void send_to_kernel(const void *datagram, size_t size) {
  if (sendto(netlink_fd, datagram, size, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
    say(WARNING, "A reply could not be sent: %s.", strerror(errno));
}

void handle(uint32_t kind, uint32_t size, uint32_t port) {
  page_begin();
  uint32_t effects_bytes = engine_input(kind, size, port, now_ns);
  page_end();
  carry_out(effects_bytes);
  flight_handled(effects_bytes);
}

static void complete(uint32_t size) { handle(DM_ULOG_INPUT_KIND_COMPLETION, size, 0); }

/* ---- Waiting */

static void set_timeout(uint64_t us) {
  if (us == timeout_us) return;
  timeout_us = us;
  SET(SOL_SOCKET, SO_RCVTIMEO, struct timeval, .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000));
}

/* How long the next wait may be. A time further away than the present timeout costs no system call. */
static void plan_wait(bool has_timed_out) {
  uint64_t left_ns = wake_ns == 0 ? LOOK_NS : wake_ns <= now_ns ? NS_PER_US : wake_ns - now_ns;
  uint64_t us = (left_ns < LOOK_NS ? left_ns : LOOK_NS) / NS_PER_US + 1;
  if (has_timed_out || us < timeout_us) set_timeout(us);
}

static struct sockaddr_nl sender;

static ssize_t receive_once(int flags) {
  uint8_t *room = memory + DM_ULOG_INPUT_PAYLOAD;
  return recvfrom(netlink_fd, room, DM_ULOG_INPUT_PAYLOAD_BYTES_MAX, flags | MSG_TRUNC, (struct sockaddr *)&sender,
                  &(socklen_t){sizeof sender});
}

/*
 * Looks for the next datagram without sleeping, as long as that pays. Returns its size, or -1 with errno: EAGAIN where nothing came.
 * Any other error is told once by the kernel, and lost by whoever asks again.
 */
static ssize_t spin_for_datagram(void) {
  uint64_t from_ns = read_clock(), until_ns = from_ns + spin.window_ns;
  ssize_t size = -1;
  int error = EAGAIN;
  while (size < 0 && error == EAGAIN && now_ns < until_ns && !is_stop_asked) {
    for (int tries = 0; size < 0 && error == EAGAIN && tries < TRIES_PER_CLOCK; tries++) {
      size = receive_once(MSG_DONTWAIT);
      if (size < 0) error = errno;
    }
    read_clock();
  }
  spin_ended(now_ns - from_ns, size >= 0, now_ns);
  errno = error;
  return size;
}

/* Whether something goes on at once, in slices, where no datagram has come. */
static bool has_more_to_do(void) {
  return !is_stop_asked && (restore_is_under_way() || recall_is_under_way() || states_to_give_back() || (wake_ns != 0 && wake_ns <= now_ns));
}

/* Returns the size of the next datagram, or -1 with errno. The clock is read. */
static ssize_t receive(void) {
  ssize_t size = -1;
  bool is_waiting = !is_draining && !has_more_to_do();
  bool has_spun = is_waiting && spin.window_ns > 0 && answered_ns != 0;
  if (has_spun) size = spin_for_datagram();
  if (size >= 0 || (has_spun && errno != EAGAIN)) return size;
  size = receive_once(is_waiting ? 0 : MSG_DONTWAIT);
  int error = errno;
  read_clock();
  if (size >= 0 && answered_ns != 0) spin_slept(now_ns - answered_ns, now_ns);
  answered_ns = 0;
  errno = error;
  return size;
}

/* ---- What has come */

static void take_request(size_t size) {
  bool is_kernel = sender.nl_pid == kernel.nl_pid;
  if (is_kernel) {
    recall_saw(U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_ULOG_SEQ));
    page_received(U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_ULOG_SEQ));
  }
  handle(DM_ULOG_INPUT_KIND_DATAGRAM, (uint32_t)size, is_kernel ? DM_ULOG_KERNEL_PORT : ~DM_ULOG_KERNEL_PORT);
  if (is_kernel) recall_handled();
  answered_ns = now_ns;
}

static void give_up_forgotten(void) {
  unsigned count = atomic_load(&shared->forgotten_count);
  for (unsigned i = 0; i < count; i++) {
    const struct forgotten *forgotten = &shared->forgotten[i];
    HEAD(DM_ULOG_INPUT_PAYLOAD) = (struct head){.handle = forgotten->handle};
    U64(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_FORGET_LUID) = forgotten->luid;
    memcpy(memory + DM_ULOG_INPUT_PAYLOAD + DM_ULOG_FORGET_UUID, forgotten->uuid, UUID_ROOM);
    handle(DM_ULOG_INPUT_KIND_FORGET, DM_ULOG_FORGET_UUID + UUID_ROOM, 0);
  }
  if (count > 0) atomic_store(&shared->forgotten_count, 0);
}

static void take_bell(void) {
  bell_taken();
  devices_collect(complete);
  give_up_forgotten();
}

static void take_overrun(void) {
  is_draining = false;
  recall_lost();
  say(WARNING,
      "The kernel's requests came faster than this server took them: its receive buffer was full, and some were lost (%llu times "
      "so far). The kernel was asked to send them again.",
      (unsigned long long)overruns);
}

/* What is due with time alone. */
static void look(void) {
  static uint64_t ping_ns;
  flushes_look(now_ns, complete);
  devices_collect(complete);
  devices_look(now_ns);
  page_look();
  /* The next server begins anew with another. */
  if (device_process_has_ended()) die("The process for devices has ended, and this server ends with it.");
  if (watchdog_interval_ns == 0 || now_ns < ping_ns) return;
  ping_ns = now_ns + watchdog_interval_ns;
  notify_service_manager("WATCHDOG=1", -1);
}

/* ---- Ending */

/* Nothing new is received; what has come is answered, and devices end what they do. */
static bool has_stopped(ssize_t size) {
  static uint64_t until_ns;
  if (until_ns == 0) {
    until_ns = now_ns + STOP_NS;
    SET(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, int, DM_ULOG_CN_IDX_DM);
    set_timeout(STOP_SILENCE_US);
    return false;
  }
  return (size < 0 && devices_have_ended(now_ns, STOP_NS)) || now_ns > until_ns;
}

/* Whether a server that stops leaves what comes to the next one, instead of letting the kernel find nobody. */
static bool leaves_socket(void) { return socket_outlives_server() && engine_has_logs(); }

/* Nothing is received any more. What hangs holds nobody else up: the next server asks the kernel for what was left unanswered. */
static void end_devices(void) {
  for (uint64_t until_ns = read_clock() + LEAVE_NS; !devices_have_ended(now_ns, LEAVE_NS) && read_clock() < until_ns;) {
    nanosleep(&(struct timespec){0, (long)NS_PER_MS}, NULL);
    devices_collect(complete);
  }
}

enum ending serve(void) {
  uint64_t look_ns = 0;
  set_timeout(LOOK_NS / NS_PER_US);
  /* What has been received, or lost, is this server's: the next one never hears of it. */
  while (is_draining || !(is_hand_over_asked || (is_stop_asked && leaves_socket()))) {
    ssize_t size = receive();
    int error = size < 0 ? errno : 0;
    if (error == ENOBUFS) {
      overruns++;
      is_draining = true;
      continue;
    }
    if (error != 0 && error != EAGAIN && error != EINTR) die("Receiving from netlink failed: %s.", strerror(error));
    if (is_stop_asked && !leaves_socket() && has_stopped(size)) return STOPPED;
    if (error == EAGAIN && is_draining) take_overrun();
    else if (size >= 0 && sender.nl_pid == bell_port) take_bell();
    else if (size >= 0) take_request((size_t)size);
    if (wake_ns != 0 && wake_ns <= now_ns) {
      wake_ns = 0;
      handle(DM_ULOG_INPUT_KIND_TICK, 0, 0);
    }
    if (recall_is_under_way()) recall_next();
    if (restore_is_under_way()) restore_next();
    if (states_to_give_back()) states_give_back();
    if (look_ns <= now_ns) {
      check_clock();
      look_ns = now_ns + LOOK_NS;
      look();
    }
    if (!is_stop_asked) plan_wait(error == EAGAIN);
    flight_settle();
  }
  end_devices();
  return is_hand_over_asked ? HANDED_OVER : LEFT;
}
