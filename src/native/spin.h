/*
 * After an answer the server may look for the next request for a while before it sleeps: being woken takes longer than most
 * requests. It looks as long as recent requests say that another is near, never on a machine with one processor, and not while
 * others want the processor.
 */
#ifndef SPIN_H
#define SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* What it cost and brought, for metrics. `window_ns` is how long the server looks at present. */
extern struct spin { uint64_t window_ns, most_ns, tries, hits, spent_ns; } spin;

/* `most_us`: the longest look; 0 for never. */
void spin_start(uint32_t most_us);

/* A look has ended: it took so long, and something came or not. */
void spin_ended(uint64_t took_ns, bool has_come, uint64_t now_ns);

/* The server slept after its last answer, so long until something came. */
void spin_slept(uint64_t slept_ns, uint64_t now_ns);

#endif
