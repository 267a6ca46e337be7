/* Mapped files of the runtime directory: their space is taken and their pages stay in memory, so that no store waits. */
#ifndef RESIDENT_FILE_H
#define RESIDENT_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* Takes so many bytes of a file that is open for reading and writing, and maps them. Returns NULL, and why in errno, if it cannot. */
void *resident_file_map(int fd, uint64_t bytes);

/*
 * The same in pieces, for a file so large that others would wait: `reserve` makes it that long and maps it, and `take` takes the space
 * of a piece, after which no store there waits. They return NULL or false, and why in errno, where that cannot be.
 */
void *resident_file_reserve(int fd, uint64_t bytes);
bool resident_file_take(int fd, uint8_t *mapped, uint64_t offset, uint64_t bytes);

/*
 * Makes a file without a name and maps it, which may take its time before anybody waits. Returns NULL, and why in errno, where
 * that cannot be.
 */
void *resident_file_make(uint64_t bytes, int *fd);

/* Gives the file its name, which no other may have, and closes it. Returns false, and why in errno, where it cannot. */
bool resident_file_name(int fd, const char *name);

#endif
