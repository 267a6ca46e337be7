/*
 * dm-ulogd: the native host of dm-ulog. It answers the kernel's userspace dirty logs from the core, compiled to C, in one thread
 * that allocates nothing, waits for no device and has all its memory locked: fit for the write path of swap and root.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bell.h"
#include "claim.h"
#include "clock.h"
#include "device-process.h"
#include "devices.h"
#include "die.h"
#include "effects.h"
#include "engine.h"
#include "flight.h"
#include "keeper.h"
#include "loop.h"
#include "memory-lock.h"
#include "options.h"
#include "page.h"
#include "recall.h"
#include "restore.h"
#include "say.h"
#include "seccomp.h"
#include "service-manager.h"
#include "shared.h"
#include "spin.h"
#include "state-files.h"
#include "take-over.h"
#include "watch.h"

static void configure(void) {
  U64(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_CONFIGURE_QUIET_NS) = options.quiet_ns;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_CONFIGURE_LAZY_REGIONS) = options.lazy_regions;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_CONFIGURE_BLOCK_BYTES) = options.block_bytes;
  U32(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_CONFIGURE_AHEAD_REGIONS) = options.ahead_regions + 1;
  handle(DM_ULOG_INPUT_KIND_CONFIGURE, DM_ULOG_CONFIGURE_BYTES, 0);
}

/*
 * Before devices are touched: a log that no table names was removed while nobody listened, and its device may hold something
 * else by now. Its completions come later, so that nothing was written yet.
 */
static void give_up_removed(void) {
  struct names *names = read_names();
  for (uint32_t number = 0; names != NULL && number < DM_ULOG_HANDLE_COUNT; number++) {
    uint64_t luid;
    char uuid[UUID_ROOM];
    if (!read_log(number, &luid, uuid) || names_have(names, uuid)) continue;
    HEAD(DM_ULOG_INPUT_PAYLOAD) = (struct head){.handle = number};
    U64(DM_ULOG_INPUT_PAYLOAD + DM_ULOG_FORGET_LUID) = luid;
    memcpy(memory + DM_ULOG_INPUT_PAYLOAD + DM_ULOG_FORGET_UUID, uuid, UUID_ROOM);
    handle(DM_ULOG_INPUT_KIND_FORGET, DM_ULOG_FORGET_UUID + UUID_ROOM, 0);
  }
  names_free(names);
}

static void start_engine(void) {
  read_clock();
  configure();
  states_open();
  restore_begin();
  give_up_removed();
}

static void tell_ready(void) {
  say(INFO, "dm-ulogd %s is serving the kernel (netlink port %u). To look at it: dm-ulog status", DM_ULOG_VERSION, netlink_port);
  notify_service_manager("READY=1", -1);
  took_over();
}

int main(int argc, char **argv) {
  program_invocation_short_name = "dm-ulog"; /* as in every sentence of the product */
  options_read(argc, argv);
  clock_start();
  /* A test that plays the kernel needs none. */
  if (options.kernel_port == 0) check_prerequisites();
  enter_runtime_directory(options.runtime_directory);
  if (options.is_detached) detach();
  service_manager_find();
  lock_memory(true);
  shared_make();
  make_bell();
  engine_start();
  pid_t devices = device_process_start();
  /* What takes time is done before the server that this one takes over from stops answering. */
  page_prepare();
  flight_prepare(options.flight_bytes);
  die_of_faults();
  catch_signals();

  int taken_over = options.is_take_over ? take_over() : -1;
  claim(options.is_forced);
  tidy_runtime_directory();
  open_socket(taken_over >= 0 ? taken_over : socket_kept());
  keep_socket(netlink_fd, options.has_keeper);
  /* After the keeper was forked, which would keep a copy of all that is there; before the engine begins to use it. */
  keep_program_resident(true);
  page_open();
  flight_start();
  /* From now on the other process may ring, and look at what this one has begun. */
  shared->server_port = netlink_port;
  start_engine();
  spin_start(options.spin_us);
  run_in_real_time(options.real_time_priority);
  /* SYS_ADMIN: the kernel drops replies without it. IPC_LOCK: memory of later logs is locked too. */
  keep_capabilities(1ull << CAP_SYS_ADMIN | 1ull << CAP_NET_ADMIN | 1ull << CAP_IPC_LOCK);
  forbid_system_calls();
  tell_ready();
  recall_unanswered(taken_over >= 0);

  enum ending ending = serve();
  if (ending == HANDED_OVER) hand_over(devices, argv);
  notify_service_manager("STOPPING=1", -1);
  if (ending == STOPPED) let_socket_go();
  flight_close();
  page_close();
  say(INFO, "dm-ulogd has stopped.");
  if (!devices_are_idle()) say(ERROR, "A device hangs; its reads and writes are left unfinished.");
  device_process_end(!devices_are_idle());
  _exit(0); /* whatever hangs */
}
