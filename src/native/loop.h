/* The request path: socket, core, socket. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How a loop has ended. STOPPED: nobody uses a log, or nothing keeps the socket; the kernel finds nobody. LEFT: mirrors wait, and what
 * they ask waits for the next server in the socket. HANDED_OVER: to a server that waits.
 */
enum ending { STOPPED, LEFT, HANDED_OVER };

/* Of the kernel's netlink socket, from `open_socket` on. */
extern int netlink_fd;
extern uint32_t netlink_port;
extern uint64_t overruns;

/* Takes the socket that was kept, or makes one, and joins the kernel's group: from then on requests queue up. */
void open_socket(int kept_fd);

void send_to_kernel(const void *datagram, size_t size);

/* Gives the core an input whose payload stands in its place, and does all that it asks for. */
void handle(uint32_t kind, uint32_t size, uint32_t port);

/* Serves until a signal asks to stop or to hand over. */
enum ending serve(void);

/* SIGTERM and SIGINT ask to stop, SIGUSR2 to hand over. */
void catch_signals(void);

#endif
