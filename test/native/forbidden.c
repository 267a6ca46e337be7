/* Prints what a harmless system call of the forbidden ones gives before and after: in this thread, and in one begun later. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/personality.h>
#include <unistd.h>

#include "say.h"
#include "seccomp.h"

void say(enum level level, const char *format, ...) {
  (void)level;
  puts(format);
}

static void *ask(void *when) {
  int result = personality(0xffffffff);
  printf("%s: %s, %s\n", (const char *)when, result >= 0 ? "allowed" : errno == EPERM ? "EPERM" : "another error",
         getpid() > 0 ? "others allowed" : "nothing allowed");
  return NULL;
}

int main(void) {
  pthread_t thread;
  ask("before");
  forbid_system_calls();
  ask("after");
  if (pthread_create(&thread, NULL, ask, "thread") != 0 || pthread_join(thread, NULL) != 0) return 1;
  return 0;
}
