#include "take-over.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "claim.h"
#include "devices.h"
#include "flight.h"
#include "keeper.h"
#include "loop.h"
#include "page.h"
#include "say.h"
#include "service-manager.h"

#define NAME "take-over"
#define HERE_IT_IS 'h'
#define SERVING 's'
/* Who does not answer within this time is given up. */
#define ANSWER_MS 5000
#define PASSED_FD 3
#define PARENT_TRIES 200
#define PARENT_TRY_NS 500000

static struct sockaddr_un address = {AF_UNIX, NAME};
/* New server: to the old one. */
static int old_fd = -1;
static int detached_fd = -1;

/* Waits for something to read. Returns whether there is something: data, or the end of the other side. */
static bool wait_for_word(int fd) {
  struct pollfd waiting = {fd, POLLIN, 0};
  int count;
  do count = poll(&waiting, 1, ANSWER_MS);
  while (count < 0 && errno == EINTR);
  return count > 0;
}

/* Asks the old server, and waits for it to connect. Returns false where it does not in time; `*has_ended` where it died. */
static bool ask_old(int listener, pid_t pid, bool *has_ended) {
  struct pollfd waiting[] = {{listener, POLLIN, 0}, {(int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0}};
  int count = 0;
  /* Fails with ESRCH alone: it was alive when the lock was looked at. */
  *has_ended = waiting[1].fd < 0 || kill(pid, SIGUSR2) < 0;
  if (!*has_ended) {
    do count = poll(waiting, 2, ANSWER_MS);
    while (count < 0 && errno == EINTR);
    *has_ended = waiting[0].revents == 0 && waiting[1].revents != 0;
  }
  if (waiting[1].fd >= 0) close(waiting[1].fd);
  return count > 0 && waiting[0].revents != 0;
}

static int listen_for_old(void) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  unlink(NAME);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0) err(1, NAME);
  return fd;
}

int take_over(void) {
  char word;
  long pid = claim_holder();
  if (pid == 0) return -1; /* Nobody serves: this server begins as any other. */
  if (!page_is_of_native_server((pid_t)pid))
    errx(1, "Process %ld serves this machine and cannot hand over. End it, and start this server without --take-over.", pid);
  int listener = listen_for_old();
  bool has_ended;
  old_fd = ask_old(listener, (pid_t)pid, &has_ended) ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
  unlink(NAME);
  close(listener);
  if (has_ended) {
    say(WARNING, "The server before this one ended when it was asked to hand over.");
    return -1; /* this one begins as any other */
  }
  if (old_fd < 0) errx(1, "Process %ld did not hand over within %d s. It goes on serving.", pid, ANSWER_MS / 1000);
  int fd = wait_for_word(old_fd) ? receive_descriptor(old_fd, &word) : -1;
  struct service_manager told;
  if (fd >= 0) page_takes_over();
  if (fd >= 0 && wait_for_word(old_fd) && recv(old_fd, &told, sizeof told, 0) == sizeof told) service_manager_be_told(&told);
  else say(WARNING, "The server before this one ended while it handed over.");
  return fd;
}

/* Only when the one that waited has ended is this process systemd's own, and can be the main one of a service. */
static void leave_parent(void) {
  char word = SERVING;
  pid_t parent = getppid();
  if (write(detached_fd, &word, 1) < 0) say(WARNING, "Nobody waits for this server any more.");
  for (int tries = 0; tries < PARENT_TRIES && getppid() == parent; tries++) nanosleep(&(struct timespec){0, PARENT_TRY_NS}, NULL);
}

void took_over(void) {
  char word = SERVING;
  if (detached_fd >= 0) leave_parent();
  if (old_fd >= 0) send(old_fd, &word, 1, MSG_NOSIGNAL);
}

/* ---- The old server's side */

static int connect_to_new(void) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static bool is_new_serving(int fd) {
  char word;
  struct service_manager told;
  service_manager_tell(&told);
  return fd >= 0 && send_descriptor(fd, HERE_IT_IS, netlink_fd) && send(fd, &told, sizeof told, MSG_NOSIGNAL) == sizeof told &&
         wait_for_word(fd) && recv(fd, &word, 1, 0) == 1 && word == SERVING;
}

/* A new server that was given up must not serve later. */
static void end_new(int fd) {
  struct ucred peer;
  if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer}) == 0 && peer.pid > 1) kill(peer.pid, SIGKILL);
}

/* systemd takes the word of the server that it knows as to which one it is from now on. */
static void tell_service_manager(int fd) {
  char state[32];
  struct ucred peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer}) < 0) return;
  snprintf(state, sizeof state, "MAINPID=%d", peer.pid);
  notify_service_manager(state, -1);
}

static _Noreturn void begin_anew(char **argv) {
  char pid[16];
  snprintf(pid, sizeof pid, "%d", getpid());
  setenv("LISTEN_PID", pid, 1);
  setenv("LISTEN_FDS", "1", 1);
  if (netlink_fd == PASSED_FD) netlink_fd = dup(netlink_fd);
  dup2(netlink_fd, PASSED_FD); /* and not closed by the execution */
  unsigned kept = 0;
  for (char **argument = argv; *argument != NULL; argument++)
    if (strcmp(*argument, "--take-over") != 0) argv[kept++] = *argument;
  argv[kept] = NULL;
  execv("/proc/self/exe", argv);
  err(1, "this program, once more");
}

_Noreturn void hand_over(pid_t device_process, char **argv) {
  kill(device_process, SIGKILL);
  /* One that hangs in a device cannot end, and keeps that device alone: the new server waits for the locks of the others. */
  for (int tries = 0; devices_are_idle() && tries < 100 && waitpid(device_process, NULL, WNOHANG) == 0; tries++)
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  log_ring = NULL;
  flight_close();
  claim_release();
  int fd = connect_to_new();
  if (is_new_serving(fd)) {
    tell_service_manager(fd);
    say(INFO, "Another dm-ulog has taken over.");
    _exit(0);
  }
  end_new(fd);
  say(WARNING, "The server that was to take over does not serve. This one goes on.");
  begin_anew(argv);
}

void detach(void) {
  int ends[2];
  char word;
  if (pipe(ends) < 0) err(1, "a pipe");
  pid_t pid = fork();
  if (pid < 0) err(1, "a process that goes on");
  if (pid == 0) {
    close(ends[0]);
    detached_fd = ends[1];
    return;
  }
  close(ends[1]);
  _exit(read(ends[0], &word, 1) == 1 ? 0 : 1);
}
