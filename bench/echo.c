/*
 * The fastest server there can be: sends every datagram back as it came, without a look at it. Prints its netlink port.
 *
 * usage: echo [SPIN_US]    how long it looks for the next datagram before it sleeps
 */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int main(int argc, char **argv) {
  long long spin_ns = argc > 1 ? atoll(argv[1]) * 1000 : 0;
  /* Ends with the process that started it, however that one ends. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);

  int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR);
  struct sockaddr_nl address;
  memset(&address, 0, sizeof address);
  address.nl_family = AF_NETLINK;
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
    perror("A netlink socket of the connector cannot be had");
    return 1;
  }
  printf("%u\n", address.nl_pid);
  fflush(stdout);

  static char datagram[65536];
  for (;;) {
    struct sockaddr_nl sender;
    socklen_t sender_size = sizeof sender;
    ssize_t bytes = -1;
    for (long long end = spin_ns > 0 ? now_ns() + spin_ns : 0; bytes < 0 && end != 0 && now_ns() < end;)
      bytes = recvfrom(fd, datagram, sizeof datagram, MSG_DONTWAIT, (struct sockaddr *)&sender, &sender_size);
    if (bytes < 0) bytes = recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&sender, &sender_size);
    if (bytes < 0) continue;
    sendto(fd, datagram, (size_t)bytes, 0, (struct sockaddr *)&sender, sender_size);
  }
}
