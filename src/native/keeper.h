/*
 * Keeps the server's netlink socket open while no server runs, so that the kernel's requests wait in it instead of finding nobody:
 * the kernel looks again only every 2 s. Under systemd, its store of descriptors does that.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <stdbool.h>

/* A socket that a server before this one left to systemd or to a keeper; -1 for none. Verified to be what it should be. */
int socket_kept(void);

/* Sees to it that the socket is kept: by systemd if it started this server, by a keeper process else. */
void keep_socket(int netlink, bool has_keeper);

/* Whether something keeps it. */
bool socket_outlives_server(void);

/* The server stops, and no other is to take its place: nothing is kept. */
void let_socket_go(void);

/* Sends a descriptor with one byte of data, or receives one: -1 where none came. For sockets that keep messages apart. */
bool send_descriptor(int to, char word, int fd);
int receive_descriptor(int from, char *word);

#endif
