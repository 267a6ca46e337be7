/*
 * Wakes the server with a datagram to its netlink socket, from a socket that only the device process has: the server waits
 * for one descriptor, whatever it waits for.
 */
#ifndef BELL_H
#define BELL_H

#include <stdbool.h>
#include <stdint.h>

/* Before the processes part: makes the socket. Ends the process where it cannot be had. */
void make_bell(void);

/* Its descriptor and port. */
extern int bell_fd;
extern uint32_t bell_port;

/* Device process, any thread. One datagram stands for all rings until the server takes it. */
void ring_bell(void);

/* Server: takes the ring. Call it before looking for the reason. */
void bell_taken(void);

#endif
