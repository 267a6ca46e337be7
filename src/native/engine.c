/*
 * Runs the core and holds its memory: the few functions that code made by wasm2c asks of its runtime.
 *
 * Linear memory is a memory file. Other processes that got a descriptor of it see all that the core knows, and none of them
 * can hold the core up. An address beyond its end has no page: whatever reads there is a fault of the core and ends the
 * process, which the next one survives with the state files.
 */
#include "engine.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "die.h"
#include "memory-lock.h"

#define WASM_PAGE_BYTES 65536ull
/* All that an address of 32 bits reaches, and as much again, which an offset in the code may add to it. */
#define LINEAR_BYTES (1ull << 32)
#define RESERVED_BYTES (2 * LINEAR_BYTES)
/* What a growth takes from the machine at once, before the core uses it. More, which the core uses in slices, is taken with them. */
#define TAKEN_AT_ONCE_BYTES (1ull << 20)

uint8_t *memory;
uint64_t memory_bytes;
int memory_fd = -1;
uint32_t input_count;

static Z_dm_ulog_instance_t core, console;
static bool is_console;

void engine_start(void) {
  Z_dm_ulog_init_module();
  Z_dm_ulog_instantiate(&core);
  if (Z_dm_ulogZ_initialize(&core) != DM_ULOG_ABI_VERSION) errx(1, "The core and dm-ulog.h are not of one build.");
}

uint32_t engine_input(uint32_t kind, uint32_t size, uint32_t port, uint64_t now_ns) {
  U32(DM_ULOG_INPUT_KIND) = kind;
  U32(DM_ULOG_INPUT_PAYLOAD_SIZE) = size;
  U32(DM_ULOG_INPUT_PORT) = port;
  U64(DM_ULOG_INPUT_NOW) = now_ns;
  input_count++;
  return Z_dm_ulogZ_handleInput(&core);
}

bool engine_has_logs(void) {
  for (uint32_t handle = 0; handle < DM_ULOG_HANDLE_COUNT; handle++)
    if (U32(DM_ULOG_HANDLES + 4 * handle) != 0) return true;
  return false;
}

/* AssemblyScript's class id of bytes that hold no references. */
#define ARRAY_BUFFER 0
/* The Uint8Array that notices are handed over in, and its bytes. */
static uint32_t view_address, bytes_address;

void console_start(void) {
  is_console = true;
  Z_dm_ulog_instantiate(&console);
  Z_dm_ulogZ_initialize(&console);
  bytes_address = Z_dm_ulogZ___pin(&console, Z_dm_ulogZ___new(&console, DM_ULOG_NOTICE_BYTES, ARRAY_BUFFER));
  /* What a Uint8Array consists of: its buffer, where in it it begins, and its size. */
  const uint32_t view[] = {bytes_address, bytes_address, DM_ULOG_NOTICE_BYTES};
  view_address = Z_dm_ulogZ___pin(&console, Z_dm_ulogZ___new(&console, sizeof view, ARRAY_BUFFER));
  memcpy(Z_dm_ulogZ_memory(&console)->data + view_address, view, sizeof view);
}

int console_describe(const uint8_t *notice, char *sentence, size_t bytes) {
  uint8_t *base = Z_dm_ulogZ_memory(&console)->data;
  memcpy(base + bytes_address, notice, DM_ULOG_NOTICE_BYTES);
  int priority = (int)Z_dm_ulogZ_priorityOfNotice(&console, view_address);
  uint32_t text = Z_dm_ulogZ_describeNotice(&console, view_address);
  /* A string: UTF-16, its size in bytes four bytes before it. */
  uint32_t size = *(uint32_t *)(base + text - 4) / 2;
  size_t length = 0;
  for (uint32_t i = 0; i < size && length + 1 < bytes; i++) {
    uint16_t unit = *(uint16_t *)(base + text + 2 * i);
    sentence[length++] = unit < 0x80 ? (char)unit : '?';
  }
  sentence[length] = 0;
  Z_dm_ulogZ___collect(&console);
  return priority;
}

/* ---- What the code that wasm2c made asks for */

bool wasm_rt_is_initialized(void) { return true; }

/* The core makes no indirect calls of several types; the number only has to be the same for the same type. */
uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...) {
  return params * 16 + results + 1;
}

void wasm_rt_trap(wasm_rt_trap_t trap) {
  static const char *const reasons[] = {
      [WASM_RT_TRAP_OOB] = "an address beyond its memory",
      [WASM_RT_TRAP_INT_OVERFLOW] = "an overflow",
      [WASM_RT_TRAP_DIV_BY_ZERO] = "a division by zero",
      [WASM_RT_TRAP_UNREACHABLE] = "a check that failed",
      [WASM_RT_TRAP_EXHAUSTION] = "no stack left",
  };
  const char *reason = trap < sizeof reasons / sizeof *reasons && reasons[trap] != NULL ? reasons[trap] : "a trap";
  die("The core has stopped: %s at input %u.", reason, input_count);
}

void wasm_rt_allocate_memory(wasm_rt_memory_t *linear, uint32_t pages, uint32_t max_pages) {
  uint64_t bytes = pages * WASM_PAGE_BYTES;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  uint8_t *reserved = mmap(NULL, RESERVED_BYTES, PROT_NONE, flags, -1, 0);
  if (reserved == MAP_FAILED) err(1, "8 GiB of addresses for the core's memory");
  *linear = (wasm_rt_memory_t){reserved, pages, max_pages > 65535 ? 65535 : max_pages, (uint32_t)bytes};
  if (is_console) {
    if (mprotect(reserved, bytes, PROT_READ | PROT_WRITE) < 0) err(1, "the console's memory");
    return;
  }
  memory_fd = memfd_create("dm-ulog", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory_fd < 0 || ftruncate(memory_fd, (off_t)bytes) < 0) err(1, "the core's memory");
  errno = posix_fallocate(memory_fd, 0, (off_t)bytes);
  if (errno != 0) err(1, "the core's memory");
  /* Whoever looks on never reads beyond the end that it has seen. */
  fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK);
  if (mmap(reserved, LINEAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, memory_fd, 0) == MAP_FAILED)
    err(1, "the core's memory");
  keep_resident_to_write(reserved, bytes);
  memory = reserved;
  memory_bytes = bytes;
}

uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *linear, uint32_t delta) {
  uint32_t before = linear->pages;
  uint64_t from = before * WASM_PAGE_BYTES, added = delta * WASM_PAGE_BYTES, bytes = from + added;
  if ((uint64_t)before + delta > linear->max_pages) return UINT32_MAX;
  if (is_console) {
    if (mprotect(linear->data + from, added, PROT_READ | PROT_WRITE) < 0) return UINT32_MAX;
  } else {
    bool is_taken = added <= TAKEN_AT_ONCE_BYTES;
    if (is_taken ? posix_fallocate(memory_fd, (off_t)from, (off_t)added) != 0 : ftruncate(memory_fd, (off_t)bytes) < 0)
      return UINT32_MAX;
    if (is_taken) keep_resident_to_write(memory + from, added);
    memory_bytes = bytes;
  }
  linear->pages += delta;
  linear->size = (uint32_t)bytes;
  return before;
}

void wasm_rt_free_memory(wasm_rt_memory_t *linear) { munmap(linear->data, RESERVED_BYTES); }
