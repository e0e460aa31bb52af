/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The task itself: scheduling, signals, limits, its place among others, cgroups. */
#ifndef HS_SNAP_TASK_H
#define HS_SNAP_TASK_H

#include "read.h"

#define PIDTYPE_TGID 1
#define PIDTYPE_PGID 2
#define PIDTYPE_SID 3

SNAP(snap_task)
{
	struct core *c = &s->e.core;
	s32 prio = 0;

	struct task_struct *leader = NULL;
	READ(s, FAIL_TASK, leader, &t->group_leader); /* whose PF_FORKNOEXEC counts */
	NEED(s, FAIL_TASK, leader);
	READ(s, FAIL_TASK, c->task_flags, &leader->flags);
	READ(s, FAIL_TASK, c->pdeathsig, &t->pdeath_signal);
	READ(s, FAIL_TASK, c->personality, &t->personality);
	READ(s, FAIL_TASK, c->atomic_flags, &t->atomic_flags);
	READ(s, FAIL_TASK, c->policy, &t->policy);
	READ(s, FAIL_TASK, prio, &t->static_prio);
	c->nice = prio - 120; /* PRIO_TO_NICE, include/linux/sched/prio.h */
	READ(s, FAIL_TASK, c->rt_priority, &t->rt_priority);
	READ(s, FAIL_TASK, c->timer_slack, &t->timer_slack_ns);
	read_bytes(s, FAIL_TASK, c->comm, sizeof(c->comm), &t->comm);

	u32 reset = 0;
	READ_BITS(s, FAIL_TASK, reset, t, sched_reset_on_fork);
	if (reset)
		c->have |= HAVE_RESET_ON_FORK;

	u32 size = field_size(t->cpus_mask);
	if (size > sizeof(c->affinity))
		size = sizeof(c->affinity);
	read_bytes(s, FAIL_TASK, c->affinity, size, &t->cpus_mask);
	c->cpu_words = field_size(t->cpus_mask) / 8;

	if (field_exists(t->loginuid)) {
		c->have |= HAVE_AUDIT;
		READ(s, FAIL_TASK, c->loginuid, &t->loginuid);
		READ(s, FAIL_TASK, c->sessionid, &t->sessionid);
	}
	if (field_exists(t->core_cookie)) {
		c->have |= HAVE_COOKIE;
		READ(s, FAIL_TASK, c->core_cookie, &t->core_cookie);
	}
	if (field_exists(t->io_context)) {
		struct io_context *io = NULL;
		u16 prio16 = 0;

		c->have |= HAVE_IOPRIO;
		READ(s, FAIL_TASK, io, &t->io_context);
		if (io)
			READ(s, FAIL_TASK, prio16, &io->ioprio);
		c->ioprio = prio16;
	}
	return 0;
}

/* A clamp of utilisation, as it was asked for: value, and in the top bit whether
 * somebody did ask.
 */
INLINE u32 snap_clamp(struct slot *s, struct uclamp_se *u)
{
	u32 value = 0, asked = 0;

	READ_BITS(s, FAIL_SCHED, value, u, value);
	READ_BITS(s, FAIL_SCHED, asked, u, user_defined);
	return value | asked << 31;
}

/* What scheduling depends on beside policy and priority, and what else hangs
 * off the task.
 */
SNAP(snap_sched)
{
	struct core *c = &s->e.core;
	struct signal_struct *sig = NULL;

	if (field_exists(t->dl.dl_runtime)) {
		c->more |= MORE_DEADLINE;
		READ(s, FAIL_SCHED, c->dl_runtime, &t->dl.dl_runtime);
		READ(s, FAIL_SCHED, c->dl_deadline, &t->dl.dl_deadline);
		READ(s, FAIL_SCHED, c->dl_period, &t->dl.dl_period);
	}
	if (field_exists(t->uclamp_req)) {
		struct uclamp_se *u = (void *)&t->uclamp_req;

		c->more |= MORE_UCLAMP;
		c->uclamp_min = snap_clamp(s, u);
		c->uclamp_max = snap_clamp(s, (void *)((u8 *)u + type_size(struct uclamp_se)));
	}
	if (field_exists(sig->autogroup)) {
		struct autogroup *group = NULL;

		READ(s, FAIL_SCHED, sig, &t->signal);
		NEED(s, FAIL_SCHED, sig);
		READ(s, FAIL_SCHED, group, &sig->autogroup);
		if (group) {
			c->more |= MORE_AUTOGROUP;
			READ(s, FAIL_SCHED, c->autogroup, &group->id);
			READ(s, FAIL_SCHED, c->autogroup_nice, &group->nice);
		}
	}
	if (field_exists(t->io_uring)) {
		struct io_uring_task *ring = NULL;

		c->more |= MORE_IO_URING_KNOWN;
		READ(s, FAIL_SCHED, ring, &t->io_uring);
		if (ring)
			c->more |= MORE_IO_URING;
	}
	if (field_exists(t->io_uring_restrict)) {
		struct io_restriction *to = NULL;

		c->more |= MORE_IO_RESTRICT_KNOWN;
		READ(s, FAIL_SCHED, to, &t->io_uring_restrict);
		if (to)
			c->more |= MORE_IO_RESTRICT;
	}
	if (field_exists(t->thread.features)) {
		c->more |= MORE_SHADOW_STACK;
		READ(s, FAIL_SCHED, c->shadow_stack, &t->thread.features);
	} else if (field_exists(t->thread.gcs_el0_mode)) {
		c->more |= MORE_SHADOW_STACK;
		READ(s, FAIL_SCHED, c->shadow_stack, &t->thread.gcs_el0_mode);
	}
	return 0;
}

INLINE u32 pid_number(struct slot *s, struct pid *p, u32 level)
{
	u32 nr = 0;

	if (p && !level)
		READ(s, FAIL_PROCESS, nr, &p->numbers[0].nr);
	else if (p)
		read_bytes(s, FAIL_PROCESS, &nr, sizeof(nr),
			   (u8 *)&p->numbers[0].nr + level * type_size(struct upid));
	return nr;
}

SNAP(snap_signal)
{
	struct core *c = &s->e.core;
	struct signal_struct *sig = NULL;
	struct sighand_struct *hand = NULL;
	u64 own = 0, shared = 0;

	READ(s, FAIL_SIGNAL, c->blocked, &t->blocked);
	READ(s, FAIL_SIGNAL, own, &t->pending.signal);
	READ(s, FAIL_SIGNAL, sig, &t->signal);
	NEED(s, FAIL_SIGNAL, sig);
	READ(s, FAIL_SIGNAL, shared, &sig->shared_pending.signal);
	c->pending = own | shared;
	read_bytes(s, FAIL_SIGNAL, c->rlim, sizeof(c->rlim), &sig->rlim);

	s16 adj = 0;
	READ(s, FAIL_SIGNAL, adj, &sig->oom_score_adj);
	c->oom_adj = adj;
	READ(s, FAIL_SIGNAL, adj, &sig->oom_score_adj_min);
	c->oom_adj_min = adj;

	/* Which signals are ignored: the whole table in one read, then a look
	 * at the first word of each entry.
	 */
	READ(s, FAIL_SIGHAND, hand, &t->sighand);
	if (hand) {
		u32 step = type_size(struct k_sigaction) / 8;
		u64 ignored = 0;

		c->have |= HAVE_SIGHAND;
		if (step == 4) {
			read_bytes(s, FAIL_SIGHAND, s->words, 2048, &hand->action);
#pragma clang loop unroll(disable)
			for (u32 i = 0; i < 64; i++) {
				/* 0 only for SIG_IGN, which is 1 */
				u64 other = s->words[i * 4] ^ 1;

				ignored |= (((other | -other) >> 63) ^ 1) << i;
			}
		} else {
			c->failed |= FAIL_SIGHAND;
		}
		c->ignored = ignored;
	}
	return 0;
}

SNAP(snap_process)
{
	struct core *c = &s->e.core;
	struct signal_struct *sig = NULL;
	struct task_struct *other = NULL;
	struct pid *pid = NULL;
	u32 level = 0, bit = 0;

	READ(s, FAIL_PROCESS, sig, &t->signal);
	NEED(s, FAIL_PROCESS, sig);
	READ(s, FAIL_PROCESS, c->pid, &t->tgid);
	READ(s, FAIL_PROCESS, pid, &sig->pids[PIDTYPE_TGID]);
	if (pid)
		READ(s, FAIL_PROCESS, level, &pid->level);
	c->pid_inside = pid_number(s, pid, level);
	pid = NULL;
	READ(s, FAIL_PROCESS, pid, &sig->pids[PIDTYPE_PGID]);
	c->pgrp = pid_number(s, pid, 0);
	pid = NULL;
	READ(s, FAIL_PROCESS, pid, &sig->pids[PIDTYPE_SID]);
	c->session = pid_number(s, pid, 0);
	READ(s, FAIL_PROCESS, c->threads, &sig->nr_threads);

	READ(s, FAIL_PROCESS, bit, &sig->leader);
	if (bit)
		c->have |= HAVE_SESSION_LEADER;
	bit = 0;
	READ_BITS(s, FAIL_PROCESS, bit, sig, is_child_subreaper);
	if (bit)
		c->have |= HAVE_SUBREAPER;

	READ(s, FAIL_PROCESS, other, &t->real_parent);
	NEED(s, FAIL_PROCESS, other);
	READ(s, FAIL_PROCESS, c->parent, &other->tgid);
	bit = 0;
	READ(s, FAIL_PROCESS, bit, &t->ptrace);
	if (bit) {
		READ(s, FAIL_PROCESS, other, &t->parent);
		NEED(s, FAIL_PROCESS, other);
		READ(s, FAIL_PROCESS, c->tracer, &other->tgid);
	}

	struct tty_struct *tty = NULL;
	READ(s, FAIL_PROCESS, tty, &sig->tty);
	if (tty) {
		struct tty_driver *drv = NULL;
		s32 index = 0, minor = 0;

		READ(s, FAIL_PROCESS, drv, &tty->driver);
		NEED(s, FAIL_PROCESS, drv);
		READ(s, FAIL_PROCESS, index, &tty->index);
		READ(s, FAIL_PROCESS, c->tty_major, &drv->major);
		READ(s, FAIL_PROCESS, minor, &drv->minor_start);
		c->tty_minor = minor + index;
	}
	return 0;
}

/* One subsystem: its number if the task is in a version 1 hierarchy of it. */
INLINE u32 snap_v1(struct slot *s, struct css_set *set, struct cgroup *dfl, struct cgroup_root *v2, u32 i)
{
	struct cgroup_subsys_state *css = NULL;
	struct cgroup *cg = NULL;
	struct cgroup_root *root = NULL;
	struct kernfs_node *kn = NULL;

	READ(s, FAIL_CGROUP, css, (u8 *)&set->subsys + i * 8);
	if (!css)
		return 0;
	READ(s, FAIL_CGROUP, cg, &css->cgroup);
	if (!cg || cg == dfl)
		return 0;
	READ(s, FAIL_CGROUP, root, &cg->root);
	if (root == v2)
		return 0;
	READ(s, FAIL_CGROUP, kn, &cg->kn);
	if (!kn) {
		s->e.core.failed |= FAIL_CGROUP;
		return 0;
	}
	READ(s, FAIL_CGROUP, s->e.core.cgroup_v1[i], &kn->id);
	return 1U << i;
}

#define V1(i)                                                \
	do {                                                 \
		if (i < n)                                   \
			mask |= snap_v1(s, set, dfl, v2, i); \
	} while (0)

/* Cgroup memberships. A css belongs to a version 1 hierarchy when its cgroup
 * hangs in another root than the task's version 2 cgroup does.
 */
SNAP(snap_cgroup)
{
	struct core *c = &s->e.core;
	struct css_set *set = NULL;
	struct cgroup *dfl = NULL;
	struct cgroup_root *v2 = NULL;
	struct kernfs_node *kn = NULL;
	u32 mask = 0;

	READ(s, FAIL_CGROUP, set, &t->cgroups);
	NEED(s, FAIL_CGROUP, set);
	READ(s, FAIL_CGROUP, dfl, &set->dfl_cgrp);
	NEED(s, FAIL_CGROUP, dfl);
	READ(s, FAIL_CGROUP, v2, &dfl->root);
	READ(s, FAIL_CGROUP, kn, &dfl->kn);
	NEED(s, FAIL_CGROUP, kn);
	READ(s, FAIL_CGROUP, c->cgroup_v2, &kn->id);
	if (field_exists(dfl->freezer.e_freeze)) {
		u32 frozen = 0;

		c->more |= MORE_FROZEN_KNOWN;
		READ_BITS(s, FAIL_CGROUP, frozen, dfl, freezer.e_freeze);
		if (frozen)
			c->more |= MORE_FROZEN;
	}

	u32 n = field_size(set->subsys) / 8;
	if (n > MAX_SUBSYS)
		c->failed |= FAIL_CGROUP;
	/* Written out, so that each place in the array is a constant offset. */
	V1(0);
	V1(1);
	V1(2);
	V1(3);
	V1(4);
	V1(5);
	V1(6);
	V1(7);
	V1(8);
	V1(9);
	V1(10);
	V1(11);
	V1(12);
	V1(13);
	V1(14);
	V1(15);
	c->v1_mask = mask;
	return 0;
}

#endif
