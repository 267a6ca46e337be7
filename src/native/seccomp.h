/* System calls that this program never makes, and that nobody is to make with its rights. */
#ifndef SECCOMP_H
#define SECCOMP_H

/*
 * From now on they fail with EPERM in this thread and in those that it starts. A kernel without seccomp filters (Linux before
 * 3.5, or built without them) goes on without.
 */
void forbid_system_calls(void);

#endif
