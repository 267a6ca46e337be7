#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "futex.h"

/* Sentences of one level that are written in any second. Of the others only the number is told. */
#define SENTENCES_PER_SECOND_MAX 20
/* In JSON each character may become six. */
#define LINE_BYTES (6 * SENTENCE_BYTES + 200)

enum log_format log_format;
struct log_ring *log_ring;

/* The next place, or NULL where all are taken. */
static struct sentence *place(void) {
  unsigned put = atomic_load_explicit(&log_ring->put, memory_order_relaxed);
  if (put - atomic_load(&log_ring->taken) < SENTENCES) return &log_ring->sentences[put % SENTENCES];
  atomic_fetch_add(&log_ring->lost, 1);
  return NULL;
}

static void ring(void) {
  atomic_fetch_add(&log_ring->rings, 1);
  futex_wake(&log_ring->rings);
}

static void put(void) {
  atomic_fetch_add(&log_ring->put, 1);
  ring();
}

void say(enum level level, const char *format, ...) {
  struct sentence now, *sentence = log_ring == NULL ? &now : place();
  if (sentence == NULL) return;
  va_list words;
  va_start(words, format);
  vsnprintf(sentence->text, sizeof sentence->text, format, words);
  va_end(words);
  sentence->is_notice = 0;
  sentence->level = level;
  if (log_ring == NULL) write_sentence(level, sentence->text);
  else put();
}

void say_notice(const uint8_t *notice) {
  struct sentence *sentence = place();
  if (sentence == NULL) return;
  sentence->is_notice = 1;
  memcpy(sentence->text, notice, DM_ULOG_NOTICE_BYTES);
  put();
}

static void write_all(int fd, const char *line, size_t size) {
  while (size > 0) {
    ssize_t written = write(fd, line, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return; /* Nobody listens: the kernel is served all the same. */
    line += written;
    size -= (size_t)written;
  }
}

/* A line of JSON. Control characters, quotes and what is no ASCII are escaped, so that every reader takes it. */
static size_t json_line(char *line, size_t bytes, enum level level, const char *text) {
  struct timespec now;
  struct tm utc;
  char date[32];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  const char *name = level == ERROR ? "error" : level == WARNING ? "warning" : "info";
  size_t size = (size_t)snprintf(line, bytes, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":\"", date,
                                 now.tv_nsec / 1000000, name);
  for (; *text != 0 && size + 12 < bytes; text++) {
    unsigned char character = (unsigned char)*text;
    if (character == '"' || character == '\\') size += (size_t)snprintf(line + size, bytes - size, "\\%c", character);
    else if (character < 0x20 || character > 0x7e) size += (size_t)snprintf(line + size, bytes - size, "\\u%04x", character);
    else line[size++] = (char)character;
  }
  return size + (size_t)snprintf(line + size, bytes - size, "\"}\n");
}

void write_sentence(enum level level, const char *text) {
  char line[LINE_BYTES];
  if (log_format == JSON) {
    write_all(STDOUT_FILENO, line, json_line(line, sizeof line, level, text));
  } else if (log_format == JOURNAL) {
    /* The journal makes each line a message of its own. */
    for (const char *end; *text != 0; text = *end == 0 ? end : end + 1) {
      end = strchrnul(text, '\n');
      write_all(STDOUT_FILENO, line, (size_t)snprintf(line, sizeof line, "<%d>%.*s\n", level, (int)(end - text), text));
    }
  } else if (level == INFO) {
    write_all(STDOUT_FILENO, line, (size_t)snprintf(line, sizeof line, "%s\n", text));
  } else {
    write_all(STDERR_FILENO, line, (size_t)snprintf(line, sizeof line, "dm-ulog: %s\n", text));
  }
}

/* By level: how many were written in the present second, and how many were not. */
static struct { unsigned written, left_out; } counts[INFO + 1];

static void write_limited(enum level level, const char *text) {
  static time_t second;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec != second) {
    second = now.tv_sec;
    for (enum level each = ERROR; each <= INFO; each++) {
      char sentence[64];
      snprintf(sentence, sizeof sentence, "… and %u more messages of this level.", counts[each].left_out);
      if (counts[each].left_out > 0) write_sentence(each, sentence);
      counts[each].written = counts[each].left_out = 0;
    }
  }
  if (counts[level].written++ < SENTENCES_PER_SECOND_MAX) write_sentence(level, text);
  else counts[level].left_out++;
}

static void write_next(struct log_ring *ring, unsigned taken) {
  const struct sentence *sentence = &ring->sentences[taken % SENTENCES];
  char text[SENTENCE_BYTES];
  if (sentence->is_notice) {
    int priority = console_describe((const uint8_t *)sentence->text, text, sizeof text);
    write_limited(priority <= ERROR ? ERROR : priority <= WARNING ? WARNING : INFO, text);
  } else write_limited(sentence->level, sentence->text);
}

void write_log(struct log_ring *ring) {
  for (unsigned taken = 0;;) {
    unsigned rings = atomic_load(&ring->rings), put = atomic_load(&ring->put);
    if (put == taken && atomic_load(&ring->is_ended)) return;
    if (put == taken) futex_wait(&ring->rings, rings, 0);
    for (; taken != put; atomic_store(&ring->taken, ++taken)) write_next(ring, taken);
    unsigned lost = atomic_exchange(&ring->lost, 0);
    char sentence[96];
    snprintf(sentence, sizeof sentence, "%u messages came faster than they could be written, and are lost.", lost);
    if (lost > 0) write_sentence(WARNING, sentence);
  }
}

void log_end(void) {
  atomic_store(&log_ring->is_ended, 1);
  ring();
}

bool log_is_written(void) { return atomic_load(&log_ring->taken) == atomic_load(&log_ring->put); }

enum log_format log_format_of_output(void) {
  /* The variable alone is not enough: children inherit it. */
  const char *journal = getenv("JOURNAL_STREAM");
  unsigned long long device, inode;
  struct stat output;
  bool is_journal = journal != NULL && sscanf(journal, "%llu:%llu", &device, &inode) == 2 && fstat(STDOUT_FILENO, &output) == 0 &&
                    output.st_dev == device && output.st_ino == inode;
  return is_journal ? JOURNAL : PLAIN;
}
