#include "options.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "say.h"

/* As many as the core takes. */
#define MARK_AHEAD_MAX 4096

struct options options = {
    .runtime_directory = "/run/dm-ulog",
    .quiet_ns = 3000 * NS_PER_MS,
    .lazy_regions = 65536,
    .ahead_regions = 64,
    .block_bytes = 4096,
    .flight_bytes = 2u << 20,
    .spin_us = 50,
    .has_keeper = true,
};

static const char help[] =
    "Usage: dm-ulogd [options]\n\n"
    "Answers this machine's kernel in the foreground until SIGTERM. Needs root and the kernel module dm-log-userspace.\n\n"
    "  --runtime-dir <directory>   lock, state files, shared memory (default: /run/dm-ulog)\n"
    "  --quiet-time <ms>           write a clear to the log device when its region has been idle this long (default: 3000)\n"
    "  --lazy-regions <number>     write clears early when this many wait; regions of waiting clears are resynced after a\n"
    "                              power cut (default: 65536)\n"
    "  --mark-ahead <number>       mark up to this many regions on the log device ahead of a sequential writer, which saves a\n"
    "                              write for each; 0 for none (default: 64)\n"
    "  --block-size <bytes>        write logs in blocks of this size: 4096, 8192, 16384, 32768 or 65536 (default: 4096)\n"
    "  --flight-recorder <size>    memory for the last events, such as 1M; 0 for none (default: 2M)\n"
    "  --spin <us>                 look for the next request this long before sleeping, where that pays; 0 for never\n"
    "                              (default: 50)\n"
    "  --real-time <priority>      run with this priority of SCHED_RR, from 1 to 99 (default: none)\n"
    "  --take-over                 take the place of the server that runs, without a request waiting for it\n"
    "  --detach                    end as soon as the server serves, which goes on in the background\n"
    "  --no-keeper                 do not keep the socket open when this server dies\n"
    "  --force                     serve although another server seems to serve this machine: one that cannot answer any more\n"
    "  --log-format <format>       plain, journal (with priorities) or json (default: journal under systemd, else plain)\n"
    "  --version, --help\n\n"
    "Look at it with: dm-ulog status\n";

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0 || value < least || value > most)
    errx(1, "--%s %s makes no sense: give a whole number from %llu to %llu.", option, text, (unsigned long long)least,
         (unsigned long long)most);
  return value;
}

static uint64_t size(const char *option, const char *text) {
  char digits[32], unit = 0;
  uint64_t factor = 1;
  snprintf(digits, sizeof digits, "%s", text);
  size_t length = strlen(digits);
  if (length > 1 && strchr("KMG", digits[length - 1]) != NULL) {
    unit = digits[length - 1];
    digits[length - 1] = 0;
    factor = unit == 'K' ? 1u << 10 : unit == 'M' ? 1u << 20 : 1u << 30;
  }
  return number(option, digits, 0, (1u << 30) / factor) * factor;
}

static enum log_format format(const char *text) {
  if (strcmp(text, "plain") == 0) return PLAIN;
  if (strcmp(text, "journal") == 0) return JOURNAL;
  if (strcmp(text, "json") == 0) return JSON;
  errx(1, "--log-format %s makes no sense: give plain, journal or json.", text);
}

void options_read(int argc, char **argv) {
  enum { RUNTIME_DIR, QUIET_TIME, LAZY_REGIONS, MARK_AHEAD, BLOCK_SIZE, FLIGHT, SPIN, REAL_TIME, TAKE_OVER, DETACH, NO_KEEPER, FORCE,
         LOG_FORMAT, KERNEL_PORT, VERSION, HELP };
  static const struct option known[] = {
      {"runtime-dir", 1, NULL, RUNTIME_DIR}, {"quiet-time", 1, NULL, QUIET_TIME},  {"lazy-regions", 1, NULL, LAZY_REGIONS},
      {"mark-ahead", 1, NULL, MARK_AHEAD},
      {"block-size", 1, NULL, BLOCK_SIZE},   {"flight-recorder", 1, NULL, FLIGHT}, {"spin", 1, NULL, SPIN},
      {"real-time", 1, NULL, REAL_TIME},     {"take-over", 0, NULL, TAKE_OVER},    {"detach", 0, NULL, DETACH},        {"no-keeper", 0, NULL, NO_KEEPER},
      {"force", 0, NULL, FORCE},             {"log-format", 1, NULL, LOG_FORMAT},  {"kernel-port", 1, NULL, KERNEL_PORT},
      {"version", 0, NULL, VERSION},         {"help", 0, NULL, HELP},              {NULL, 0, NULL, 0}};
  log_format = log_format_of_output();
  for (int option, index = 0; (option = getopt_long(argc, argv, "", known, &index)) != -1;) {
    const char *name = option == '?' ? "" : known[index].name;
    switch (option) {
      case RUNTIME_DIR: options.runtime_directory = optarg; break;
      case QUIET_TIME: options.quiet_ns = number(name, optarg, 1, UINT32_MAX) * NS_PER_MS; break;
      case LAZY_REGIONS: options.lazy_regions = (uint32_t)number(name, optarg, 1, UINT32_MAX); break;
      case MARK_AHEAD: options.ahead_regions = (uint32_t)number(name, optarg, 0, MARK_AHEAD_MAX); break;
      case BLOCK_SIZE:
        options.block_bytes = (uint32_t)number(name, optarg, 4096, 65536);
        if ((options.block_bytes & (options.block_bytes - 1)) != 0) errx(1, "--block-size %s is no power of two.", optarg);
        break;
      case FLIGHT:
        options.flight_bytes = size(name, optarg);
        if (options.flight_bytes != 0 && options.flight_bytes < 1u << 20)
          errx(1, "--flight-recorder %s is too small: give 0, or a size from 1M to 1G.", optarg);
        break;
      case SPIN: options.spin_us = (uint32_t)number(name, optarg, 0, 1000); break;
      case REAL_TIME: options.real_time_priority = (uint32_t)number(name, optarg, 1, 99); break;
      case TAKE_OVER: options.is_take_over = true; break;
      case DETACH: options.is_detached = true; break;
      case NO_KEEPER: options.has_keeper = false; break;
      case FORCE: options.is_forced = true; break;
      case LOG_FORMAT: log_format = format(optarg); break;
      case KERNEL_PORT: options.kernel_port = (uint32_t)number(name, optarg, 0, UINT32_MAX); break;
      case VERSION: puts("dm-ulogd " DM_ULOG_VERSION); exit(0);
      case HELP: fputs(help, stdout); exit(0);
      default: exit(1);
    }
  }
  if (optind < argc) errx(1, "%s makes no sense here. See: dm-ulogd --help", argv[optind]);
}
