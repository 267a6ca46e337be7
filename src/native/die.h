/* The end of a server that cannot go on. */
#ifndef DIE_H
#define DIE_H

/* Says why, keeps the last events, and ends the process with 1. Takes no lock and allocates nothing. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Does the same where the processor finds the fault. */
void die_of_faults(void);

#endif
