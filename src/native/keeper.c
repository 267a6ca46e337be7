/*
 * The keeper is a process of a few pages that listens at `keeper` in the runtime directory. The server is connected to it as long
 * as it lives. A keeper ends when its server says so, when no server has come for a while, or when it sees that another server has
 * a socket of its own in the kernel's group: then its socket would only fill up. What waits in it is asked for anew then.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "dm-ulog.h"
#include "recall.h"
#include "say.h"
#include "service-manager.h"

#define NAME "keeper"
#define STORED_NAME "netlink"
#define FIRST_PASSED_FD 3
#define TAKE 't'
#define END 'e'
#define ANSWER_MS 1000
#define LOOK_MS 500
/*
 * So long the socket is kept without a server: a new one starts in much less. Then the kernel hears that there is none, and a
 * mirror can be removed.
 */
#define LOOKS_WITHOUT_SERVER 20

/* To the keeper. */
static int keeper_fd = -1;
static bool is_stored;

bool send_descriptor(int to, char word, int fd) {
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control = {{0}};
  struct iovec part = {&word, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *CMSG_FIRSTHDR(&message) =
      (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof fd);
  return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

int receive_descriptor(int from, char *word) {
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control;
  struct iovec part = {word, 1};
  /* Not one byte more than one descriptor needs: there would be room for a second, which nobody closes. */
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_LEN(sizeof(int))};
  int fd = -1;
  if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (rights != NULL && rights->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return fd;
}

static bool is_own_peer(int fd) {
  struct ucred peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer}) == 0 && peer.uid == geteuid();
}

static uint32_t port_of(int netlink) {
  struct sockaddr_nl own = {0};
  getsockname(netlink, (struct sockaddr *)&own, &(socklen_t){sizeof own});
  return own.nl_pid;
}

/* ---- The server's side */

/* A descriptor is told by what the kernel says of it, not by its name. */
static bool is_our_socket(int fd) {
  int family = 0, protocol = 0;
  socklen_t size = sizeof family;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0 || family != AF_NETLINK) return false;
  size = sizeof protocol;
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 || protocol != NETLINK_CONNECTOR) return false;
  return port_of(fd) != 0;
}

static int passed_by_systemd(void) {
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  int found = -1;
  if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != getpid()) return -1;
  for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + (int)strtol(count, NULL, 10); fd++) {
    if (found < 0 && is_our_socket(fd)) found = fd;
    else close(fd);
  }
  unsetenv("LISTEN_FDS");
  return found;
}

static int connect_to_keeper(void) {
  struct sockaddr_un address = {AF_UNIX, NAME};
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  struct timeval limit = {ANSWER_MS / 1000, 0};
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  /* One of another user would read along. */
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && is_own_peer(fd)) return fd;
  close(fd);
  return -1;
}

static int kept_by_keeper(void) {
  char word = TAKE;
  keeper_fd = connect_to_keeper();
  if (keeper_fd < 0) return -1;
  int fd = send(keeper_fd, &word, 1, MSG_NOSIGNAL) == 1 ? receive_descriptor(keeper_fd, &word) : -1;
  if (fd >= 0 && is_our_socket(fd)) return fd;
  if (fd >= 0) close(fd);
  close(keeper_fd);
  keeper_fd = -1;
  return -1;
}

int socket_kept(void) {
  int fd = passed_by_systemd();
  return fd >= 0 ? fd : kept_by_keeper();
}

bool socket_outlives_server(void) { return is_stored || keeper_fd >= 0; }

void let_socket_go(void) {
  char word = END;
  if (keeper_fd >= 0) send(keeper_fd, &word, 1, MSG_NOSIGNAL);
  if (is_stored) notify_service_manager("FDSTOREREMOVE=1\nFDNAME=" STORED_NAME, -1);
}

/* ---- The keeper's side */

static int listen_as_keeper(ino_t *inode) {
  struct stat file;
  struct sockaddr_un address = {AF_UNIX, NAME};
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  unlink(NAME);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4) < 0 || lstat(NAME, &file) < 0) return -1;
  *inode = file.st_ino;
  return fd;
}

static bool has_other_server(uint32_t port) {
  char line[256];
  unsigned protocol, other, groups;
  bool is_found = false;
  FILE *sockets = fopen("/proc/net/netlink", "re");
  while (sockets != NULL && fgets(line, sizeof line, sockets) != NULL)
    if (sscanf(line, "%*s %u %u %x", &protocol, &other, &groups) == 3 && protocol == NETLINK_CONNECTOR &&
        (groups & 1u << (DM_ULOG_CN_IDX_DM - 1)) != 0 && other != port)
      is_found = true;
  if (sockets != NULL) fclose(sockets);
  return is_found;
}

static int accept_server(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0 || is_own_peer(fd)) return fd;
  close(fd);
  return -1;
}

/* Whoever asked and got no answer asks again at once, and finds out who serves now. Else it would wait for 15 s. */
static void send_back(int netlink) {
  struct sockaddr_nl sender;
  struct bare_answer asked, again;
  uint32_t port = port_of(netlink);
  int group = DM_ULOG_CN_IDX_DM;
  setsockopt(netlink, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
  for (;;) {
    ssize_t size = recvfrom(netlink, &asked, sizeof asked, MSG_DONTWAIT, (struct sockaddr *)&sender, &(socklen_t){sizeof sender});
    if (size < 0 && errno != ENOBUFS && errno != EINTR) return;
    /* A server's bell is shorter, or comes from its own socket. */
    if (size < (ssize_t)sizeof asked || sender.nl_pid == port) continue;
    again = ask_again(asked.connector.seq);
    sendto(netlink, &again, sizeof again, MSG_DONTWAIT, (struct sockaddr *)&sender, sizeof sender);
  }
}

/* Another keeper may listen there by now. */
static _Noreturn void end_keeper(ino_t inode, int netlink) {
  struct stat file;
  if (lstat(NAME, &file) < 0 || file.st_ino != inode) _exit(0); /* it may keep the same socket */
  unlink(NAME);
  send_back(netlink);
  _exit(0);
}

static _Noreturn void run_keeper(int listener, ino_t inode, int server, int netlink) {
  uint32_t port = port_of(netlink);
  for (unsigned looks = 0;;) {
    struct pollfd waiting[] = {{listener, POLLIN, 0}, {server, POLLIN, 0}};
    poll(waiting, 2, server < 0 ? LOOK_MS : -1);
    if (waiting[0].revents & POLLIN) {
      int next = accept_server(listener);
      if (next >= 0 && server >= 0) close(server);
      if (next >= 0) server = next;
      looks = 0;
      continue;
    }
    if (server < 0) {
      if (++looks < LOOKS_WITHOUT_SERVER && !has_other_server(port)) continue;
      end_keeper(inode, netlink);
    }
    char word;
    ssize_t size = recv(server, &word, 1, MSG_DONTWAIT);
    if (size == 1 && word == END) end_keeper(inode, netlink);
    if (size == 1 && word == TAKE) send_descriptor(server, TAKE, netlink);
    if (size == 0 || (size < 0 && errno != EAGAIN)) {
      close(server);
      server = -1;
    }
  }
}

/* Keeps the descriptors given, and closes all others: before the server goes on, so that its locks are its own. */
static void become_keeper(int listener, ino_t inode, int server, int netlink) {
  setsid();
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  /* A service manager that does not keep the socket waits for all that it ends. */
  signal(SIGTERM, SIG_DFL);
  prctl(PR_SET_NAME, "dm-ulogd:keeper");
  /* Whoever reads what the server says is not to wait for the keeper. */
  int nothing = open("/dev/null", O_RDWR);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) dup2(nothing, fd);
  int kept[] = {dup2(listener, 100), dup2(server, 101), dup2(netlink, 102)};
  syscall(SYS_close_range, STDERR_FILENO + 1, 99, 0);
  syscall(SYS_close_range, 103, ~0u, 0);
  /* Not the server's child: it outlives the server, and nobody is to wait for it. */
  if (fork() != 0) _exit(0);
  run_keeper(kept[0], inode, kept[1], kept[2]);
}

static bool start_keeper(int netlink) {
  ino_t inode;
  int ends[2], listener = listen_as_keeper(&inode);
  if (listener < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return false;
  pid_t pid = fork();
  if (pid == 0) become_keeper(listener, inode, ends[1], netlink);
  close(listener);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return false;
  }
  wait_for(pid);
  keeper_fd = ends[0];
  return true;
}

/*
 * Whether the keeper that there is keeps this very socket: then this server is connected with it. Another one of an earlier server
 * holds old requests, and a CLEAR among them that the next server carries out late says in sync of a region that was written since.
 */
static bool is_kept(int netlink) {
  char word = END;
  if (keeper_fd >= 0) return true; /* it is the keeper's own */
  int kept = kept_by_keeper();
  if (kept < 0) return false;
  bool is_same = port_of(kept) == port_of(netlink);
  close(kept);
  if (is_same) return true;
  send(keeper_fd, &word, 1, MSG_NOSIGNAL);
  close(keeper_fd);
  keeper_fd = -1;
  return false;
}

void keep_socket(int netlink, bool has_keeper) {
  notify_service_manager("FDSTOREREMOVE=1\nFDNAME=" STORED_NAME, -1);
  /* FDPOLL: a socket that has dropped something would be taken for broken, and not be kept. */
  is_stored = notify_service_manager("FDSTORE=1\nFDNAME=" STORED_NAME "\nFDPOLL=0", netlink);
  if (is_stored || !has_keeper || is_kept(netlink) || start_keeper(netlink)) return;
  say(WARNING, "Nothing keeps the server's socket (%s): if this server dies, the kernel notices only after 2 s that there is a new one.",
      strerror(errno));
}
