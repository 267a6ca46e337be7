/* The nodes of block devices. */
#ifndef BLOCK_NODE_H
#define BLOCK_NODE_H

#include <stdbool.h>
#include <sys/types.h>

/* Takes `major:minor` and nothing else. */
bool parse_numbers(const char *text, dev_t *device);

/*
 * Opens a block device by the kernel's own name for it, which every program uses, so that their locks meet. Where /dev has no
 * node of it, one is made in the runtime directory, which is the present directory. Returns a descriptor or a negative errno.
 */
int open_block_device(dev_t device, int flags);

#endif
