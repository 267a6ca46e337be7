#include "recall.h"

#include <errno.h>

#include "dm-ulog.h"
#include "loop.h"
#include "state-files.h"

/* A server that starts: more than a kernel has under way at once, on either side of the last number seen. */
#define NUMBERS_AROUND 256
/* After an overrun: so many after the last one seen, since nothing may come that would tell how many were lost. */
#define NUMBERS_AHEAD 1024
/* And so many before the first one seen then. Telling one takes about 2 us. */
#define NUMBERS_MISSED_MAX 16384

/* Of a slice: requests that wait are answered between two. */
#define NUMBERS_PER_SLICE 16

static bool is_waiting;
static uint32_t told_up_to;
/* Of what an earlier server left: the next number to tell on either side, and how many are left there. */
static struct { uint32_t next, left; } behind, ahead;

struct bare_answer ask_again(uint32_t number) {
  return (struct bare_answer){
      {sizeof(struct bare_answer), NLMSG_DONE, 0, 0, 0},
      {.id = {DM_ULOG_CN_IDX_DM, DM_ULOG_CN_VAL_DM_USERSPACE_LOG}, .seq = number, .ack = EAGAIN},
  };
}

static void tell(uint32_t first, uint32_t count) {
  struct bare_answer again = ask_again(first);
  for (uint32_t i = 0; i < count; i++) {
    again.connector.seq = first + i;
    send_to_kernel(&again, sizeof again);
  }
}

void recall_unanswered(bool was_heard) {
  if (*last_request == 0) return;
  behind.next = *last_request;
  behind.left = NUMBERS_AROUND + 1;
  ahead.next = *last_request + 1;
  ahead.left = was_heard ? 0 : NUMBERS_AROUND;
}

bool recall_is_under_way(void) { return behind.left > 0 || ahead.left > 0; }

/* What was asked last is most likely still waited for: the numbers next to it come first. */
void recall_next(void) {
  uint32_t back = behind.left < NUMBERS_PER_SLICE ? behind.left : NUMBERS_PER_SLICE;
  uint32_t on = ahead.left < NUMBERS_PER_SLICE ? ahead.left : NUMBERS_PER_SLICE;
  tell(behind.next - back + 1, back);
  behind.next -= back;
  behind.left -= back;
  tell(ahead.next, on);
  ahead.next += on;
  ahead.left -= on;
}

void recall_lost(void) {
  uint32_t last = *last_request;
  if (last != 0) tell(last + 1, NUMBERS_AHEAD);
  told_up_to = last + NUMBERS_AHEAD;
  is_waiting = true;
}

void recall_saw(uint32_t number) {
  *last_request = number;
  /* What follows this one comes to this server too. */
  int32_t between = (int32_t)(number - ahead.next);
  if (ahead.left > 0 && between < (int32_t)ahead.left) ahead.left = between > 0 ? (uint32_t)between : 0;
  if (!is_waiting) return;
  is_waiting = false;
  int32_t missed = (int32_t)(number - 1 - told_up_to);
  uint32_t count = missed <= 0 ? 0 : missed > NUMBERS_MISSED_MAX ? NUMBERS_MISSED_MAX : (uint32_t)missed;
  tell(number - count, count);
}
