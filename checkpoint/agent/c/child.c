/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child between clone and execve: a loop over the operations that the host
 * compiled. No policy lives here; what to do and in which order is the host's.
 */
#include "agent.h"

static void event_from_child(struct launch *l, struct self *me, u32 kind, s32 pid, int fd)
{
	struct event ev = { .kind = kind, .slot = me->slot, .serial = me->serial, .pid = pid };
	send_event(&ev, fd);
}

static __attribute__((noreturn)) void die(struct launch *l, s32 err)
{
	l->err = err;
	store(&l->state, ST_FAILED);
	for (;;)
		sys1(NR_exit_group, 127);
}

/*
 * park waits for the next batch. Death of the agent ends a parked child:
 * PDEATHSIG is armed first, then the agent's liveness is looked at, so that a
 * death before the arming is not missed (getppid says 0 in a new pid
 * namespace, so a pidfd of the agent is asked instead). A child that is to stay
 * disarms it: whoever the kernel then makes its parent is not its keeper.
 */
static void park(struct launch *l, struct self *me, u32 seen)
{
	struct pollfd p = { .fd = me->agent_pidfd, .events = POLLIN };
	struct timespec zero = { 0, 0 };

	u32 stay = load(&l->flags) & LF_STAY;
	sys5(NR_prctl, 1 /* PR_SET_PDEATHSIG */, stay ? 0 : SIGKILL, 0, 0, 0);
	if (!stay && sys5(NR_ppoll, &p, 1, &zero, 0, 0) > 0)
		for (;;)
			sys1(NR_exit_group, 127);
	store(&l->state, ST_PARKED);
	event_from_child(l, me, EV_PARKED, 0, -1);
	while (load(&l->go) == seen)
		sys6(NR_futex, (u64)&l->go, 0 /* FUTEX_WAIT */, seen, 0, 0, 0);
	if (load(&l->go) & GO_ABORT)
		for (;;)
			sys1(NR_exit_group, 126);
	store(&l->state, ST_BUSY);
}

/* second_clone goes on in a new child of the agent; see clone_args in clone(2). */
static s64 second_clone(struct launch *l, struct self *me, struct op *o, u64 *r)
{
	s32 pidfd = -1;
	struct clone_args ca = {
		.flags = (o->args[0] & (CLONE_NEW_ALL | CLONE_INTO_CGROUP)) | CLONE_PARENT | CLONE_PIDFD |
			 CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND,
		.pidfd = (u64)&pidfd,
		.parent_tid = (u64)&l->pid2,
	};
	if (o->args[1] < NREGS)
		ca.cgroup = r[o->args[1]];
	s64 pid = sys2(NR_clone3, &ca, sizeof ca);
	if (pid <= 0)
		return pid;
	event_from_child(l, me, EV_SPAWNED, (s32)pid, pidfd);
	for (;;)
		sys1(NR_exit_group, 0);
}

/* stat_is compares type, mode and device number of an open file; see struct statx in statx(2). */
static s64 stat_is(const u64 *a)
{
	u32 sx[64];
	s64 err = sys5(NR_statx, a[0], "", 0x1000 /* AT_EMPTY_PATH */, STATX_TYPE_MODE, sx);

	if (err < 0)
		return err;
	u32 mode = sx[7] & 0xffff, any = ~0u;
	if ((mode & (u32)a[1]) == (u32)a[2] && ((u32)a[3] == any || sx[32] == (u32)a[3]) && ((u32)a[4] == any || sx[33] == (u32)a[4]))
		return 0;
	return -(s64)(a[5] & 0xfff);
}

/*
 * wait_host holds the child right after a seccomp filter was loaded, until the
 * host has taken the listener out of it. The filter may forbid everything but
 * execve, so there is no system call in here, unless the host has found that it
 * lets futex pass (args[2]). Agent or host end a child whose other side has
 * died; the bound is for the death of both.
 */
static s64 wait_host(struct launch *l, struct op *o)
{
	u64 start = ticks(), most = o->args[1];
	struct timespec second = { 1, 0 };

	while (!__atomic_load_n(&o->args[0], __ATOMIC_ACQUIRE)) {
		if (ticks() - start > most) {
			l->err = ETIMEDOUT;
			store(&l->state, ST_FAILED);
			__builtin_trap(); /* exit_group may be forbidden too */
		}
		if (o->args[2])
			sys6(NR_futex, (u64)&o->args[0], 0 /* FUTEX_WAIT */, 0, (u64)&second, 0, 0);
		else
			relax();
	}
	return 0;
}

/*
 * make_way moves our end of the exec pipe if a descriptor is about to take its
 * number: it would close before execve does that, and the agent would never
 * learn of the execve.
 */
static void make_way(struct launch *l, s32 number)
{
	if (number != l->exec_fd || number < 0)
		return;
	s64 fd = sys6(NR_fcntl, (u64)number, 1030 /* F_DUPFD_CLOEXEC */, (u64)number + 1, 0, 0, 0);
	if (fd >= 0)
		l->exec_fd = (s32)fd;
}

/* do_op runs one operation; it answers as a system call does. */
static s64 do_op(struct launch *l, struct self *me, struct op *o, u64 *r)
{
	u64 a[6];
	for (int i = 0; i < 6; i++) {
		a[i] = o->args[i];
		if (o->regs & (1u << i))
			a[i] = a[i] < NREGS ? r[a[i]] : ~0ULL;
	}
	switch (o->nr) {
	case OP_CLONE:
		return second_clone(l, me, o, r);
	case OP_STORE32:
		if (!in_arena(a[0], 4))
			return -EFAULT;
		*(u32 *)a[0] = (u32)a[1];
		return 0;
	case OP_INIT:
		return start_init(l, me, a[0], a[1]);
	case OP_WAIT:
		return wait_host(l, o);
	case OP_EQUAL:
		return a[0] == a[1] ? 0 : -(s64)(a[2] & 0xfff);
	case OP_STAT_IS:
		return stat_is(a);
	}
	if (o->nr > OP_SYSCALL_MAX)
		return -EINVAL;
	return sys6(o->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static __attribute__((noreturn)) void child(struct launch *l, struct self *me, u64 *r)
{
	if (me->wait_agent) {
		/* The agent writes our id maps first. It is at it right now, so a short spin beats a sleep. */
		for (int i = 0; i < 2000 && !load(&l->agent_done); i++)
			relax();
		while (!load(&l->agent_done))
			sys6(NR_futex, (u64)&l->agent_done, 0, 0, 0, 0, 0);
	}
	for (u32 go = load(&l->go);; go = load(&l->go)) {
		u64 off = l->ops;
		u32 n = l->nops;
		if (n > MAX_OPS || !in_arena(ARENA_BASE + off, (u64)n * sizeof(struct op)))
			die(l, EBADMSG);
		struct op *ops = (struct op *)(ARENA_BASE + off);
		for (u32 i = 0; i < n; i++) {
			struct op *o = &ops[i];
			l->pc = i;
			if (o->nr == NR_execve || o->nr == NR_execveat)
				store(&l->state, ST_EXECING);
			if (o->nr == NR_dup3)
				make_way(l, (s32)o->args[1]);
			s64 res = do_op(l, me, o, r);
			o->result = res;
			store(&o->done, 1); /* and with it the result */
			if (res < 0 && res > -4096) {
				if (!(o->flags & OPF_ANYERR) && -res != o->accept)
					die(l, (s32)-res);
				i += o->skip;
			} else if (o->save && o->save < NREGS) {
				r[o->save] = (u64)res;
			}
		}
		park(l, me, go);
	}
}

__attribute__((noreturn)) void born(struct launch *l)
{
	struct self me = { l->slot, l->serial, l->agent_pidfd, l->wait_agent };
	u64 r[NREGS];

	first_registers(r, l->fds, l->nfds < MAX_FDS ? l->nfds : MAX_FDS);
	child(l, &me, r);
}
