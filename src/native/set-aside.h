/* Moves out of the way what lies where the server keeps its own files and is none of them. It keeps no server from starting. */
#ifndef SET_ASIDE_H
#define SET_ASIDE_H

#include <stdbool.h>

/* `why` goes on from the path: "is empty". Says what it did. Returns whether the path is free now. */
bool set_aside(const char *path, const char *why);

#endif
