/*
 * Asks the kernel to send requests again that nobody will answer: those that died with the server before this one, and those
 * that did not fit into the receive buffer. The kernel would wait 15 s for their answers; told to try again, it sends them at
 * once. Every request is safe to repeat, and the kernel ignores what it hears of a number it does not wait for.
 */
#ifndef RECALL_H
#define RECALL_H

#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

/* What asks for one: an answer without data. */
struct bare_answer { struct nlmsghdr netlink; struct cn_msg connector; };
struct bare_answer ask_again(uint32_t number);

/* Of what an earlier server took with it; `was_heard` where none was sent that no server received. It is told in slices. */
void recall_unanswered(bool was_heard);

/* Whether slices are left, and the next one. */
bool recall_is_under_way(void);
void recall_next(void);

/* The receive buffer was full, and is empty now. */
void recall_lost(void);

/* A request with this number was received: the first one after an overrun tells how many were lost before it. */
void recall_saw(uint32_t number);

/* The answer to this number was sent. */
void recall_answered(uint32_t number);

/* All is done that the request seen last has led to: if it was not answered, it waits, and the next server asks for it. */
void recall_handled(void);

#endif
