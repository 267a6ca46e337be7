#include "restore.h"

#include <stdint.h>

#include "engine.h"
#include "loop.h"
#include "state-files.h"

/* By handle: the size of the file that was found, 0 where none was or all of it has been given; and how much of it was given. */
static struct coming { uint64_t size, given; } coming[DM_ULOG_HANDLE_COUNT];
/* The handle whose file is being given; none before it has parts left. */
static uint32_t current;

/* A file that the core has removed meanwhile, or that it has made, is not what was found. */
static bool is_left(uint32_t number) { return coming[number].size != 0 && state_size(number) == coming[number].size; }

static void give_part(uint32_t number) {
  struct coming *file = &coming[number];
  uint64_t left = file->size - file->given;
  uint32_t part = (uint32_t)(left < DM_ULOG_RESTORE_BYTES ? left : DM_ULOG_RESTORE_BYTES);
  HEAD(DM_ULOG_INPUT_PAYLOAD) = (struct head){number, part, file->given, file->size};
  state_read(number, file->given, memory + DM_ULOG_INPUT_PAYLOAD + DM_ULOG_RESTORE_DATA, part);
  file->given += part;
  if (file->given == file->size) file->size = 0;
  handle(DM_ULOG_INPUT_KIND_RESTORE, DM_ULOG_RESTORE_DATA + part, 0);
}

void restore_begin(void) {
  for (uint32_t number = 0; number < DM_ULOG_HANDLE_COUNT; number++) {
    coming[number].size = state_size(number);
    if (coming[number].size != 0) give_part(number);
  }
}

bool restore_is_under_way(void) { return current < DM_ULOG_HANDLE_COUNT; }

void restore_next(void) {
  while (current < DM_ULOG_HANDLE_COUNT && !is_left(current)) current++;
  if (current < DM_ULOG_HANDLE_COUNT) give_part(current);
}
