#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "devices.h"
#include "die.h"
#include "engine.h"
#include "loop.h"
#include "resident-file.h"
#include "server-page.h"
#include "shared.h"
#include "spin.h"

#define NAME "server"
/* The most requests whose waiting is measured at one time; a power of two. If there are more, the earlier are not counted. */
#define WAITING 1024

static struct server_page *page;
/* Of its file until it has its name. */
static int unnamed_fd;
/* Of the server that this one has taken over from. */
static char life_before[sizeof page->life];
static struct { uint32_t number; uint64_t since_ns; } waiting[WAITING];

static void name_life(char *life, size_t bytes) {
  int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? 0 : read(fd, life, bytes - 1);
  if (fd >= 0) close(fd);
  life[size < 0 ? 0 : size] = 0;
  life[strcspn(life, "\n")] = 0;
}

void page_prepare(void) {
  page = resident_file_make(sizeof *page, &unnamed_fd);
  if (page == NULL) die("The server's page cannot be made: %s.", strerror(errno));
}

void page_open(void) {
  page->version = SERVER_PAGE_VERSION;
  page->pid = (uint32_t)getpid();
  page->netlink_port = netlink_port;
  page->memory_fd = memory_fd;
  page->memory_bytes = memory_bytes;
  page->clock_unix_ns = clock_unix_ns;
  page->start_unix_ns = clock_unix_ns + (int64_t)read_clock();
  snprintf(page->application, sizeof page->application, "dm-ulogd " DM_ULOG_VERSION);
  snprintf(page->core_sha256, sizeof page->core_sha256, DM_ULOG_CORE_SHA256);
  name_life(page->life, sizeof page->life);
  atomic_store(&shared->memory_bytes, memory_bytes);
  atomic_thread_fence(memory_order_release);
  page->magic = SERVER_PAGE_MAGIC;
  unlink(NAME); /* readers of the server before keep its page */
  if (!resident_file_name(unnamed_fd, NAME)) die("The server's page cannot be made: %s.", strerror(errno));
}

const char *page_life(void) { return page->life; }

/* Before the first input there is nobody to look. */
void page_begin(void) {
  __atomic_store_n(&page->sequence, page->sequence + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

void page_end(void) {
  if (page->memory_bytes != memory_bytes) {
    page->memory_bytes = memory_bytes;
    atomic_store(&shared->memory_bytes, memory_bytes);
  }
  page->inputs++;
  __atomic_store_n(&page->sequence, page->sequence + 1, __ATOMIC_RELEASE);
}

void page_received(uint32_t number) {
  waiting[number % WAITING].number = number;
  waiting[number % WAITING].since_ns = now_ns;
}

/* The bucket of 1000 * 4^i ns is the i-th. */
static unsigned bucket_of(uint64_t ns) {
  uint64_t thousands = ns == 0 ? 0 : (ns - 1) / 1000;
  if (thousands == 0) return 0;
  unsigned bits = 64 - (unsigned)__builtin_clzll(thousands), bucket = (bits + 1) / 2;
  return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

void page_answered(uint32_t number, uint32_t type) {
  if (waiting[number % WAITING].number != number || waiting[number % WAITING].since_ns == 0) return;
  uint64_t ns = read_clock() - waiting[number % WAITING].since_ns;
  waiting[number % WAITING].since_ns = 0;
  if (type > DM_ULOG_REQUEST_TYPE_MAX) type = 0;
  page->latencies[type].counts[bucket_of(ns)] += 1;
  page->latencies[type].sum_ns += (double)ns;
}

void page_look(void) {
  page->heartbeat_ns = now_ns;
  page->overruns = overruns;
  page->listener_drops = atomic_load(&shared->listener_drops);
  page->spin_window_ns = spin.window_ns;
  page->spin_tries = spin.tries;
  page->spin_hits = spin.hits;
  page->spin_spent_ns = spin.spent_ns;
  for (uint32_t handle = 0; handle < DM_ULOG_HANDLE_COUNT; handle++) {
    if (page->devices[handle].since_ns == device_since[handle].ns) continue;
    page->devices[handle].kind = device_since[handle].kind;
    page->devices[handle].since_ns = device_since[handle].ns;
  }
}

void page_close(void) {
  page->is_stopped = 1;
  unlink(NAME);
}

/* The page of the server before, while this one has not named its own. */
static bool read_page_before(struct server_page *found) {
  int fd = open(NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t size = fd < 0 ? -1 : read(fd, found, offsetof(struct server_page, latencies));
  if (fd >= 0) close(fd);
  return size == offsetof(struct server_page, latencies) && found->magic == SERVER_PAGE_MAGIC && found->version == SERVER_PAGE_VERSION;
}

bool page_is_of_native_server(pid_t pid) {
  struct server_page found;
  return read_page_before(&found) && found.pid == (uint32_t)pid && found.is_stopped == 0;
}

void page_takes_over(void) {
  struct server_page found;
  if (read_page_before(&found)) snprintf(life_before, sizeof life_before, "%.*s", (int)sizeof found.life - 1, found.life);
}

const char *page_life_before(void) { return life_before; }
