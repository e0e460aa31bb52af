/* SPDX-License-Identifier: Apache-2.0 */
/* The birth of a workload: the clone, and what the agent does for the child before the child begins. */
#include "zygote.h"

/* The calls that the agent makes on behalf of a child: files under descriptors it was given, limits and scheduling. */
static int agent_may(u32 nr)
{
	return nr == NR_openat || nr == NR_write || nr == NR_prlimit64 ||
	       nr == NR_setpriority || nr == NR_ioprio_set || nr == NR_sched_setattr || nr == OP_WRITEPID;
}

/* agent_ops runs the operations that need the agent's privilege over the child, such as its id maps. */
static s32 agent_ops(struct launch *l, u64 off, u32 n, const s32 *fds, u32 nfds, s32 pid)
{
	s32 r[NREGS];
	struct op *ops = (struct op *)(ARENA_BASE + off);
	s32 dir = open_pid(pid, ""), err = 0, opened[64];
	u32 nopened = 0;

	if (dir < 0)
		return -dir;
	first_registers(r, fds, nfds);
	r[REG_PID] = pid;
	r[REG_PIDDIR] = dir;
	for (u32 i = 0; i < n && !err; i++) {
		struct op *o = &ops[i];
		u64 a[6];
		l->agent_pc = i;
		arguments(a, o, r);
		s64 res = -EPERM;
		if (o->nr == OP_WRITEPID) {
			char b[12];
			res = sys3(NR_write, a[0], b, put_dec(b, (u32)pid));
		} else if (o->nr == NR_openat && nopened == 64) {
			res = -E2BIG;
		} else if (agent_may(o->nr)) {
			res = sys6(o->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
			if (o->nr == NR_openat && res >= 0)
				opened[nopened++] = (s32)res;
		}
		o->result = res;
		if (l->flags & LF_TIMES)
			o->args[5] = ticks();
		o->done = 1;
		if (res < 0 && res > -4096) {
			if (!(o->flags & OPF_ANYERR) && -res != o->accept)
				err = (s32)-res;
			i += o->skip;
		} else if (o->save && o->save < NREGS) {
			r[o->save] = (s32)res;
		}
	}
	for (u32 k = 0; k < nopened; k++)
		sys1(NR_close, opened[k]);
	sys1(NR_close, dir);
	return err;
}

/*
 * clone_child is clone3, of which the child maps its home, without a stack as
 * yet, and begins in born() with the stack that is in there.
 */
static s64 clone_child(struct clone_args *ca, u64 offset, u64 page)
{
	u64 home = HOME_BASE + (offset & (page - 1));

	offset &= ~(page - 1);
#if defined(__x86_64__)
	register u64 r10 __asm__("r10") = MAP_SHARED_FIXED;
	register u64 r8 __asm__("r8") = FD_ARENA;
	register u64 r9 __asm__("r9") = offset;
	s64 r;
	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\t"
			 "mov %[mmap],%%eax\n\tmov %[base],%%edi\n\tmov %[page],%%rsi\n\tmov $3,%%edx\n\tsyscall\n\t"
			 "cmp %[base],%%rax\n\tjne 2f\n\t"
			 "lea %c[size](%[home]),%%rsp\n\tand $-16,%%rsp\n\tmov %[home],%%rdi\n\tcall born\n"
			 "2:\tmov %[exit],%%eax\n\tmov $127,%%edi\n\tsyscall\n\tud2\n1:"
			 : "=a"(r)
			 : "a"(NR_clone3), "D"(ca), "S"(sizeof *ca), "r"(r10), "r"(r8), "r"(r9), [page] "r"(page), [home] "r"(home),
			   [mmap] "i"(NR_mmap), [exit] "i"(NR_exit_group), [base] "i"(HOME_BASE), [size] "i"(sizeof(struct home))
			 : "rcx", "rdx", "r11", "memory");
	return r;
#else
	register u64 x8 __asm__("x8") = NR_clone3;
	register u64 x0 __asm__("x0") = (u64)ca;
	register u64 x1 __asm__("x1") = sizeof *ca;
	register u64 x3 __asm__("x3") = MAP_SHARED_FIXED;
	register u64 x4 __asm__("x4") = FD_ARENA;
	register u64 x5 __asm__("x5") = offset;
	register u64 x9 __asm__("x9") = HOME_BASE;
	register u64 x10 __asm__("x10") = (home + sizeof(struct home)) & ~15ULL;
	__asm__ volatile("svc 0\n\tcbnz x0,1f\n\t"
			 "mov x8,%[mmap]\n\tmov x0,x9\n\tmov x1,%[page]\n\tmov x2,#3\n\tsvc 0\n\t"
			 "cmp x0,x9\n\tb.ne 2f\n\tmov sp,x10\n\tmov x0,%[home]\n\tbl born\n"
			 "2:\tmov x8,%[exit]\n\tmov x0,#127\n\tsvc 0\n\tbrk #1\n1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x3), "r"(x4), "r"(x5), "r"(x9), "r"(x10), [page] "r"(page), [home] "r"(home),
			   [mmap] "i"(NR_mmap), [exit] "i"(NR_exit_group)
			 : "x2", "x30", "memory");
	return (s64)x0;
#endif
}

void spawn(const struct request *q, const s32 *fds, u32 nfds)
{
	struct launch *l = (struct launch *)(ARENA_BASE + q->offset);

	if (q->slot >= MAX_SLOTS || (q->offset & 7) || !in_arena(ARENA_BASE + q->offset, sizeof(struct home)))
		return refuse(q, EBADMSG);
	struct record *rec = &my->records[q->slot];
	if (rec->used)
		return refuse(q, EBUSY);
	u32 flags = l->flags, nagent = l->agent_nops, creg = l->cgroup_reg;
	u64 aoff = l->agent_ops, cflags = l->clone_flags, page = l->page;
	if (page < 4096 || page > HOME_SIZE || (page & (page - 1)) || (q->offset & (page - 1)) + sizeof(struct home) > page)
		return refuse(q, EBADMSG);
	if (l->version != ABI_VERSION || l->nfds != nfds || nagent > MAX_OPS ||
	    !in_arena(ARENA_BASE + aoff, (u64)nagent * sizeof(struct op)) ||
	    (cflags & ~CLONE_NEW_ALL) || (creg != ~0u && (creg < REG_FD0 || creg >= REG_FD0 + nfds)))
		return refuse(q, EBADMSG);

	l->serial = q->serial;
	l->slot = q->slot;
	l->agent_pidfd = my->self_pidfd;
	l->wait_agent = nagent != 0;
	for (u32 i = 0; i < nfds; i++)
		l->fds[i] = fds[i];
	s32 pipe[2] = { -1, -1 };
	if (flags & LF_EXEC_EVENT) {
		s64 e = sys2(NR_pipe2, pipe, O_CLOEXEC);
		if (e < 0)
			return refuse(q, (s32)-e);
	}
	l->exec_fd = pipe[1];
	s32 pidfd = -1;
	struct clone_args ca = {
		.flags = cflags | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND,
		.pidfd = (u64)&pidfd,
		.parent_tid = (u64)&l->pid,
		.exit_signal = SIGCHLD,
	};
	if (!(flags & LF_NO_SPAWNED))
		ca.flags |= CLONE_PIDFD;
	if (creg != ~0u) {
		ca.flags |= CLONE_INTO_CGROUP;
		ca.cgroup = (u64)fds[creg - REG_FD0];
	}
	if (flags & LF_TIMES)
		read_clock(&l->clock[0]);
	s64 pid = clone_child(&ca, q->offset, page);
	if (pipe[1] >= 0)
		sys1(NR_close, pipe[1]);
	if (pid < 0) {
		if (pipe[0] >= 0)
			sys1(NR_close, pipe[0]);
		return refuse(q, (s32)-pid);
	}
	*rec = (struct record){ 1, (s32)pid, pipe[0], pipe[0] >= 0, l->orphan, 0, q->serial, q->offset, { 0, 0, 0, 0 } };
	my->live++;
	if (q->slot >= my->top)
		my->top = q->slot + 1;
	if (pipe[0] >= 0) {
		struct epoll_event e = { .events = POLLHUP, .data = pipe_key(q->slot, q->serial) };
		sys4(NR_epoll_ctl, my->epfd, 1, pipe[0], &e);
	}
	if (!(flags & LF_NO_SPAWNED))
		tell(q->slot, EV_SPAWNED, (s32)pid, 0, 0, 0, pidfd);
	if (nagent) {
		s32 err = agent_ops(l, aoff, nagent, fds, nfds, (s32)pid);
		if (err) {
			l->err = err;
			store(&l->state, ST_AGENT_FAILED);
			sys2(NR_kill, pid, SIGKILL); /* it is ours to reap */
		} else {
			store(&l->agent_done, 1);
			sys6(NR_futex, (u64)&l->agent_done, 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
		}
	}
	if (pidfd >= 0)
		sys1(NR_close, pidfd);
}
