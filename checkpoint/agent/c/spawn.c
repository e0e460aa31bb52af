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
	u64 r[NREGS];
	struct op *ops = (struct op *)(ARENA_BASE + off);
	s32 dir = open_pid(pid, ""), err = 0, opened[64];
	u32 nopened = 0;

	if (dir < 0)
		return -dir;
	first_registers(r, fds, nfds);
	r[REG_PID] = (u64)pid;
	r[REG_PIDDIR] = (u64)dir;
	for (u32 i = 0; i < n && !err; i++) {
		struct op *o = &ops[i];
		u64 a[6];
		l->agent_pc = i;
		for (int k = 0; k < 6; k++) {
			a[k] = o->args[k];
			if (o->regs & (1u << k))
				a[k] = a[k] < NREGS ? r[a[k]] : ~0ULL;
		}
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
		o->done = 1;
		if (res < 0 && res > -4096) {
			if (!(o->flags & OPF_ANYERR) && -res != o->accept)
				err = (s32)-res;
			i += o->skip;
		} else if (o->save && o->save < NREGS) {
			r[o->save] = (u64)res;
		}
	}
	for (u32 k = 0; k < nopened; k++)
		sys1(NR_close, opened[k]);
	sys1(NR_close, dir);
	return err;
}

/* The first page of a child that is not shared, and with some luck the only one. The agent never touches it. */
static u8 child_stack[8192] __attribute__((aligned(65536)));

/* clone_child is clone3, of which the child begins in born(), on its own stack. */
static s64 clone_child(struct clone_args *ca, struct launch *l)
{
#if defined(__x86_64__)
	s64 r;
	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\tmov %[l],%%rdi\n\tcall born\n1:"
			 : "=a"(r)
			 : "a"(NR_clone3), "D"(ca), "S"(sizeof *ca), [l] "r"(l)
			 : "rcx", "r11", "memory");
	return r;
#else
	register u64 x8 __asm__("x8") = NR_clone3;
	register u64 x0 __asm__("x0") = (u64)ca;
	register u64 x1 __asm__("x1") = sizeof *ca;
	__asm__ volatile("svc 0\n\tcbnz x0,1f\n\tmov x0,%[l]\n\tbl born\n1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), [l] "r"(l)
			 : "x30", "memory");
	return (s64)x0;
#endif
}

void spawn(const struct request *q, const s32 *fds, u32 nfds)
{
	struct launch *l = (struct launch *)(ARENA_BASE + q->offset);

	if (q->slot >= MAX_SLOTS || (q->offset & 7) || !in_arena(ARENA_BASE + q->offset, sizeof *l))
		return refuse(q, EBADMSG);
	struct record *rec = &my->records[q->slot];
	if (rec->used)
		return refuse(q, EBUSY);
	u32 flags = l->flags, nagent = l->agent_nops, creg = l->cgroup_reg;
	u64 aoff = l->agent_ops, cflags = l->clone_flags;
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
		.stack = (u64)child_stack,
		.stack_size = sizeof child_stack,
	};
	if (!(flags & LF_NO_SPAWNED))
		ca.flags |= CLONE_PIDFD;
	if (creg != ~0u) {
		ca.flags |= CLONE_INTO_CGROUP;
		ca.cgroup = (u64)fds[creg - REG_FD0];
	}
	s64 pid = clone_child(&ca, l);
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
