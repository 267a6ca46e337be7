#include "service-manager.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

/* Pings in each watchdog period, so that one may come late. */
#define PINGS_PER_PERIOD 3

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_bytes;
static int manager_fd = -1;
uint64_t watchdog_interval_ns;

void service_manager_tell(struct service_manager *told) {
  *told = (struct service_manager){watchdog_interval_ns, manager_fd < 0 ? 0 : address_bytes, {0}};
  memcpy(told->address, address.sun_path, sizeof told->address);
}

void service_manager_be_told(const struct service_manager *told) {
  if (manager_fd >= 0 || told->address_bytes == 0 || told->address_bytes > sizeof address) return;
  memcpy(address.sun_path, told->address, sizeof told->address);
  address_bytes = told->address_bytes;
  watchdog_interval_ns = told->watchdog_interval_ns;
  manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void service_manager_find(void) {
  const char *name = getenv("NOTIFY_SOCKET"), *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
  if (name == NULL || (name[0] != '/' && name[0] != '@') || strlen(name) >= sizeof address.sun_path) return;
  strcpy(address.sun_path, name);
  address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
  if (name[0] == '@') address.sun_path[0] = 0;
  else address_bytes++;
  manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (period != NULL && (pid == NULL || strtol(pid, NULL, 10) == getpid()))
    watchdog_interval_ns = strtoull(period, NULL, 10) * NS_PER_US / PINGS_PER_PERIOD;
}

bool notify_service_manager(const char *state, int fd) {
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control = {{0}};
  struct iovec part = {(void *)state, strlen(state)};
  struct msghdr message = {.msg_name = &address, .msg_namelen = address_bytes, .msg_iov = &part, .msg_iovlen = 1};
  if (manager_fd < 0) return false;
  if (fd >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    *CMSG_FIRSTHDR(&message) =
        (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof fd);
  }
  return sendmsg(manager_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

void wait_for(pid_t pid) {
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
}
