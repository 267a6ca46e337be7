/*
 * Loaded before User Mode Linux on processors with AMX. Linux 6.1 as a user-mode kernel keeps 2,696 bytes of a process's
 * extended registers, which is all of them but the AMX tiles. A host's kernel sets extended registers only as a whole
 * (arch/x86/kernel/fpu/regset.c) and answers the shorter request with EFAULT, at which the guest panics before its
 * first process runs. So what the guest gives is completed with what the process has: no guest program uses tiles.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* Tiles take 8 KiB, the rest less than 3. */
static char whole[1 << 16] __attribute__((aligned(64)));

long ptrace(enum __ptrace_request request, ...) {
  static long (*host)(int, pid_t, void *, void *);
  if (host == NULL) host = (long (*)(int, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");
  va_list words;
  va_start(words, request);
  pid_t pid = va_arg(words, pid_t);
  void *address = va_arg(words, void *), *data = va_arg(words, void *);
  va_end(words);

  long result = host(request, pid, address, data);
  if (result == 0 || errno != EFAULT || request != PTRACE_SETREGSET || address != (void *)NT_X86_XSTATE) return result;
  const struct iovec *given = data;
  struct iovec all = {whole, sizeof whole};
  if (host(PTRACE_GETREGSET, pid, address, &all) < 0 || given->iov_len >= all.iov_len) return errno = EFAULT, -1;
  memcpy(whole, given->iov_base, given->iov_len);
  return host(PTRACE_SETREGSET, pid, address, &all);
}
