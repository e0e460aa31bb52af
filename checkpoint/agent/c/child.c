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

/*
 * batch finds the operations that the host has written: in our page, or else
 * they are mapped behind it, in place of those before.
 */
static struct op *batch(struct launch *l, u32 n)
{
	u64 at = l->ops, len = l->ops_len, mask = l->page - 1ULL, home = l->offset & ~mask, from = at & ~mask;

	if (n > MAX_OPS || at > ARENA_SIZE || len > BATCH_SIZE - HOME_SIZE || (u64)n * sizeof(struct op) > len)
		die(l, EBADMSG);
	if (!n) /* nothing to find, and nothing that could be mapped */
		return (struct op *)BATCH_BASE;
	if (at >= home && at + len <= home + l->page)
		return (struct op *)(HOME_BASE + (at - home));
	s64 a = sys6(NR_mmap, BATCH_BASE, at + len - from, 3, MAP_SHARED_FIXED, FD_ARENA, from);
	if (a != (s64)BATCH_BASE)
		die(l, a < 0 ? (s32)-a : EBADMSG);
	return (struct op *)(BATCH_BASE + (at - from));
}

/* in_batch tells whether an address is within what the host has written for us. */
static int in_batch(struct launch *l, u64 p, u64 len)
{
	u64 end = BATCH_BASE + (l->ops & (l->page - 1ULL)) + l->ops_len;

	return (p >= HOME_BASE && p + len <= HOME_BASE + l->page) || (p >= BATCH_BASE && p + len <= end);
}

/*
 * give_pipe makes an exec pipe and sends the host the end to wait at. Made here
 * and now, it costs nothing as long as a child is parked.
 */
static void give_pipe(struct launch *l, struct self *me)
{
	s32 pipe[2];
	s64 e = sys2(NR_pipe2, pipe, O_CLOEXEC | O_NONBLOCK);

	if (e < 0)
		die(l, (s32)-e);
	l->exec_fd = pipe[1];
	event_from_child(l, me, EV_EXEC_PIPE, 0, pipe[0]);
	sys1(NR_close, pipe[0]);
}

/*
 * make_twin makes memory for a child of ours that is not shared with us, as the
 * home is, and copies into it what the child begins with. It is ours before the
 * clone and then the child's by copy on write.
 */
struct twin *make_twin(struct launch *l, struct self *me, const s32 *r)
{
	u64 at = TWIN_BASE + me->twin * TWIN_SIZE;
	s64 a = sys6(NR_mmap, at, TWIN_SIZE, 3, MAP_OWN_FIXED, ~0ULL, 0);
	struct twin *t = (struct twin *)at;

	if (a != (s64)at)
		return 0;
	t->l = l;
	t->me = *me;
	t->me.twin ^= 1;
	for (int i = 0; i < NREGS; i++)
		t->r[i] = r[i];
	return t;
}

/* clone_twin is clone3, of which the child begins in begin(). */
s64 clone_twin(struct clone_args *ca, struct twin *t, void (*begin)(struct twin *))
{
	ca->stack = (u64)t;
	ca->stack_size = TWIN_SIZE;
#if defined(__x86_64__)
	s64 r;
	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\tmov %[t],%%rdi\n\tcall *%[begin]\n\tud2\n1:"
			 : "=a"(r)
			 : "a"(NR_clone3), "D"(ca), "S"(sizeof *ca), [t] "r"(t), [begin] "r"(begin)
			 : "rcx", "r11", "memory");
	return r;
#else
	register u64 x8 __asm__("x8") = NR_clone3;
	register u64 x0 __asm__("x0") = (u64)ca;
	register u64 x1 __asm__("x1") = sizeof *ca;
	__asm__ volatile("svc 0\n\tcbnz x0,1f\n\tmov x0,%[t]\n\tblr %[begin]\n\tbrk #1\n1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), [t] "r"(t), [begin] "r"(begin)
			 : "x30", "memory");
	return (s64)x0;
#endif
}

static void resume(struct twin *t);

/* second_clone goes on in a new child of the agent; see clone_args in clone(2). */
static s64 second_clone(struct launch *l, struct self *me, struct op *o, const s32 *r, u32 go)
{
	s32 pidfd = -1;
	struct twin *t = make_twin(l, me, r);
	struct clone_args ca = {
		.flags = (o->args[0] & (CLONE_NEW_ALL | CLONE_INTO_CGROUP)) | CLONE_PARENT | CLONE_PIDFD |
			 CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND,
		.pidfd = (u64)&pidfd,
		.parent_tid = (u64)&l->pid2,
	};
	if (!t)
		return -ENOMEM;
	t->go = go;
	t->pc = l->pc;
	if (o->args[1] < NREGS)
		ca.cgroup = (u64)(s64)r[o->args[1]];
	s64 pid = clone_twin(&ca, t, resume);
	if (pid < 0)
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
static s64 do_op(struct launch *l, struct self *me, struct op *o, const s32 *r, u32 go)
{
	u64 a[6];

	arguments(a, o, r);
	switch (o->nr) {
	case OP_CLONE:
		return second_clone(l, me, o, r, go);
	case OP_STORE32:
		if (!in_batch(l, a[0], 4))
			return -EFAULT;
		*(u32 *)a[0] = (u32)a[1];
		return 0;
	case OP_INIT:
		return start_init(l, me, r, a[0], a[1]);
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

/* answer keeps what an operation answered, and says how many to skip after it. */
static u32 answer(struct launch *l, struct op *o, s64 res, s32 *r)
{
	o->result = res;
	if (l->flags & LF_TIMES)
		o->args[5] = ticks();
	store(&o->done, 1); /* and with it the result */
	if (res < 0 && res > -4096) {
		if (!(o->flags & OPF_ANYERR) && -res != o->accept)
			die(l, (s32)-res);
		return o->skip;
	}
	if (o->save && o->save < NREGS)
		r[o->save] = (s32)res;
	return 0;
}

static int is_exec(const struct op *o) { return o->nr == NR_execve || o->nr == NR_execveat; }

/* work does what is left of a batch, from the operation pc on, and then one batch after the other. */
static __attribute__((noreturn)) void work(struct launch *l, struct self *me, s32 *r, u32 go, u32 pc)
{
	for (;; pc = 0) {
		u32 n = l->nops;
		struct op *ops = batch(l, n);
		if (!pc && n && l->flags & LF_EXEC_PIPE && is_exec(&ops[n - 1]))
			give_pipe(l, me);
		for (u32 i = pc; i < n; i++) {
			struct op *o = &ops[i];
			l->pc = i;
			if (is_exec(o))
				store(&l->state, ST_EXECING);
			if (o->nr == NR_dup3)
				make_way(l, (s32)o->args[1]);
			i += answer(l, o, do_op(l, me, o, r, go), r);
		}
		park(l, me, go);
		go = load(&l->go);
	}
}

/* resume is where the child of a second clone begins. */
static void resume(struct twin *t)
{
	struct launch *l = t->l;
	u32 skip = answer(l, &batch(l, l->nops)[t->pc], 0, t->r);

	work(l, &t->me, t->r, t->go, t->pc + 1 + skip);
}

__attribute__((noreturn)) void born(struct home *h)
{
	struct launch *l = &h->l;
	struct self me = { l->slot, l->serial, l->agent_pidfd, l->wait_agent, 0 };

	/* It is born in the cgroup that this is of, and has no further use for a directory of the host. */
	u32 cgroup = l->cgroup_reg - REG_FD0;
	if (l->cgroup_reg != ~0u && cgroup < MAX_FDS)
		sys1(NR_close, l->fds[cgroup]);
	first_registers(h->r, l->fds, l->nfds < MAX_FDS ? l->nfds : MAX_FDS);
	if (me.wait_agent) {
		/* The agent writes our id maps first. It is at it right now, so a short spin beats a sleep. */
		for (int i = 0; i < 2000 && !load(&l->agent_done); i++)
			relax();
		while (!load(&l->agent_done))
			sys6(NR_futex, (u64)&l->agent_done, 0, 0, 0, 0, 0);
	}
	work(l, &me, h->r, load(&l->go), 0);
}
