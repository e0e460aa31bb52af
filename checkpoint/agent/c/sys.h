/* SPDX-License-Identifier: Apache-2.0 */
/* System calls and the few kernel structures that the agent needs, without libc. */
#ifndef HOLDSHORT_SYS_H
#define HOLDSHORT_SYS_H
#include "abi.h"

#define MAP_SHARED_FIXED 0x11
#define MAP_OWN_FIXED 0x32 /* private, anonymous */

#if defined(__x86_64__)
static inline s64 sys6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	s64 r;
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#define NR_read 0
#define NR_write 1
#define NR_close 3
#define NR_fstat 5
#define NR_mmap 9
#define NR_rt_sigaction 13
#define NR_rt_sigprocmask 14
#define NR_sendto 44
#define NR_sendmsg 46
#define NR_recvmsg 47
#define NR_execve 59
#define NR_wait4 61
#define NR_munmap 11
#define NR_madvise 28
#define NR_setgroups 116
#define NR_setresuid 117
#define NR_setresgid 119
#define NR_capset 126
#define NR_rt_sigtimedwait 128
#define NR_restart_syscall 219
#define NR_kill 62
#define NR_fcntl 72
#define NR_dup3 292
#define NR_getpid 39
#define NR_prctl 157
#define NR_setpriority 141
#define NR_ioprio_set 251
#define NR_futex 202
#define NR_exit_group 231
#define NR_waitid 247
#define NR_openat 257
#define NR_ppoll 271
#define NR_signalfd4 289
#define NR_pipe2 293
#define NR_prlimit64 302
#define NR_sched_setattr 314
#define NR_execveat 322
#define NR_sched_yield 24
#define NR_nanosleep 35
#define NR_unlinkat 263
#define NR_clock_gettime 228
#define NR_epoll_create1 291
#define NR_statx 332
#define NR_epoll_ctl 233
#define NR_epoll_pwait 281
#elif defined(__aarch64__)
static inline s64 sys6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 x8 __asm__("x8") = nr;
	register u64 x0 __asm__("x0") = a;
	register u64 x1 __asm__("x1") = b;
	register u64 x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d;
	register u64 x4 __asm__("x4") = e;
	register u64 x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return (s64)x0;
}
#define NR_epoll_create1 20
#define NR_statx 291
#define NR_epoll_ctl 21
#define NR_epoll_pwait 22
#define NR_fcntl 25
#define NR_dup3 24
#define NR_openat 56
#define NR_close 57
#define NR_pipe2 59
#define NR_read 63
#define NR_write 64
#define NR_ppoll 73
#define NR_signalfd4 74
#define NR_fstat 80
#define NR_exit_group 94
#define NR_waitid 95
#define NR_futex 98
#define NR_clock_gettime 113
#define NR_ioprio_set 30
#define NR_sched_yield 124
#define NR_nanosleep 101
#define NR_unlinkat 35
#define NR_kill 129
#define NR_rt_sigaction 134
#define NR_rt_sigprocmask 135
#define NR_setpriority 140
#define NR_prctl 167
#define NR_getpid 172
#define NR_sendto 206
#define NR_sendmsg 211
#define NR_recvmsg 212
#define NR_execve 221
#define NR_wait4 260
#define NR_munmap 215
#define NR_madvise 233
#define NR_setgroups 159
#define NR_setresuid 147
#define NR_setresgid 149
#define NR_capset 91
#define NR_rt_sigtimedwait 137
#define NR_restart_syscall 128
#define NR_mmap 222
#define NR_prlimit64 261
#define NR_sched_setattr 274
#define NR_execveat 281
#else
#error "architecture not supported"
#endif
#define STATX_TYPE_MODE 3
#define NR_pidfd_send_signal 424
#define NR_pidfd_open 434
#define NR_clone3 435
#define NR_close_range 436

#define sys0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) sys6(n, (u64)(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) sys6(n, (u64)(a), (u64)(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) sys6(n, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define sys4(n, a, b, c, d) sys6(n, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)
#define sys5(n, a, b, c, d, e) sys6(n, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), 0)

enum { EINTR = 4, EAGAIN = 11, ENOMEM = 12, EINVAL = 22, EBADMSG = 74, EPERM = 1, ESRCH = 3, E2BIG = 7, EFAULT = 14, EBUSY = 16, ENOSYS = 38, ETIMEDOUT = 110 };

struct clone_args {
	u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define CLONE_PIDFD 0x1000ULL
#define CLONE_PARENT 0x8000ULL
#define CLONE_PARENT_SETTID 0x100000ULL
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#define CLONE_INTO_CGROUP 0x200000000ULL
/* mnt, cgroup, uts, ipc, user, pid, net, time */
#define CLONE_NEW_ALL (0x20000ULL | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x80)
#define CLONE_NEWPID 0x20000000ULL

struct iovec { void *base; u64 len; };
struct msghdr {
	void *name; u32 namelen; u32 pad0;
	struct iovec *iov; u64 iovlen;
	void *control; u64 controllen;
	s32 flags; u32 pad1;
};
struct cmsghdr { u64 len; s32 level; s32 type; };
#define MSG_CTRUNC 8
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_NOSIGNAL 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000

struct siginfo { s32 signo, err, code, pad; s32 pid; u32 uid; s32 status; u8 rest[128 - 28]; };
#define P_ALL 0
#define P_PID 1
#define WNOHANG 1
#define WSTOPPED 2
#define WEXITED 4
#define WCONTINUED 8
#define WNOWAIT 0x1000000
#define WALL 0x40000000
enum { CLD_EXITED = 1, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED };

struct pollfd { s32 fd; short events, revents; };
struct timespec { s64 sec, nsec; };
#if defined(__x86_64__)
struct __attribute__((packed)) epoll_event { u32 events; u64 data; };
#else
struct epoll_event { u32 events; u32 pad; u64 data; };
#endif
struct ksigaction { u64 handler, flags, restorer, mask; };

#define O_RDONLY 0
#define O_CLOEXEC 02000000
#define O_NONBLOCK 04000
#define SIGKILL 9
#define SIGTERM 15
#define SIGCHLD 17
#define POLLIN 1
#define POLLHUP 16
#endif
