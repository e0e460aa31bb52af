/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: a zygote that clones workloads, reaps them and reports. It is
 * single-threaded and needs no libc. All of its writable memory is in one
 * mapping that children do not get (MADV_DONTFORK): a clone then copies no page
 * of it, neither side has to copy one at its next write, and a child has page
 * tables for nothing but the first gigabyte.
 */
#include "agent.h"

/* One launch as the agent sees it. */
struct record {
	u32 used; /* 0 free, 1 live, 2 zombie held for the host, 3 reaped, its init is still ending */
	s32 pid;
	s32 pipe; /* read end of the exec pipe, -1 for none */
	u32 watch; /* EV_RUNNING was asked for and not sent yet */
	u32 orphan;
	u32 pad;
	u64 serial;
	u64 offset;
	struct { s32 pid, status; u32 code, flags; } end; /* used == 3: what will be reported */
};

static struct zygote {
	u8 stack[32768]; /* first: below it nothing is mapped */
	struct record records[MAX_SLOTS];
	u32 top; /* one more than the highest slot in use */
	u32 live, held;
	s32 epfd, sigfd, self_pidfd;
	u32 host_gone;
} *const my = (struct zygote *)ZYGOTE_BASE;
_Static_assert(ZYGOTE_BASE + sizeof(struct zygote) <= ARENA_BASE, "zygote");

void send_event(const struct event *ev, int fd)
{
	struct iovec iov = { (void *)ev, sizeof *ev };
	struct { struct cmsghdr h; s32 fd; s32 pad; } cm = { { sizeof(struct cmsghdr) + 4, 1, 1 }, fd, 0 };
	struct msghdr m = { .iov = &iov, .iovlen = 1 };

	if (fd >= 0) {
		m.control = &cm;
		m.controllen = sizeof cm;
	}
	while (sys3(NR_sendmsg, FD_CONTROL, &m, MSG_NOSIGNAL) == -EINTR)
		;
}

static struct launch *launch_of(struct record *r) { return (struct launch *)(ARENA_BASE + r->offset); }

static void tell(u32 slot, u32 kind, s32 pid, s32 code, u32 how, u32 flags, int fd)
{
	struct event ev = { kind, slot, my->records[slot].serial, pid, code, how, flags };
	send_event(&ev, fd);
}

/* put_dec writes v in decimal and returns the number of digits. */
static int put_dec(char *to, u32 v)
{
	char tmp[10];
	int n = 0;
	do {
		tmp[n++] = '0' + v % 10;
	} while (v /= 10);
	for (int i = 0; i < n; i++)
		to[i] = tmp[n - 1 - i];
	return n;
}

static s32 open_pid(s32 pid, const char *file)
{
	char path[32];
	int n = put_dec(path, (u32)pid);
	if (*file)
		path[n++] = '/';
	while (*file)
		path[n++] = *file++;
	path[n] = 0;
	return (s32)sys3(NR_openat, FD_PROC, path, O_CLOEXEC);
}

/* execed tells from PF_FORKNOEXEC whether pid ever passed execve; -1 if that cannot be read. *zombie: it has ended. */
static int execed(s32 pid, int *zombie)
{
	char b[512];
	s32 fd = open_pid(pid, "stat");
	if (fd < 0)
		return -1;
	s64 n = sys3(NR_read, fd, b, sizeof b);
	sys1(NR_close, fd);
	s64 i = n - 1;
	while (i >= 0 && b[i] != ')')
		i--;
	if (i < 0 || i + 2 >= n)
		return -1;
	*zombie = b[i + 2] == 'Z' || b[i + 2] == 'X';
	/* after ") S": ppid pgrp session tty tpgid flags */
	int field = 0;
	u32 flags = 0;
	for (i += 3; i < n && field < 7; i++) {
		if (b[i] == ' ')
			field++;
		else if (field == 6)
			flags = flags * 10 + (u32)(b[i] - '0');
	}
	return !(flags & 0x40);
}

/* The calls that the agent makes on behalf of a child: files under descriptors it was given, and limits. */
static int agent_may(u32 nr)
{
	return nr == NR_openat || nr == NR_write || nr == NR_prlimit64 ||
	       nr == NR_setpriority || nr == NR_sched_setaffinity || nr == NR_sched_setattr || nr == OP_WRITEPID;
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

static void refuse(const struct request *q, s32 err)
{
	struct event ev = { .kind = EV_REFUSED, .slot = q->slot, .serial = q->serial, .code = err };
	send_event(&ev, -1);
}

/* pipe_key names an exec pipe among what epoll waits for, above 0 and 1. With the serial number, since the events of
 * one turn may free a slot, fill it anew, and then tell of the pipe that was there before. */
static u64 pipe_key(u32 slot, u64 serial) { return serial << 20 | (16 + slot); }

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

static void spawn(const struct request *q, const s32 *fds, u32 nfds)
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

/*
 * clean_up does what the host would have done: it removes directories that were
 * made for the launch, such as its cgroup. Whatever is still in one is told to
 * end first, which takes a moment.
 */
static void clean_up(struct launch *l)
{
	u64 off = l->cleanup, n = l->cleanup_nops;

	if (n > MAX_OPS || !in_arena(ARENA_BASE + off, n * sizeof(struct op)))
		return;
	struct op *ops = (struct op *)(ARENA_BASE + off);
	for (u64 i = 0; i < n; i++) {
		u64 *a = ops[i].args;
		s64 res = -EPERM;
		if (ops[i].nr == NR_openat) {
			s64 fd = sys3(NR_openat, a[0], a[1], a[2]);
			if (fd >= 0) { /* cgroup.kill */
				sys3(NR_write, fd, "1", 1);
				sys1(NR_close, fd);
			}
		} else if (ops[i].nr == NR_unlinkat && a[2] == 0x200 /* AT_REMOVEDIR */) {
			struct timespec ms = { 0, 5000000 };
			for (int try = 0; try < 200; try++) {
				res = sys3(NR_unlinkat, a[0], a[1], a[2]);
				if (res != -EBUSY)
					break;
				sys2(NR_nanosleep, &ms, 0);
			}
		}
		ops[i].result = res;
		ops[i].done = 1;
	}
}

static void drop_pipe(struct record *r)
{
	if (r->pipe >= 0)
		sys1(NR_close, r->pipe);
	r->pipe = -1;
}

static void forget(struct record *r)
{
	drop_pipe(r);
	r->used = 0;
	my->live--;
	while (my->top && !my->records[my->top - 1].used)
		my->top--;
}

/* on_exec: the exec pipe of a slot was closed, by execve or by death. */
static void on_exec(u32 slot)
{
	struct record *r = &my->records[slot];
	if (r->used != 1 || r->pipe < 0)
		return;
	drop_pipe(r);
	if (load(&launch_of(r)->state) != ST_EXECING)
		return;
	/* The first half of a second clone may be a zombie that was not looked at yet: its pid would say "ended". */
	s32 second = launch_of(r)->pid2, pid = second > 0 ? second : r->pid;
	/* Descriptors are closed a moment before PF_FORKNOEXEC is cleared (begin_new_exec). */
	for (;;) {
		int zombie = 0, e = execed(pid, &zombie);
		if (zombie || e < 0)
			return; /* the exit report will say whether it had exec'd */
		if (e)
			break;
		sys0(NR_sched_yield);
	}
	r->watch = 0;
	tell(slot, EV_RUNNING, pid, 0, 0, 0, -1);
}

static u32 find(s32 pid)
{
	for (u32 i = 0; i < my->top; i++)
		if (my->records[i].used && my->records[i].pid == pid)
			return i;
	/* A second clone: the kernel wrote its pid before it could run. */
	for (u32 i = 0; i < my->top; i++)
		if (my->records[i].used == 1 && launch_of(&my->records[i])->pid2 == pid) {
			my->records[i].pid = pid;
			return i;
		}
	return MAX_SLOTS;
}

/* kill_init kills the init of a launch and returns its pid, 0 if there is none. It is in memory that others write, so it must be a child of ours, and no other launch's. */
static s32 kill_init(struct launch *l)
{
	struct siginfo si;
	s32 pid = l->init_pid;

	if (pid <= 0 || find(pid) != MAX_SLOTS || sys5(NR_waitid, P_PID, pid, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0))
		return 0;
	sys2(NR_kill, pid, SIGKILL);
	return pid;
}

/* report_end is the last that is heard of a launch, unless it is held. */
static void report_end(u32 slot, struct launch *l, s32 pid, s32 status, u32 code, u32 flags)
{
	store(&l->ended, 1);
	if (my->host_gone)
		clean_up(l);
	tell(slot, EV_EXITED, pid, status, code, flags, -1);
	if (!(flags & EVF_HELD))
		forget(&my->records[slot]);
}

static void ended(struct siginfo *si)
{
	u32 slot = find(si->pid);
	s64 ru[18];

	if (slot == MAX_SLOTS) { /* not ours: an orphan that we were given, or the first half of a second clone */
		sys5(NR_waitid, P_PID, si->pid, si, WEXITED | WNOHANG | WALL, 0);
		return;
	}
	struct record *r = &my->records[slot];
	if (r->used == 2)
		return;
	struct launch *l = launch_of(r);
	if (r->used == 3) { /* the init, and all that was in its namespace */
		sys5(NR_waitid, P_PID, si->pid, si, WEXITED | WNOHANG | WALL, 0);
		report_end(slot, l, r->end.pid, r->end.status, r->end.code, r->end.flags);
		return;
	}
	if (l->pid2 && l->pid2 != r->pid && r->pid == si->pid) { /* the first half has done its work */
		r->pid = l->pid2;
		sys5(NR_waitid, P_PID, si->pid, si, WEXITED | WNOHANG | WALL, 0);
		return;
	}
	u32 flags = 0;
	if (load(&l->state) == ST_EXECING) {
		/* Our own code never exits from this state, so a normal exit is the workload's. */
		int zombie = 0;
		if (si->code == CLD_EXITED || execed(si->pid, &zombie) > 0)
			flags |= EVF_EXECED;
		if (r->watch && (flags & EVF_EXECED))
			tell(slot, EV_RUNNING, si->pid, 0, 0, 0, -1);
	}
	u32 hold = (l->flags & LF_HOLD) && !my->host_gone;
	s32 pid = si->pid, code = si->code, status = si->status, init = kill_init(l);
	if (init && (flags & EVF_EXECED))
		hold = 0; /* the kernel lets an init end only when its namespace is empty, of zombies too */
	for (int i = 0; i < 18; i++)
		ru[i] = 0;
	sys5(NR_waitid, P_PID, pid, si, WEXITED | WNOHANG | WALL | (hold ? WNOWAIT : 0), ru);
	for (int i = 0; i < 18; i++)
		l->rusage.v[i] = ru[i];
	if (hold) {
		drop_pipe(r);
		r->used = 2;
		my->held++;
		flags |= EVF_HELD;
	}
	if (init && !hold) {
		drop_pipe(r);
		r->used = 3;
		r->pid = init;
		r->end.pid = pid;
		r->end.status = status;
		r->end.code = (u32)code;
		r->end.flags = flags;
		return;
	}
	report_end(slot, l, pid, status, (u32)code, flags);
}

static void reap(void)
{
	struct siginfo si;

	for (;;) { /* stops and continues first: an exit would hide them */
		si.pid = 0;
		if (sys5(NR_waitid, P_ALL, 0, &si, WSTOPPED | WCONTINUED | WNOHANG | WALL, 0) < 0 || !si.pid)
			break;
		u32 slot = find(si.pid);
		if (slot < MAX_SLOTS)
			tell(slot, si.code == CLD_CONTINUED ? EV_CONTINUED : EV_STOPPED, si.pid, si.status, (u32)si.code, 0, -1);
	}
	for (;;) {
		si.pid = 0;
		if (my->held)
			break;
		if (sys5(NR_waitid, P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0) < 0 || !si.pid)
			return;
		ended(&si);
	}
	/* A held zombie would be reported for ever by P_ALL, so each child is asked. */
	for (u32 i = 0; i < my->top; i++) {
		if (my->records[i].used != 1 && my->records[i].used != 3)
			continue;
		si.pid = 0;
		if (!sys5(NR_waitid, P_PID, my->records[i].pid, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0) && si.pid)
			ended(&si);
		s32 second = my->records[i].used == 1 ? launch_of(&my->records[i])->pid2 : 0;
		si.pid = 0;
		if (second > 0 && !sys5(NR_waitid, P_PID, second, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0) && si.pid)
			ended(&si);
	}
}

static s64 now_ms(void)
{
	struct timespec t;
	sys2(NR_clock_gettime, 1, &t);
	return t.sec * 1000 + t.nsec / 1000000;
}

static void signal_record(struct record *r, s32 sig)
{
	s32 second = launch_of(r)->pid2, target = r->pid;
	struct siginfo si;

	/* pid2 is in memory that others write: it counts only if it is a child of ours. */
	if (second > 0 && !sys5(NR_waitid, P_PID, second, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0))
		target = second;
	sys2(NR_kill, target, sig);
}

/* orphaned ends the workloads as each launch asked for, then the agent. */
static __attribute__((noreturn)) void orphaned(void)
{
	s64 start = now_ms();
	u32 termed = 0;

	my->host_gone = 1;
	for (u32 i = 0; i < my->top; i++)
		if (my->records[i].used == 2) {
			struct siginfo si;
			sys5(NR_waitid, P_PID, my->records[i].pid, &si, WEXITED | WNOHANG | WALL, 0);
			clean_up(launch_of(&my->records[i]));
			forget(&my->records[i]);
		}
	my->held = 0;
	for (;;) {
		s64 gone = now_ms() - start, next = -1;
		for (u32 i = 0; i < my->top; i++) {
			struct record *r = &my->records[i];
			if (!r->used)
				continue;
			u32 st = load(&launch_of(r)->state);
			if (st != ST_EXECING) /* never ran: nothing to ask politely */
				signal_record(r, SIGKILL);
			else if (r->orphan == ORPHAN_LINGER)
				continue;
			else if (gone >= r->orphan)
				signal_record(r, SIGKILL);
			else {
				if (!termed)
					signal_record(r, SIGTERM);
				if (next < 0 || r->orphan - gone < next)
					next = r->orphan - gone;
			}
		}
		termed = 1;
		if (!my->live)
			sys1(NR_exit_group, 0);
		struct pollfd p = { my->sigfd, POLLIN, 0 };
		struct timespec t = { next / 1000, next % 1000 * 1000000 };
		sys5(NR_ppoll, &p, 1, next < 0 ? 0 : &t, 0, 0);
		u8 drain[512];
		if (p.revents & POLLIN)
			sys3(NR_read, my->sigfd, drain, sizeof drain);
		reap();
	}
}

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

/* forget_arena is for a child that shall not have what the agent shares with the others. */
void forget_arena(void) { sys2(NR_munmap, ARENA_BASE, ARENA_SIZE); }

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
	sys1(NR_close, FD_ARENA);
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
