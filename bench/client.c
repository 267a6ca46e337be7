/*
 * Plays the kernel: sends a request to a server's netlink port, waits for the reply, looks at the clock, and so on.
 *
 *   client OWN_PORT SERVER_PORT WARM_UP COUNT REQUESTS REPLIES
 *
 * The two files hold datagrams, each behind its size as a u32 in the machine's byte order; the replies are what the
 * server must answer to the requests, byte by byte. The client goes round through them. It prints, as JSON, what COUNT
 * round trips took after WARM_UP others.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define DATAGRAMS_MAX 1024
#define DATAGRAM_BYTES_MAX 4096
/* As long as the kernel waits (drivers/md/dm-log-userspace-transfer.c). */
#define REPLY_TIMEOUT_SECONDS 15
/* What the benchmark takes as "not on this machine" rather than as a failure. */
#define EXIT_NOT_PERMITTED 2

struct datagram {
  uint32_t size;
  char bytes[DATAGRAM_BYTES_MAX];
};

static void fail(const char *what) {
  int status = errno == EPERM || errno == EACCES ? EXIT_NOT_PERMITTED : 1;
  perror(what);
  exit(status);
}

static void complain(const char *sentence) {
  fprintf(stderr, "%s\n", sentence);
  exit(1);
}

static size_t read_datagrams(const char *path, struct datagram *datagrams) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path);
  size_t count = 0;
  uint32_t size;
  while (count < DATAGRAMS_MAX && fread(&size, sizeof size, 1, file) == 1) {
    if (size > DATAGRAM_BYTES_MAX) complain("A datagram in the file is too long.");
    datagrams[count].size = size;
    if (fread(datagrams[count].bytes, 1, size, file) != size) complain("A datagram in the file is cut off.");
    count++;
  }
  fclose(file);
  return count;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

int main(int argc, char **argv) {
  if (argc != 7) complain("usage: client OWN_PORT SERVER_PORT WARM_UP COUNT REQUESTS REPLIES");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  size_t warm_up = strtoul(argv[3], NULL, 10), count = strtoul(argv[4], NULL, 10);
  static struct datagram requests[DATAGRAMS_MAX], replies[DATAGRAMS_MAX];
  size_t ring = read_datagrams(argv[5], requests);
  if (ring == 0 || count == 0 || read_datagrams(argv[6], replies) != ring) complain("Every request needs a reply.");
  int64_t *durations_ns = malloc(count * sizeof *durations_ns);
  if (durations_ns == NULL) fail("malloc");

  int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR);
  if (fd < 0) fail("socket");
  struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_pid = (uint32_t)strtoul(argv[1], NULL, 10)};
  struct sockaddr_nl server = {.nl_family = AF_NETLINK, .nl_pid = (uint32_t)strtoul(argv[2], NULL, 10)};
  if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
  struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_SECONDS};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0) fail("setsockopt");

  int64_t sum_ns = 0;
  for (size_t i = 0; i < warm_up + count; i++) {
    const struct datagram *request = &requests[i % ring], *expected = &replies[i % ring];
    char reply[DATAGRAM_BYTES_MAX];
    int64_t start_ns = now_ns();
    if (sendto(fd, request->bytes, request->size, 0, (struct sockaddr *)&server, sizeof server) < 0) fail("sendto");
    ssize_t bytes = recvfrom(fd, reply, sizeof reply, 0, NULL, NULL);
    int64_t duration_ns = now_ns() - start_ns;
    if (bytes < 0) fail("No reply");
    if ((size_t)bytes != expected->size || memcmp(reply, expected->bytes, expected->size) != 0) {
      complain("A reply is not what the core answers to the request.");
    }
    if (i < warm_up) continue;
    durations_ns[i - warm_up] = duration_ns;
    sum_ns += duration_ns;
  }

  qsort(durations_ns, count, sizeof *durations_ns, ascending);
  printf("{\"medianNs\": %lld, \"meanNs\": %lld, \"p99Ns\": %lld, \"maxNs\": %lld}\n", (long long)durations_ns[count / 2],
         (long long)(sum_ns / (int64_t)count), (long long)durations_ns[count * 99 / 100], (long long)durations_ns[count - 1]);
  free(durations_ns);
  return 0;
}
