/*
 * The server keeps CAP_SYS_ADMIN, since the kernel drops replies without it, and the device process opens devices. What else that
 * would allow is taken away here. A list of what is forbidden, not of what is allowed: a C library that makes a call which no list
 * knew must not end a server in the write path. Programs on this machine are no way around it: their calls go through it too.
 */
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "say.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
/* Of the x32 calls, which have numbers of their own. */
#define FOREIGN_FROM 0x40000000u
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define FOREIGN_FROM UINT32_MAX
#endif

#ifdef ARCHITECTURE

static const uint16_t forbidden[] = {
    /* Other processes' memory, and the kernel's. */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_syslog,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
    /* File systems, namespaces, swap. */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_swapon, SYS_swapoff, SYS_quotactl,
    SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_fanotify_init,
#ifdef SYS_move_mount
    SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
    /* The machine. */
    SYS_reboot, SYS_acct, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname,
    SYS_vhangup, SYS_personality,
    /* Keys, and identities of other users. */
    SYS_add_key, SYS_request_key, SYS_keyctl, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
    SYS_setfsuid, SYS_setfsgid, SYS_setgroups,
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
#endif
};
#define FORBIDDEN (sizeof forbidden / sizeof *forbidden)
/* A jump of the filter skips 255 instructions at the most. */
_Static_assert(FORBIDDEN < 200, "The filter has no jumps that far");

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define HEAD 5u

void forbid_system_calls(void) {
  const uint8_t to_refusal = FORBIDDEN + 1;
  struct sock_filter filter[HEAD + FORBIDDEN + 2] = {
      LOAD(arch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
      RETURN(SECCOMP_RET_ERRNO | EPERM),
      LOAD(nr),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_FROM, to_refusal, 0),
  };
  for (unsigned i = 0; i < FORBIDDEN; i++)
    filter[HEAD + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, forbidden[i], (uint8_t)(FORBIDDEN - i), 0);
  filter[HEAD + FORBIDDEN] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
  filter[HEAD + FORBIDDEN + 1] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | EPERM);
  struct sock_fprog program = {HEAD + FORBIDDEN + 2, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 && errno != EINVAL)
    say(WARNING, "System calls that this server never makes cannot be forbidden: %s.", strerror(errno));
}

#else

void forbid_system_calls(void) {}

#endif
