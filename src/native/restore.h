/* The logs of the server before this one, from the state files that it left. */
#ifndef RESTORE_H
#define RESTORE_H

#include <stdbool.h>

/* Hands the core the first part of every file, before the first request is taken: it knows all logs then. */
void restore_begin(void);

/* Whether parts may still be to come, and the next one. Requests for a log wait in the core until its last part has come. */
bool restore_is_under_way(void);
void restore_next(void);

#endif
