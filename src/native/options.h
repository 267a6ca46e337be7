/* The command line: the options of `dm-ulog serve`, as far as they concern the server itself. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
  const char *runtime_directory;
  uint64_t quiet_ns;
  uint32_t lazy_regions, ahead_regions, block_bytes;
  uint64_t flight_bytes;
  uint32_t spin_us;
  uint32_t real_time_priority; /* 0 for none */
  uint32_t kernel_port;        /* 0, but for a test that plays the kernel from a port of its own */
  bool is_forced, is_take_over, is_detached, has_keeper;
};

extern struct options options;

/* Ends the process with a sentence where the command line makes no sense, and after --help and --version. */
void options_read(int argc, char **argv);

#endif
