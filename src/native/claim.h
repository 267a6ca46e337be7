/* One server for each machine. */
#ifndef CLAIM_H
#define CLAIM_H

/* Ends the process with a sentence where something is missing that serving needs. */
void check_prerequisites(void);

/* Makes the runtime directory and goes there. Ends the process with a sentence where it cannot be used. */
void enter_runtime_directory(const char *path);

/*
 * Takes the locks of the runtime directory and of this machine, which end with the process; see src/node/state/machine-claim.ts for
 * what they are. Ends the process with a sentence where a living server has one.
 */
void claim(int is_forced);

/* Lets go of both: another server takes them. */
void claim_release(void);

/* The process that has the lock of the runtime directory, or 0. */
long claim_holder(void);

/* Sets aside what lies where the server keeps its files. */
void tidy_runtime_directory(void);

#endif
