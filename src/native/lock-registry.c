#include "lock-registry.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum request { SHARE, KEEP, RELEASE };

struct message { enum request request; dev_t file_system; ino_t inode; };

/* A device that is locked, and how often it is open. */
struct entry { struct entry *next; struct message key; int fd; unsigned openings; };

int lock_registry_fd = -1;
static int registrar_fd = -1;
/* One thread at a time asks. */
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;

/* A message, and with it a descriptor where `fd` is none below 0. */
static bool send_message(int to, const struct message *message, int fd) {
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control = {{0}};
  struct iovec part = {(void *)message, sizeof *message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control.bytes;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    *rights = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  return sendmsg(to, &header, MSG_NOSIGNAL) == sizeof *message;
}

/* Returns the descriptor that came with the message, or -1; -2 where no message came. */
static int receive_message(int from, struct message *message) {
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control;
  struct iovec part = {message, sizeof *message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t size;
  do size = recvmsg(from, &header, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size != sizeof *message) return -2;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  int fd = -1;
  if (rights != NULL && rights->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return fd;
}

static struct entry **find(const struct message *key) {
  struct entry **entry = &entries;
  while (*entry != NULL && ((*entry)->key.inode != key->inode || (*entry)->key.file_system != key->file_system))
    entry = &(*entry)->next;
  return entry;
}

static void keep(const struct message *key, int fd) {
  struct entry *entry = calloc(1, sizeof *entry);
  if (entry == NULL) err(1, "the registry of locks");
  *entry = (struct entry){entries, *key, fd, 1};
  entries = entry;
}

static void release(struct entry **place) {
  struct entry *entry = *place;
  if (entry == NULL || --entry->openings > 0) return;
  *place = entry->next;
  close(entry->fd);
  free(entry);
}

static void *keep_registry(void *unused) {
  for (struct message message;;) {
    int fd = receive_message(registrar_fd, &message);
    if (fd == -2) return unused;
    struct entry **found = find(&message);
    if (message.request == KEEP) keep(&message, fd);
    else if (message.request == RELEASE) release(found);
    else {
      if (*found != NULL) (*found)->openings++;
      send_message(registrar_fd, &message, *found == NULL ? -1 : (*found)->fd);
    }
  }
}

void lock_registry_start(void) {
  int ends[2];
  pthread_t thread;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) err(1, "the registry of locks");
  lock_registry_fd = ends[0];
  registrar_fd = ends[1];
  if ((errno = pthread_create(&thread, NULL, keep_registry, NULL)) != 0) err(1, "the registry of locks");
}

static struct message message_of(enum request request, const struct stat *file) {
  struct message message;
  memset(&message, 0, sizeof message);
  message.request = request;
  message.file_system = file->st_dev;
  message.inode = file->st_ino;
  return message;
}

int registry_lock(int fd, const struct stat *file) {
  pthread_mutex_lock(&asking);
  int result = fd;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    struct message message = message_of(KEEP, file);
    send_message(lock_registry_fd, &message, fd);
  } else {
    struct message message = message_of(SHARE, file);
    send_message(lock_registry_fd, &message, -1);
    int shared_fd = receive_message(lock_registry_fd, &message);
    result = shared_fd < 0 ? -EBUSY : shared_fd;
    if (shared_fd >= 0) close(fd);
  }
  pthread_mutex_unlock(&asking);
  return result;
}

void registry_release(const struct stat *file) {
  struct message message = message_of(RELEASE, file);
  pthread_mutex_lock(&asking);
  send_message(lock_registry_fd, &message, -1);
  pthread_mutex_unlock(&asking);
}
