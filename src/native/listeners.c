/*
 * The kernel sends a request to all members of its group at once. A member that does not read, and whose socket reports errors
 * (NETLINK_BROADCAST_ERROR), makes the sending fail for the kernel although the server got the request: an IN_SYNC that fails
 * counts as "not in sync", and the kernel writes to the first leg alone, without a mark. Since Linux 6.6 such a socket needs no
 * privilege. A server cannot prevent that; it can see the socket and what it drops.
 */
#include "listeners.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"
#include "shared.h"
#include "watch.h"

/* More are not told apart. */
#define LISTENERS_MAX 16
#define WHO_BYTES 160

struct listener { unsigned long inode; unsigned port, queued, drops; int is_seen, is_said_silent; char who[WHO_BYTES]; };

static struct listener known[LISTENERS_MAX];

static int holds(const char *pid, unsigned long inode) {
  char path[64], wanted[64], target[64];
  snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
  snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
  DIR *descriptors = opendir(path);
  int is_found = 0;
  for (struct dirent *entry; descriptors != NULL && !is_found && (entry = readdir(descriptors)) != NULL;) {
    ssize_t size = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    is_found = strcmp(target, wanted) == 0;
  }
  if (descriptors != NULL) closedir(descriptors);
  return is_found;
}

/* What is at the end of a line of /proc/<pid>/<file> that begins with `word`, or the whole first line. */
static void read_line(char *text, size_t bytes, const char *pid, const char *file, const char *word) {
  char path[64], line[256];
  text[0] = 0;
  snprintf(path, sizeof path, "/proc/%.16s/%s", pid, file);
  FILE *lines = fopen(path, "re");
  while (lines != NULL && fgets(line, sizeof line, lines) != NULL)
    if (strncmp(line, word, strlen(word)) == 0) {
      snprintf(text, bytes, "%s", line + strlen(word));
      text[strcspn(text, "\n")] = 0;
      break;
    }
  if (lines != NULL) fclose(lines);
}

/* The listener at the beginning of a sentence. Control characters of a program's name never reach the log. */
static void name_listener(struct listener *listener) {
  char program[32], uid[64];
  snprintf(listener->who, WHO_BYTES, "A process that cannot be seen from here (netlink port %u, socket %lu)", listener->port,
           listener->inode);
  DIR *processes = opendir("/proc");
  for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
    if (!isdigit((unsigned char)entry->d_name[0]) || !holds(entry->d_name, listener->inode)) continue;
    read_line(program, sizeof program, entry->d_name, "comm", "");
    read_line(uid, sizeof uid, entry->d_name, "status", "Uid:\t");
    for (char *at = program; *at != 0; at++)
      if (!isprint((unsigned char)*at)) *at = '?';
    snprintf(listener->who, WHO_BYTES, "Process %.16s (%s, user %lu)", entry->d_name, program, strtoul(uid, NULL, 10));
    break;
  }
  if (processes != NULL) closedir(processes);
}

/* UUIDs of the logs there are, in one line. */
static void list_logs(char *text, size_t bytes) {
  size_t size = 0;
  text[0] = 0;
  for (uint32_t handle = 0; handle < DM_ULOG_HANDLE_COUNT && size + 1 < bytes; handle++) {
    uint64_t luid;
    char uuid[UUID_ROOM];
    if (!read_log(handle, &luid, uuid)) continue;
    size += (size_t)snprintf(text + size, bytes - size, "%s%s", size > 0 ? ", " : "", uuid);
  }
}

static void tell_deaf(const struct listener *listener, unsigned drops) {
  char logs[500];
  list_logs(logs, sizeof logs);
  say(ERROR,
      "%s receives the kernel's requests and does not read them: its socket has dropped %u. If that socket reports errors to "
      "the sender (NETLINK_BROADCAST_ERROR), as many requests may have failed, and writes may have reached the first leg of a "
      "mirror alone, without a mark. End that process. Then check the mirrors of these logs: %s (\"A deaf listener\" in "
      "docs/operating.md says how).",
      listener->who, drops, logs[0] == 0 ? "none was in use" : logs);
}

static void look_at(unsigned long inode, unsigned port, unsigned queued, unsigned drops) {
  struct listener *listener = NULL, *unused = NULL;
  for (unsigned i = 0; i < LISTENERS_MAX; i++) {
    if (known[i].inode == inode) listener = &known[i];
    else if (known[i].inode == 0) unused = &known[i];
  }
  if (listener == NULL && unused == NULL) return;
  if (listener == NULL) {
    listener = unused;
    *listener = (struct listener){.inode = inode, .port = port};
    name_listener(listener);
    if (drops == 0)
      say(WARNING,
          "%s receives the kernel's requests too. If it answers them, as cmirrord does, stop it: two servers with two opinions "
          "of a mirror destroy it. If it only reads them, it does no harm as long as it reads them.",
          listener->who);
  } else if (drops == 0 && listener->queued > 0 && queued >= listener->queued && !listener->is_said_silent) {
    listener->is_said_silent = 1;
    say(WARNING,
        "%s receives the kernel's requests and has not read any for some seconds (%u bytes wait). When its buffer is full, "
        "requests to this server may fail with it. End that process.",
        listener->who, queued);
  }
  if (drops > listener->drops) {
    if (listener->drops == 0) tell_deaf(listener, drops);
    atomic_fetch_add(&shared->listener_drops, drops - listener->drops);
  }
  listener->drops = drops;
  listener->queued = queued;
  listener->is_seen = 1;
}

void look_at_listeners(void) {
  char line[256];
  unsigned protocol, port, groups, queued, drops;
  unsigned long inode;
  FILE *sockets = fopen("/proc/net/netlink", "re");
  if (sockets == NULL) return;
  while (fgets(line, sizeof line, sockets) != NULL) {
    /* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode */
    if (sscanf(line, "%*s %u %u %x %u %*u %*u %*u %u %lu", &protocol, &port, &groups, &queued, &drops, &inode) != 6) continue;
    if (protocol != NETLINK_CONNECTOR || (groups & 1u << (DM_ULOG_CN_IDX_DM - 1)) == 0) continue;
    if (port != shared->server_port) look_at(inode, port, queued, drops);
  }
  fclose(sockets);
  for (unsigned i = 0; i < LISTENERS_MAX; i++) {
    if (known[i].inode != 0 && !known[i].is_seen) {
      say(INFO, "%s receives the kernel's requests no more.", known[i].who);
      known[i].inode = 0;
    }
    known[i].is_seen = 0;
  }
}
