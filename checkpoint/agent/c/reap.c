/* SPDX-License-Identifier: Apache-2.0 */
/* The end of workloads: reaping, reporting, and ending them all when the host has gone. */
#include "zygote.h"

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

void forget(struct record *r)
{
	drop_pipe(r);
	r->used = 0;
	my->live--;
	while (my->top && !my->records[my->top - 1].used)
		my->top--;
}

/*
 * second_of is the process of a second clone while the record has that of the
 * first, or 0. The number is in memory that others write, so it counts only if
 * it is a child of ours, and no other launch's.
 */
static s32 second_of(struct record *r)
{
	struct siginfo si;
	s32 pid = launch_of(r)->pid2;

	if (pid <= 0 || pid == r->pid)
		return 0;
	for (u32 i = 0; i < my->top; i++)
		if (my->records[i].used && my->records[i].pid == pid)
			return 0;
	return sys5(NR_waitid, P_PID, pid, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0) ? 0 : pid;
}

/* on_exec: the exec pipe of a slot was closed, by execve or by death. */
void on_exec(u32 slot)
{
	struct record *r = &my->records[slot];
	if (r->used != 1 || r->pipe < 0)
		return;
	drop_pipe(r);
	if (load(&launch_of(r)->state) != ST_EXECING)
		return;
	/* The first half of a second clone may be a zombie that was not looked at yet: its pid would say "ended". */
	s32 second = second_of(r), pid = second ? second : r->pid;
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
			my->records[i].first = my->records[i].pid;
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
	if (l->flags & LF_TIMES)
		read_clock(&l->clock[1]);
	store(&l->ended, 1);
	if (my->host_gone)
		clean_up(l);
	tell(slot, EV_EXITED, pid, status, code, flags, -1);
	if (!(flags & EVF_HELD))
		forget(&my->records[slot]);
}

/*
 * first_lives tells whether the first half of a second clone still runs. It has
 * no more to do than to say so and to end, but it does that in the launch's
 * memory, which the host gives to another launch as soon as this one has ended.
 */
static int first_lives(struct record *r)
{
	struct siginfo si;

	if (!r->first)
		return 0;
	si.pid = 0;
	if (!sys5(NR_waitid, P_PID, r->first, &si, WEXITED | WNOHANG | WALL, 0) && !si.pid)
		return 1;
	r->first = 0;
	return 0;
}

/* ended takes the end of a process; false if it is too early for that, and another end will come. */
static int ended(struct siginfo *si)
{
	u32 slot = find(si->pid);
	s64 ru[18];

	if (slot == MAX_SLOTS) { /* not ours: an orphan that we were given, or the first half of a second clone */
		sys5(NR_waitid, P_PID, si->pid, si, WEXITED | WNOHANG | WALL, 0);
		return 1;
	}
	struct record *r = &my->records[slot];
	if (r->used == 2)
		return 1;
	if (first_lives(r))
		return 0;
	struct launch *l = launch_of(r);
	if (r->used == 3) { /* the init, and all that was in its namespace */
		sys5(NR_waitid, P_PID, si->pid, si, WEXITED | WNOHANG | WALL, 0);
		report_end(slot, l, r->end.pid, r->end.status, r->end.code, r->end.flags);
		return 1;
	}
	s32 second = r->pid == si->pid ? second_of(r) : 0;
	if (second) { /* the first half has done its work */
		r->pid = second;
		sys5(NR_waitid, P_PID, si->pid, si, WEXITED | WNOHANG | WALL, 0);
		return 1;
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
		return 1;
	}
	report_end(slot, l, pid, status, (u32)code, flags);
	return 1;
}

void reap(void)
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
		if (!ended(&si))
			break;
	}
	/* A zombie that is left would be reported for ever by P_ALL, so each child is asked. */
	for (u32 i = 0; i < my->top; i++) {
		if (my->records[i].used != 1 && my->records[i].used != 3)
			continue;
		si.pid = 0;
		if (!sys5(NR_waitid, P_PID, my->records[i].pid, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0) && si.pid)
			ended(&si);
		s32 second = my->records[i].used == 1 ? second_of(&my->records[i]) : 0;
		si.pid = 0;
		if (second && !sys5(NR_waitid, P_PID, second, &si, WEXITED | WNOHANG | WNOWAIT | WALL, 0) && si.pid)
			ended(&si);
	}
}

static s64 now_ms(void)
{
	struct timespec t;
	sys2(NR_clock_gettime, 1, &t);
	return t.sec * 1000 + t.nsec / 1000000;
}

void signal_record(struct record *r, s32 sig)
{
	s32 second = second_of(r);

	sys2(NR_kill, second ? second : r->pid, sig);
}

/* orphaned ends the workloads as each launch asked for, then the agent. */
__attribute__((noreturn)) void orphaned(void)
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
