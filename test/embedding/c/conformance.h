/*
 * Stands before each source of the appliance where it is built for `dm-ulog conformance`: what the appliance asks of its
 * machine, it asks of the kit. Files in its own directory, locks and threads are its own. Make says which source it is.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

int appliance_main(int argc, char **argv);
uint32_t kit_input(Z_dm_ulog_instance_t *core);
int kit_setsockopt(int socket, int level, int option, const void *value, socklen_t size);
ssize_t kit_recvfrom(int socket, void *datagram, size_t room, int flags, struct sockaddr *from, socklen_t *from_size);
ssize_t kit_sendto(int socket, const void *datagram, size_t size, int flags, const struct sockaddr *to, socklen_t to_size);
int kit_clock_gettime(clockid_t clock, struct timespec *time);
ssize_t kit_read_job(int pipe, void *job, size_t size);
ssize_t kit_write_job(int pipe, const void *job, size_t size);
ssize_t kit_readlink(const char *link, char *target, size_t room);
int kit_stat(const char *name, struct stat *file);
int kit_open_device(const char *name, int flags);
int kit_close_device(int fd);
ssize_t kit_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t kit_pwrite(int fd, const void *bytes, size_t size, off_t offset);
int kit_fdatasync(int fd);
int kit_open_state(const char *path, int flags, ...);

#if defined KIT_FOR_appliance
#define main appliance_main
#define Z_dm_ulogZ_handleInput kit_input
#define socket(...) 0
#define bind(...) 0
#define getsockname(...) (void)0
#define mlockall(...) 0
#define setsockopt kit_setsockopt
#define recvfrom kit_recvfrom
#define sendto kit_sendto
#define clock_gettime kit_clock_gettime
#elif defined KIT_FOR_jobs
#define read kit_read_job
#define write kit_write_job
#define readlink kit_readlink
#define stat(name, file) kit_stat(name, file)
#define open kit_open_device
#define close kit_close_device
#define pread kit_pread
#define pwrite kit_pwrite
#define fdatasync kit_fdatasync
#elif defined KIT_FOR_state_files
#define open kit_open_state
#endif
