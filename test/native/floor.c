/*
 * The least that a server of userspace logs can do: says yes to everything, for a mirror whose legs are taken to be the same. What a
 * mirror does with it is what the kernel and the netlink socket leave of its speed. It keeps nothing: never use it for data.
 *
 * usage: floor REGION_SIZE_SECTORS REGION_COUNT
 */
#include <err.h>
#include <linux/connector.h>
#include <linux/dm-log-userspace.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define HEADERS_BYTES (sizeof(struct nlmsghdr) + sizeof(struct cn_msg))

int main(int argc, char **argv) {
  static char datagram[65536];
  struct sockaddr_nl own = {.nl_family = AF_NETLINK}, kernel = {.nl_family = AF_NETLINK};
  if (argc != 3) errx(1, "usage: floor REGION_SIZE_SECTORS REGION_COUNT");
  uint64_t region_size = strtoull(argv[1], NULL, 10), region_count = strtoull(argv[2], NULL, 10);
  int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR), group = CN_IDX_DM;
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0 ||
      setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
    err(1, "connector");
  mlockall(MCL_CURRENT | MCL_FUTURE);
  printf("serving\n");
  fflush(stdout);
  for (;;) {
    if (recv(fd, datagram, sizeof datagram, 0) < (ssize_t)(HEADERS_BYTES + sizeof(struct dm_ulog_request))) continue;
    struct nlmsghdr *netlink = (void *)datagram;
    struct cn_msg *connector = (void *)(netlink + 1);
    struct dm_ulog_request *request = (void *)(connector + 1);
    uint64_t data[2] = {0, 0};
    uint32_t size = 0;
    switch (request->request_type & 0xff) {
      case DM_ULOG_GET_REGION_SIZE: data[0] = region_size; size = 8; break;
      case DM_ULOG_IS_CLEAN: case DM_ULOG_IN_SYNC: data[0] = 1; size = 8; break;
      case DM_ULOG_GET_SYNC_COUNT: data[0] = region_count; size = 8; break;
      case DM_ULOG_GET_RESYNC_WORK: size = 16; break;
      case DM_ULOG_IS_REMOTE_RECOVERING: data[1] = region_count; size = 16; break;
      default: break;
    }
    request->error = 0;
    request->data_size = size;
    memcpy(request + 1, data, size);
    connector->ack = connector->seq + 1;
    connector->len = (uint16_t)(sizeof *request + size);
    netlink->nlmsg_len = (uint32_t)(HEADERS_BYTES + sizeof *request + size);
    sendto(fd, datagram, netlink->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
  }
}
