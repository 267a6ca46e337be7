#include "bell.h"

#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared.h"

#define RETRY_NS 1000000

int bell_fd = -1;
uint32_t bell_port;

void make_bell(void) {
  struct sockaddr_nl own = {.nl_family = AF_NETLINK};
  bell_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  if (bell_fd < 0 || bind(bell_fd, (struct sockaddr *)&own, sizeof own) < 0) err(1, "a netlink socket for the bell");
  getsockname(bell_fd, (struct sockaddr *)&own, &(socklen_t){sizeof own});
  bell_port = own.nl_pid;
}

void ring_bell(void) {
  struct sockaddr_nl server = {.nl_family = AF_NETLINK, .nl_pid = shared->server_port};
  if (atomic_exchange(&shared->is_rung, 1) != 0) return;
  /* A ring that is lost would leave a request of the kernel unanswered. Without its socket there is no server. */
  while (sendto(bell_fd, "", 1, MSG_DONTWAIT, (struct sockaddr *)&server, sizeof server) < 0) {
    if (errno == ECONNREFUSED || errno == EBADF) return;
    nanosleep(&(struct timespec){0, RETRY_NS}, NULL);
  }
}

void bell_taken(void) { atomic_store(&shared->is_rung, 0); }
