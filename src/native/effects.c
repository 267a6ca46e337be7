#include "effects.h"

#include <string.h>

#include "clock.h"
#include "devices.h"
#include "die.h"
#include "engine.h"
#include "loop.h"
#include "page.h"
#include "recall.h"
#include "say.h"
#include "state-files.h"

uint64_t wake_ns;

static void send_reply(uint32_t at, uint32_t bytes) {
  send_to_kernel(memory + at, bytes);
  recall_answered(U32(at + DM_ULOG_ULOG_SEQ));
  page_answered(U32(at + DM_ULOG_ULOG_SEQ), U32(at + DM_ULOG_ULOG_TYPE) & DM_ULOG_REQUEST_TYPE_MASK);
}

static void tell_unkept(const struct head *head, int error) {
  if (error < 0)
    say(ERROR,
        "A log's state could not be kept (handle %u, %s): if this server is started again while that log is in use, its mirror is "
        "resynced.",
        head->handle, strerror(-error));
}

static void delete_state(uint32_t handle) {
  int error = state_delete(handle);
  if (error < 0)
    say(WARNING,
        "The state file of a log that has ended could not be removed (state/%u in the runtime directory, %s). It was emptied, so "
        "that no server goes on with it. Remove it by hand.",
        handle, strerror(-error));
}

static void do_one(uint32_t kind, uint32_t at, uint32_t bytes) {
  switch (kind) {
    case DM_ULOG_EFFECT_KIND_SEND: send_reply(at, bytes); break;
    case DM_ULOG_EFFECT_KIND_NOTICE: say_notice(memory + at); break;
    case DM_ULOG_EFFECT_KIND_WAKE: wake_ns = U64(at + DM_ULOG_WAKE_TIME); break;
    case DM_ULOG_EFFECT_KIND_OPEN: case DM_ULOG_EFFECT_KIND_READ: case DM_ULOG_EFFECT_KIND_WRITE: case DM_ULOG_EFFECT_KIND_CLOSE:
      device_ask(kind, at, bytes);
      break;
    case DM_ULOG_EFFECT_KIND_FLUSH_LEGS: flush_ask(at, now_ns); break;
    case DM_ULOG_EFFECT_KIND_STATE_CREATE: tell_unkept(&HEAD(at), state_create(&HEAD(at))); break;
    case DM_ULOG_EFFECT_KIND_STATE_WRITE:
      tell_unkept(&HEAD(at), state_write(&HEAD(at), memory + U32(at + DM_ULOG_WRITE_ADDRESS)));
      break;
    case DM_ULOG_EFFECT_KIND_STATE_DELETE: delete_state(HEAD(at).handle); break;
    default: die("The core asks for effect %u, which is not known here.", kind);
  }
}

void carry_out(uint32_t bytes) {
  uint32_t at = DM_ULOG_EFFECTS;
  for (uint32_t end = at + bytes; at < end;) {
    uint32_t size = U32(at + DM_ULOG_EFFECT_PAYLOAD_SIZE);
    do_one(U32(at + DM_ULOG_EFFECT_KIND), at + DM_ULOG_EFFECT_PAYLOAD, size);
    at += DM_ULOG_EFFECT_PAYLOAD + ((size + 7) & ~7u);
  }
  devices_hand_over();
}
