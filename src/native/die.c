#include "die.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "flight.h"
#include "say.h"

static _Noreturn void end(const char *sentence) {
  flight_trapped(sentence);
  write_sentence(ERROR, sentence);
  _exit(1);
}

void die(const char *format, ...) {
  char sentence[512];
  va_list words;
  va_start(words, format);
  vsnprintf(sentence, sizeof sentence, format, words);
  va_end(words);
  end(sentence);
}

static void on_fault(int signal) {
  end(signal == SIGBUS ? "The core has stopped: an address beyond its memory, or no memory is left for it."
                       : "The server has stopped: an address that it may not use.");
}

void die_of_faults(void) {
  static char stack[16384];
  sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
  struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_RESETHAND};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGFPE, &action, NULL);
}
