/* Tells systemd the server's state (sd_notify), if systemd has started it. */
#ifndef SERVICE_MANAGER_H
#define SERVICE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads the environment. */
void service_manager_find(void);

/* Sends a state, and with it a descriptor if `fd` is none below 0. Returns whether there is somebody to tell. Never waits. */
bool notify_service_manager(const char *state, int fd);

/* Time between two pings of the watchdog, in ns; 0 where there is none. */
extern uint64_t watchdog_interval_ns;

/* What a server that takes over must know of it: systemd tells the program that it starts for a reload nothing. */
struct service_manager { uint64_t watchdog_interval_ns; uint32_t address_bytes; char address[108]; };
void service_manager_tell(struct service_manager *told);
void service_manager_be_told(const struct service_manager *told);

/* Waits for a child that is about to end. */
void wait_for(pid_t pid);

#endif
