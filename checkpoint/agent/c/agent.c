/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: a zygote that clones workloads, reaps them and reports. It is
 * single-threaded and needs no libc.
 */
#include "zygote.h"

static void on_request(const struct request *q, const s32 *fds, u32 nfds)
{
	struct record *r = q->slot < MAX_SLOTS ? &my->records[q->slot] : 0;
	struct siginfo si;

	switch (q->kind) {
	case REQ_SPAWN:
		spawn(q, fds, nfds);
		return;
	case REQ_RELEASE:
		if (!r || r->used != 2 || r->serial != q->serial)
			break;
		sys5(NR_waitid, P_PID, r->pid, &si, WEXITED | WNOHANG | WALL, 0);
		my->held--;
		forget(r);
		if (!my->held)
			reap();
		return;
	case REQ_KILL:
		if (r && r->used == 1 && r->serial == q->serial && q->offset <= 64)
			signal_record(r, (s32)q->offset);
		return; /* already gone: nothing to kill */
	case REQ_LEAVE: /* what parks with LF_STAY, and what runs, gets another parent; the rest dies of PDEATHSIG */
		for (;;)
			sys1(NR_exit_group, 0);
	case REQ_QUIT:
		for (u32 i = 0; i < my->top; i++)
			my->records[i].orphan = 0;
		orphaned();
	}
	refuse(q, EBADMSG);
}

/* receive takes one message; 0 when there is none left. */
static int receive(void)
{
	struct request q;
	struct iovec iov = { &q, sizeof q };
	struct { struct cmsghdr h; s32 fd[MAX_FDS]; } cm;
	struct msghdr m = { .iov = &iov, .iovlen = 1, .control = &cm, .controllen = sizeof cm };
	u32 nfds = 0;

	s64 n = sys3(NR_recvmsg, FD_CONTROL, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0)
		orphaned();
	if (m.controllen >= sizeof cm.h && cm.h.level == 1 && cm.h.type == 1)
		nfds = (u32)((cm.h.len - sizeof cm.h) / 4);
	if (n != sizeof q || m.flags & (MSG_TRUNC | MSG_CTRUNC)) {
		q.kind = 0;
		q.slot = MAX_SLOTS;
		q.serial = 0;
	}
	if (q.kind)
		on_request(&q, cm.fd, nfds);
	else
		refuse(&q, EBADMSG);
	for (u32 i = 0; i < nfds; i++)
		sys1(NR_close, cm.fd[i]);
	return 1;
}

#define IDLE_SPIN 60

static void must(s64 r, int step)
{
	if (r < 0 && r > -4096)
		for (;;)
			sys1(NR_exit_group, step);
}

/*
 * unmap_high gives back what the kernel maps at the far end of the address
 * space: the first stack, and the vdso, which nothing here calls. Each child
 * would otherwise have three or more page tables for it. It is no failure if
 * the kernel refuses (CONFIG_MSEAL_SYSTEM_MAPPINGS).
 */
static void unmap_high(void)
{
	u64 from = ARENA_BASE + ARENA_SIZE;

	/* munmap takes no range beyond the end, which depends on architecture and configuration. */
	for (int bits = 48; bits >= 36; bits--)
		if (!sys2(NR_munmap, from, (1ULL << bits) - from) ||
		    !sys2(NR_munmap, from, (1ULL << bits) - 4096 - from)) /* TASK_SIZE_MAX of x86 */
			return;
}

/* zygote makes the agent's memory and returns where its stack begins. It still runs on the kernel's. */
void *zygote(void)
{
	s64 a = sys6(NR_mmap, ZYGOTE_BASE, sizeof *my, 3, 0x100022 /* MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE */, ~0ULL, 0);

	if (a != ZYGOTE_BASE)
		must(-EINVAL, 15);
	must(sys3(NR_madvise, a, sizeof *my, 10 /* MADV_DONTFORK */), 15);
	return my->stack + sizeof my->stack;
}

static void setup(void)
{
	u64 chld = 1ULL << (SIGCHLD - 1);
	struct ksigaction dfl = { 0, 0, 0, 0 };
	u64 st[32];

	sys5(NR_prctl, 15 /* PR_SET_NAME */, "holdshort-agent", 0, 0, 0);
	/* Whatever the host ignored or blocked would reach every workload. */
	for (int s = 1; s <= 64; s++)
		sys4(NR_rt_sigaction, s, &dfl, 0, 8);
	must(sys4(NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &chld, 0, 8), 10);
	for (int fd = FD_CONTROL; fd <= FD_PROC; fd++)
		must(sys3(NR_fcntl, fd, 2 /* F_SETFD */, 1), 11);
	must(sys3(NR_close_range, FD_PROC + 1, ~0u, 0), 12);
	must(sys2(NR_fstat, FD_ARENA, st), 13);
	if (st[6] != ARENA_SIZE) /* st_size on both architectures */
		must(-EINVAL, 14);
	s64 a = sys6(NR_mmap, ARENA_BASE, ARENA_SIZE, 3, 0x100001 /* MAP_SHARED | MAP_FIXED_NOREPLACE */, FD_ARENA, 0);
	if (a != (s64)ARENA_BASE)
		must(-EINVAL, 14);
	must(sys3(NR_madvise, ARENA_BASE, ARENA_SIZE, 10 /* MADV_DONTFORK */), 14);
	unmap_high();
	must(my->sigfd = (s32)sys4(NR_signalfd4, -1, &chld, 8, O_CLOEXEC | 04000), 16);
	must(my->epfd = (s32)sys1(NR_epoll_create1, O_CLOEXEC), 17);
	must(my->self_pidfd = (s32)sys2(NR_pidfd_open, sys0(NR_getpid), 0), 18);
	struct epoll_event e = { .events = POLLIN, .data = 0 };
	must(sys4(NR_epoll_ctl, my->epfd, 1, FD_CONTROL, &e), 19);
	e.data = 1;
	must(sys4(NR_epoll_ctl, my->epfd, 1, my->sigfd, &e), 20);
}

__attribute__((noreturn)) void agent_main(void)
{
	static const struct event hello = { .kind = EV_HELLO, .code = ABI_VERSION };

	setup();
	send_event(&hello, -1);
	for (;;) {
		struct epoll_event evs[16];
		s64 n = 0;
		/* A host that launches one after the other asks again within microseconds; to be woken up takes longer. */
		for (int i = 0; i < IDLE_SPIN && !my->live && !n; i++) {
			n = sys6(NR_epoll_pwait, my->epfd, (u64)evs, 16, 0, 0, 8);
			relax();
		}
		if (!n)
			n = sys6(NR_epoll_pwait, my->epfd, (u64)evs, 16, ~0ULL, 0, 8);
		u8 drain[512];
		for (s64 i = 0; i < n; i++) {
			u64 d = evs[i].data;
			if (d == 0) {
				/* One at a time: between two clones others may have ended. */
				receive();
			} else if (d == 1) {
				sys3(NR_read, my->sigfd, drain, sizeof drain);
				reap();
			} else {
				u32 slot = (u32)(d & 0xfffff) - 16;
				if (slot < MAX_SLOTS && pipe_key(slot, my->records[slot].serial) == d)
					on_exec(slot);
			}
		}
	}
}

/* The kernel enters with the stack pointer at argc and no return address. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tand $-16,%rsp\n\tcall zygote\n\tmov %rax,%rsp\n\tcall agent_main\n\thlt\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29,#0\n\tbl zygote\n\tmov sp,x0\n\tbl agent_main\n\tbrk #1\n");
#endif

/* clang may turn loops and initialisers into calls of these. */
void *memset(void *p, int c, unsigned long n)
{
	u8 *b = p;
	while (n--) {
		*b++ = (u8)c;
		__asm__ volatile("" ::: "memory");
	}
	return p;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
	u8 *t = to;
	const u8 *f = from;
	while (n--) {
		*t++ = *f++;
		__asm__ volatile("" ::: "memory");
	}
	return to;
}
