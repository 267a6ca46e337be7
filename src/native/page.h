/* Writes what onlookers see: see server-page.h. Nothing here waits, and a request costs a few stores. */
#ifndef PAGE_H
#define PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes the page's file, which has no name yet. Ends the process where there is no room for it. */
void page_prepare(void);

/* Names it `server`: who looks from now on sees this server. */
void page_open(void);

/* Around an input. */
void page_begin(void);
void page_end(void);

/* A request was received, and answered. */
void page_received(uint32_t number);
void page_answered(uint32_t number, uint32_t type);

/* Now and then: what changes with time. */
void page_look(void);

/* The server ends as it should. */
void page_close(void);

/* Whether the page that lies there is that of this process, which is a server of this kind and version. */
bool page_is_of_native_server(pid_t pid);

/* This server goes on with the life whose page lies there. */
void page_takes_over(void);

/* A name for this life, and that of the server that this one has taken over from; the latter is empty where there was none. */
extern const char *page_life(void);
extern const char *page_life_before(void);

#endif
