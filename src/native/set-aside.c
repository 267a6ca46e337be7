#include "set-aside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "say.h"

#define FOLDER "set-aside"
#define PATH_BYTES 400

bool set_aside(const char *path, const char *why) {
  char target[PATH_BYTES];
  struct stat found;
  const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
  mkdir(FOLDER, 0700);
  snprintf(target, sizeof target, FOLDER "/%s", name);
  for (unsigned number = 1; lstat(target, &found) == 0; number++) snprintf(target, sizeof target, FOLDER "/%s.%u", name, number);
  if (rename(path, target) == 0) {
    say(WARNING, "%s in the runtime directory %s: it was moved to %s. Remove it if nobody misses it.", path, why, target);
    return true;
  }
  say(WARNING, "%s in the runtime directory %s, and it cannot be moved away (%s): it is ignored.", path, why, strerror(errno));
  return false;
}
