/* Flushes the write caches of mirrors' legs, on a bounded number of threads. */
#ifndef LEG_FLUSHES_H
#define LEG_FLUSHES_H

/* Device process, before any flush. */
void leg_flushes_start(void);

/* Device process: begins the flush that stands in `shared->flushes[handle]`, as soon as a thread is free for it. */
void start_flush(unsigned handle);

#endif
