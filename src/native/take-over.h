/*
 * One server takes the place of another without a request waiting for it. The new one boots fully, then asks the old one to
 * hand over. That one stops reading, ends what its devices do, lets go of devices and locks, and hands over the socket, in
 * which requests wait meanwhile. It goes when the new one serves. If the new one does not serve in time, or dies, the old one
 * begins anew from the state files. One of them reads at any time, or none.
 */
#ifndef TAKE_OVER_H
#define TAKE_OVER_H

#include <sys/types.h>

/* New server: asks the one that runs. Returns its socket, or -1 where it died meanwhile. Ends the process where it may not. */
int take_over(void);

/* New server: it serves now, and the old one may go. */
void took_over(void);

/* Old server, its loop has ended. Does not return: it goes, or begins anew. */
_Noreturn void hand_over(pid_t device_process, char **argv);

/* Goes on in a child, and lets the present process wait until it serves, and end: systemd waits for the program of a reload. */
void detach(void);

#endif
