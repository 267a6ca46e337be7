/*
 * The server's log. Sentences wait in memory that both processes share; the one that may wait for a slow terminal or a
 * journal writes them. Where the log is full, sentences are counted instead of kept, and the count is told.
 */
#ifndef SAY_H
#define SAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dm-ulog.h"

enum level { ERROR = 3, WARNING = 4, INFO = 6 }; /* as syslog numbers them */
enum log_format { PLAIN, JOURNAL, JSON };

#define SENTENCE_BYTES 1000
/* Sentences that can wait. A person reads far fewer in the time that they take to be written. */
#define SENTENCES 128

struct sentence { uint32_t is_notice, level; char text[SENTENCE_BYTES]; };

/* One thread puts sentences in, and one takes them out. `rings` changes whenever there is something to look at. */
struct log_ring { atomic_uint rings, put, taken, lost, is_ended; struct sentence sentences[SENTENCES]; };

extern enum log_format log_format;
/* Where `say` puts sentences; NULL to write them at once. */
extern struct log_ring *log_ring;

/* `JOURNAL` where systemd has connected standard output to its journal. */
enum log_format log_format_of_output(void);

void say(enum level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The payload of a notice effect: put into words by whoever writes the log. */
void say_notice(const uint8_t *notice);

/* Writes a sentence. `text` ends with a NUL and may have several lines. */
void write_sentence(enum level level, const char *text);

/* Writes what waits, from now on until `log_end` was called and nothing waits. No more than 20 sentences of a level in a second. */
void write_log(struct log_ring *ring);

/* Nothing more is said. */
void log_end(void);

/* Whether all that was said is written. */
bool log_is_written(void);

#endif
