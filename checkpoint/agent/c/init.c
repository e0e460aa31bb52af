/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The init of a new pid namespace, on request: process 1, which reaps what
 * nobody else does and passes signals on to the workload, process 2. Both are
 * children of the agent, so the workload is supervised as any other, and the
 * agent ends the init, and with it everything in the namespace, once the
 * workload has ended.
 *
 * The workload shares a pid namespace with it and must gain nothing from it:
 * it has no descriptors and none of the shared memory, may not be traced or
 * looked into (it is not dumpable), has of all capabilities at most CAP_KILL,
 * which passing on signals needs, and can make five system calls.
 */
#include "agent.h"

struct sock_filter { unsigned short code; u8 jt, jf; u32 k; };
struct sock_fprog { unsigned short len; struct sock_filter *filter; };
#if defined(__x86_64__)
#define AUDIT_ARCH 0xc000003e
#else
#define AUDIT_ARCH 0xc00000b7
#endif
#define CAP_KILL 5

static s64 only_kill(void)
{
	u32 header[2] = { 0x20080522, 0 };
	u32 data[6] = { 1u << CAP_KILL, 1u << CAP_KILL, 0, 0, 0, 0 };

	if (sys2(NR_capset, header, data) == 0)
		return 0;
	data[0] = data[1] = 0; /* it never had it */
	return sys2(NR_capset, header, data);
}

/* lock_up takes away what an init does not need; *err says what could not be. */
static s64 lock_up(struct self *me, u64 uid, u64 gid)
{
	struct pollfd p = { .fd = me->agent_pidfd, .events = POLLIN };
	struct timespec zero = { 0, 0 };
	s64 e;

	if (gid != ~0ULL) {
		sys2(NR_setgroups, 0, 0); /* may be denied in this namespace, and then nothing can be gained by it */
		if ((e = sys3(NR_setresgid, gid, gid, gid)) < 0 && e != -EINVAL)
			return e;
	}
	/* EINVAL: not mapped here. Then it stays what it is, nobody in this namespace. */
	if (uid != ~0ULL && (e = sys3(NR_setresuid, uid, uid, uid)) < 0 && e != -EINVAL)
		return e;
	if ((e = only_kill()) < 0 || (e = sys5(NR_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0)) < 0 ||
	    (e = sys5(NR_prctl, 4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0)) < 0 ||
	    (e = sys5(NR_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL, 0, 0, 0)) < 0)
		return e;
	if (sys5(NR_ppoll, &p, 1, &zero, 0, 0) > 0)
		return -ESRCH; /* the agent died before that was armed */
	sys5(NR_prctl, 15 /* PR_SET_NAME */, "holdshort-init", 0, 0, 0);
	return sys3(NR_close_range, 0, ~0u, 0);
}

static void filter(void)
{
	struct sock_filter f[] = {
		{ 0x20, 0, 0, 4 },          /* arch */
		{ 0x15, 0, 7, AUDIT_ARCH },
		{ 0x20, 0, 0, 0 },          /* number */
		{ 0x15, 4, 0, NR_rt_sigtimedwait },
		{ 0x15, 3, 0, NR_wait4 },
		{ 0x15, 2, 0, NR_kill },
		{ 0x15, 1, 0, NR_exit_group },
		{ 0x15, 0, 1, NR_restart_syscall },
		{ 0x06, 0, 0, 0x7fff0000 }, /* allow */
		{ 0x06, 0, 0, 0x00050001 }, /* EPERM */
	};
	struct sock_fprog prog = { sizeof f / sizeof *f, f };

	sys5(NR_prctl, 22 /* PR_SET_SECCOMP */, 2, &prog, 0, 0);
}

/* forget_host: an init shall not have what is shared with the host. */
static void forget_host(void)
{
	sys2(NR_munmap, HOME_BASE, HOME_SIZE);
	sys2(NR_munmap, BATCH_BASE, BATCH_SIZE);
}

static void init(struct twin *t)
{
	struct launch *l = t->l;
	u64 all = ~0ULL;
	s64 e;

	sys4(NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, 8);
	e = lock_up(&t->me, t->uid, t->gid);
	l->init_err = (s32)-e;
	store(&l->init_ready, 1);
	sys6(NR_futex, (u64)&l->init_ready, 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
	if (e < 0)
		for (;;)
			sys1(NR_exit_group, 1);
	forget_host();
	filter();
	for (;;) {
		s64 sig = sys4(NR_rt_sigtimedwait, &all, 0, 0, 8);
		if (sig == SIGCHLD)
			while (sys4(NR_wait4, -1, 0, 1 /* WNOHANG */ | WALL, 0) > 0)
				;
		else if (sig > 0)
			sys2(NR_kill, 2, sig);
	}
}

/* start_init is an operation of the child that unshared the pid namespace: what it clones first is process 1 there. */
s64 start_init(struct launch *l, struct self *me, const s32 *r, u64 uid, u64 gid)
{
	s32 pidfd = -1;
	struct twin *t = make_twin(l, me, r);
	struct clone_args ca = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND,
		.pidfd = (u64)&pidfd,
		.parent_tid = (u64)&l->init_pid,
	};
	if (!t)
		return -ENOMEM;
	t->uid = uid;
	t->gid = gid;
	s64 pid = clone_twin(&ca, t, init);
	if (pid < 0)
		return pid;
	while (!load(&l->init_ready)) {
		struct timespec t = { 0, 50000000 };
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		sys6(NR_futex, (u64)&l->init_ready, 0 /* FUTEX_WAIT */, 0, (u64)&t, 0, 0);
		t.nsec = 0;
		if (sys5(NR_ppoll, &p, 1, &t, 0, 0) > 0 && !load(&l->init_ready))
			return -ESRCH;
	}
	sys1(NR_close, pidfd);
	sys2(NR_munmap, t, TWIN_SIZE);
	return -(s64)l->init_err;
}
