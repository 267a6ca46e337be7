#include "recall.h"

#include <errno.h>

#include "clock.h"
#include "dm-ulog.h"
#include "loop.h"
#include "state-files.h"

/*
 * A server that starts: more than a kernel has under way at once, on either side of the last number seen. What came after it was not
 * received; what came before it may be an older server's, which kept the last number alone.
 */
#define NUMBERS_AROUND 256
/* After an overrun: so many after the last one seen, since nothing may come that would tell how many were lost. */
#define NUMBERS_AHEAD 1024
/* And so many before the first one seen then. Telling one takes about 2 us. */
#define NUMBERS_MISSED_MAX 16384

/* Of a slice: requests that wait are answered between two. */
#define NUMBERS_PER_SLICE 16

/* The kernel has given up what it has not heard of for 15 s, and sent it again with another number. */
#define GIVEN_UP_S 16
/* For each that begins to wait, so many are looked at: what was given up goes faster than others come. */
#define LOOKS 2

static bool is_waiting;
static uint32_t told_up_to;
/* Of what an earlier server left: the next number to tell on either side, and how many are left there. */
static struct { uint32_t next, left; } behind, ahead;
/* Of the requests that wait, so many are the earlier server's, and are still to be told. They are the first. */
static uint32_t inherited;
/* The last request that was seen has not been answered so far. */
static bool is_in_hand;
/* When each of those that wait began to, modulo 2^16 s, and which of them is looked at next. */
static uint16_t since_s[WAITING_MAX];
static uint32_t hand;

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

/* The last one takes the place. A server that is killed in the midst of this leaves one twice, and none out. */
static void remove_waiting(uint32_t index) {
  uint32_t last = requests->waiting_count - 1;
  since_s[index] = since_s[last];
  requests->waiting[index] = requests->waiting[last];
  requests->waiting_count = last;
}

static void tell_inherited(uint32_t count) {
  for (; count > 0 && inherited > 0; count--) {
    inherited--;
    tell(requests->waiting[inherited], 1);
    remove_waiting(inherited);
  }
}

void recall_unanswered(bool was_heard) {
  inherited = requests->waiting_count;
  if (requests->last == 0) return;
  behind.next = requests->last;
  behind.left = NUMBERS_AROUND + 1;
  ahead.next = requests->last + 1;
  ahead.left = was_heard ? 0 : NUMBERS_AROUND;
}

bool recall_is_under_way(void) { return inherited > 0 || behind.left > 0 || ahead.left > 0; }

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
  tell_inherited(NUMBERS_PER_SLICE);
}

void recall_lost(void) {
  uint32_t last = requests->last;
  if (last != 0) tell(last + 1, NUMBERS_AHEAD);
  told_up_to = last + NUMBERS_AHEAD;
  is_waiting = true;
}

void recall_saw(uint32_t number) {
  requests->last = number;
  is_in_hand = true;
  /* What follows this one comes to this server too. */
  int32_t between = (int32_t)(number - ahead.next);
  if (ahead.left > 0 && between < (int32_t)ahead.left) ahead.left = between > 0 ? (uint32_t)between : 0;
  if (!is_waiting) return;
  is_waiting = false;
  int32_t missed = (int32_t)(number - 1 - told_up_to);
  uint32_t count = missed <= 0 ? 0 : missed > NUMBERS_MISSED_MAX ? NUMBERS_MISSED_MAX : (uint32_t)missed;
  tell(number - count, count);
}

void recall_answered(uint32_t number) {
  if (is_in_hand && number == requests->last) {
    is_in_hand = false;
    return;
  }
  for (uint32_t i = requests->waiting_count; i > inherited; i--) {
    if (requests->waiting[i - 1] != number) continue;
    remove_waiting(i - 1);
    return;
  }
}

static void remove_given_up(uint16_t now_s) {
  for (int looks = 0; looks < LOOKS; looks++) {
    if (hand < inherited || hand >= requests->waiting_count) hand = inherited;
    if (hand == requests->waiting_count) return;
    if ((uint16_t)(now_s - since_s[hand]) > GIVEN_UP_S) remove_waiting(hand);
    else hand++;
  }
}

void recall_handled(void) {
  if (!is_in_hand) return;
  is_in_hand = false;
  uint16_t now_s = (uint16_t)(now_ns / NS_PER_S);
  remove_given_up(now_s);
  if (requests->waiting_count == WAITING_MAX) tell_inherited(1);
  uint32_t count = requests->waiting_count;
  if (count == WAITING_MAX) return;
  since_s[count] = now_s;
  requests->waiting[count] = requests->last;
  requests->waiting_count = count + 1;
}
