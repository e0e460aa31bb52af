/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Who the task is and what it may do: credentials, namespaces, seccomp. */
#ifndef HS_SNAP_ID_H
#define HS_SNAP_ID_H

#include "read.h"

/* PUT_NS reads one namespace: number and the number of the owning user ns. */
#define PUT_NS_WITH(how, s, slot_no, pointer)                                                   \
	do {                                                                                    \
		if (pointer) {                                                                  \
			struct user_namespace *owner_ = NULL;                                   \
			how(s, FAIL_NS, (s)->e.core.ns[slot_no].inum, &(pointer)->ns.inum);     \
			how(s, FAIL_NS, owner_, &(pointer)->user_ns);                           \
			if (owner_)                                                             \
				how(s, FAIL_NS, (s)->e.core.ns[slot_no].owner, &owner_->ns.inum); \
		}                                                                               \
	} while (0)
#define PUT_NS(s, slot_no, pointer) PUT_NS_WITH(READ, s, slot_no, pointer)

SNAP(snap_ns)
{
	struct core *c = &s->e.core;
	struct nsproxy *p = NULL;
	struct pid *pid = NULL;

	READ(s, FAIL_NS, pid, &t->thread_pid);
	if (pid) {
		struct pid_namespace *ns = NULL;
		u32 level = 0;

		READ(s, FAIL_NS, level, &pid->level);
		read_bytes(s, FAIL_NS, &ns, sizeof(ns),
			   (u8 *)&pid->numbers[0].ns + level * type_size(struct upid));
		PUT_NS_WITH(PREAD, s, NS_PID, ns);
		c->ns[NS_PID].level = level;
	}

	/* NULL once the task has left its namespaces on the way to its end. */
	READ(s, FAIL_NS, p, &t->nsproxy);
	if (!p)
		return 0;
	c->have |= HAVE_NSPROXY;

	struct uts_namespace *uts = NULL;
	READ(s, FAIL_NS, uts, &p->uts_ns);
	PUT_NS(s, NS_UTS, uts);
	if (uts) {
		read_bytes(s, FAIL_NS, c->hostname, 65, &uts->name.nodename);
		read_bytes(s, FAIL_NS, c->domainname, 65, &uts->name.domainname);
	}
	struct ipc_namespace *ipc = NULL;
	READ(s, FAIL_NS, ipc, &p->ipc_ns);
	PUT_NS(s, NS_IPC, ipc);
	struct mnt_namespace *mnt = NULL;
	READ(s, FAIL_NS, mnt, &p->mnt_ns);
	PUT_NS(s, NS_MNT, mnt);
	struct net *net = NULL;
	READ(s, FAIL_NS, net, &p->net_ns);
	PUT_NS(s, NS_NET, net);
	struct cgroup_namespace *cg = NULL;
	READ(s, FAIL_NS, cg, &p->cgroup_ns);
	PUT_NS(s, NS_CGROUP, cg);
	struct pid_namespace *forchild = NULL;
	READ(s, FAIL_NS, forchild, &p->pid_ns_for_children);
	PUT_NS(s, NS_PID_CHILD, forchild);
	if (forchild)
		READ(s, FAIL_NS, c->ns[NS_PID_CHILD].level, &forchild->level);

	if (field_exists(p->time_ns)) {
		struct time_namespace *tn = NULL;

		READ(s, FAIL_NS, tn, &p->time_ns);
		PUT_NS(s, NS_TIME, tn);
		if (tn) {
			c->have |= HAVE_TIMENS;
			READ(s, FAIL_NS, c->mono_sec, &tn->offsets.monotonic.tv_sec);
			READ(s, FAIL_NS, c->mono_nsec, &tn->offsets.monotonic.tv_nsec);
			READ(s, FAIL_NS, c->boot_sec, &tn->offsets.boottime.tv_sec);
			READ(s, FAIL_NS, c->boot_nsec, &tn->offsets.boottime.tv_nsec);
		}
		tn = NULL;
		READ(s, FAIL_NS, tn, &p->time_ns_for_children);
		PUT_NS(s, NS_TIME_CHILD, tn);
	}
	return 0;
}

/* One id map. The kernel stores lower_first already translated to the initial
 * user namespace (map_write, kernel/user_namespace.c). Up to five extents are
 * inline, more are in an array (6397fac4915a, 4.15), and go to the tail.
 */
INLINE void snap_map(struct slot *s, struct uid_gid_map *m, struct extent *to, u32 *count)
{
	struct uid_gid_extent *forward = NULL;
	u32 n = 0, used = s->used;

	READ(s, FAIL_USERNS, n, &m->nr_extents);
	*count = n;
	if (n <= MAX_EXTENTS) {
		read_bytes(s, FAIL_USERNS, to, MAX_EXTENTS * sizeof(*to), &m->extent);
		/* what lies behind the last extent is no part of the map */
		for (u32 i = 0; i < MAX_EXTENTS; i++) {
			if (i >= n) {
				to[i].inside = 0;
				to[i].host = 0;
				to[i].count = 0;
			}
		}
		return;
	}
	PREAD(s, FAIL_USERNS, forward, &m->forward); /* a union: older verifiers see only its first side */
	u64 size = n * sizeof(*to);
	barrier_var(size);
	if (size > MAX_LONG_MAP * sizeof(*to) || used > TAIL_SIZE - MAX_LONG_MAP * sizeof(*to)) {
		s->e.core.failed |= FAIL_USERNS;
		*count = 0;
		return;
	}
	read_bytes(s, FAIL_USERNS, s->tail + used, size, forward);
	s->used = used + size;
}

SNAP(snap_userns)
{
	struct core *c = &s->e.core;
	const struct cred *cred = NULL;
	struct user_namespace *ns = NULL;
	struct user_namespace *parent = NULL;
	unsigned long flags = 0;

	READ(s, FAIL_USERNS, cred, &t->cred);
	NEED(s, FAIL_USERNS, cred);
	READ(s, FAIL_USERNS, ns, &cred->user_ns);
	NEED(s, FAIL_USERNS, ns);
	READ(s, FAIL_USERNS, c->ns[NS_USER].inum, &ns->ns.inum);
	READ(s, FAIL_USERNS, c->ns[NS_USER].level, &ns->level);
	READ(s, FAIL_USERNS, c->userns_owner, &ns->owner);
	READ(s, FAIL_USERNS, flags, &ns->flags);
	c->userns_flags = flags;
	READ(s, FAIL_USERNS, parent, &ns->parent);
	if (parent)
		READ(s, FAIL_USERNS, c->userns_parent, &parent->ns.inum);
	snap_map(s, &ns->uid_map, c->uid_map, &c->uid_extents);
	snap_map(s, &ns->gid_map, c->gid_map, &c->gid_extents);
	return 0;
}

INLINE void snap_key(struct slot *s, struct key *k, u32 *serial)
{
	if (k)
		READ(s, FAIL_KEYS, *serial, &k->serial);
}

SNAP(snap_cred)
{
	struct core *c = &s->e.core;
	const struct cred *cred = NULL;

	/* The objective credentials (real_cred) are what others act upon, the
	 * subjective ones (cred) what the task acts with. They only differ
	 * inside override_creds(), where no user code runs.
	 */
	READ(s, FAIL_CRED, cred, &t->cred);
	NEED(s, FAIL_CRED | FAIL_KEYS, cred);
	READ(s, FAIL_CRED, c->ids[0], &cred->uid);
	READ(s, FAIL_CRED, c->ids[1], &cred->gid);
	READ(s, FAIL_CRED, c->ids[2], &cred->suid);
	READ(s, FAIL_CRED, c->ids[3], &cred->sgid);
	READ(s, FAIL_CRED, c->ids[4], &cred->euid);
	READ(s, FAIL_CRED, c->ids[5], &cred->egid);
	READ(s, FAIL_CRED, c->ids[6], &cred->fsuid);
	READ(s, FAIL_CRED, c->ids[7], &cred->fsgid);
	READ(s, FAIL_CRED, c->securebits, &cred->securebits);
	/* Five sets in a row since 4.3 (58319057b784); one read serves both
	 * forms of kernel_cap_t.
	 */
	u64 sets[5] = {};
	read_bytes(s, FAIL_CRED, sets, sizeof(sets), &cred->cap_inheritable);
	c->caps[0] = sets[3];
	c->caps[1] = sets[1];
	c->caps[2] = sets[2];
	c->caps[3] = sets[0];
	c->caps[4] = sets[4];

	if (field_exists(cred->session_keyring)) {
		struct key *k = NULL;

		c->have |= HAVE_KEYS;
		READ(s, FAIL_KEYS, k, &cred->session_keyring);
		snap_key(s, k, &c->key_session);
		if (k)
			READ(s, FAIL_KEYS, c->key_owner, &k->uid);
		k = NULL;
		READ(s, FAIL_KEYS, k, &cred->process_keyring);
		snap_key(s, k, &c->key_process);
		k = NULL;
		READ(s, FAIL_KEYS, k, &cred->thread_keyring);
		snap_key(s, k, &c->key_thread);
	}

	return 0;
}

/* Supplementary groups go to the tail: most tasks have few. */
SNAP(snap_groups)
{
	struct core *c = &s->e.core;
	const struct cred *cred = NULL;
	struct group_info *g = NULL;
	u32 n = 0, used = s->used;

	READ(s, FAIL_GROUPS, cred, &t->cred);
	NEED(s, FAIL_GROUPS, cred);
	READ(s, FAIL_GROUPS, g, &cred->group_info);
	NEED(s, FAIL_GROUPS, g);
	READ(s, FAIL_GROUPS, n, &g->ngroups);
	c->ngroups = n;
	if (n > MAX_GROUPS)
		n = MAX_GROUPS;
	if (used > TAIL_SIZE - MAX_GROUPS * 4)
		return 0;
	if (n) {
		read_bytes(s, FAIL_GROUPS, s->tail + used, n * 4, &g->gid);
		s->used = used + n * 4;
	}
	return 0;
}

/* A task's system calls go through seccomp only if this flag is set: without
 * it, mode and filters are for show. The same word sends them to a handler in
 * the task itself (syscall user dispatch, 5.11).
 */
#if defined(__TARGET_ARCH_x86)
#define TIF_SECCOMP 8 /* up to 5.10 */
#else
#define TIF_SECCOMP 11
#endif

INLINE void snap_armed(struct slot *s, struct task_struct *t)
{
	struct core *c = &s->e.core;
	u64 work = 0;

	c->more |= MORE_ARMED_KNOWN;
	if (field_exists(t->thread_info.syscall_work)) {
		READ(s, FAIL_SECCOMP, work, &t->thread_info.syscall_work);
		if (work >> enum_value(enum syscall_work_bit, SYSCALL_WORK_BIT_SECCOMP) & 1)
			c->more |= MORE_ARMED;
		if (enum_exists(enum syscall_work_bit, SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH)) {
			c->more |= MORE_DISPATCH_KNOWN;
			if (work >> enum_value(enum syscall_work_bit, SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH) & 1)
				c->more |= MORE_DISPATCH;
		}
		return;
	}
	READ(s, FAIL_SECCOMP, work, &t->thread_info.flags);
	if (work >> TIF_SECCOMP & 1)
		c->more |= MORE_ARMED;
}

/* The identity of each filter, newest first. Filters are immutable once
 * installed (their program, length and prev pointer are never written again)
 * and a task holds a reference to its newest one, which holds the next, until
 * it is released: so for one living task an equal address means an equal
 * filter, and its instructions need to be read only once.
 */
SNAP(snap_seccomp)
{
	struct core *c = &s->e.core;
	struct seccomp_filter *f = NULL;

	READ(s, FAIL_SECCOMP, c->seccomp_mode, &t->seccomp.mode);
	snap_armed(s, t);
	if (field_exists(t->seccomp.filter_count)) {
		c->have |= HAVE_FILTER_COUNT;
		READ(s, FAIL_SECCOMP, c->seccomp_count, &t->seccomp.filter_count);
	}
	READ(s, FAIL_SECCOMP, f, &t->seccomp.filter);
	for (u32 i = 0; i < MAX_FILTERS && f; i++) {
		struct filterid *id = &c->filters[i];
		struct sock_fprog_kern *orig = NULL;
		struct bpf_prog *prog = NULL;
		void *notif = NULL;
		u16 len = 0;

		id->filter = (u64)f;
		READ(s, FAIL_SECCOMP, prog, &f->prog);
		id->prog = (u64)prog;
		READ(s, FAIL_SECCOMP, id->log, &f->log);
		if (field_exists(f->wait_killable_recv))
			READ(s, FAIL_SECCOMP, id->wait_killable, &f->wait_killable_recv);
		READ(s, FAIL_SECCOMP, notif, &f->notif);
		id->notif = notif != NULL;
		/* kept for checkpoint/restore only */
		NEED(s, FAIL_SECCOMP, prog);
		READ(s, FAIL_SECCOMP, orig, &prog->orig_prog);
		if (orig)
			READ(s, FAIL_SECCOMP, len, &orig->len);
		id->len = len;
		c->nfilters = i + 1;
		READ(s, FAIL_SECCOMP, f, &f->prev);
	}
	if (f)
		c->have |= HAVE_FILTER_MORE;
	return 0;
}

/* The instructions of the filters that snap_seccomp found, in that order, as
 * far as they fit; a filter that does not fit is left out whole.
 */
SNAP(snap_code)
{
	struct core *c = &s->e.core;
	u64 left = MAX_CODE;

	for (u32 i = 0; i < MAX_FILTERS; i++) {
		struct bpf_prog *prog = (struct bpf_prog *)c->filters[i].prog;
		struct sock_fprog_kern *orig = NULL;
		void *code = NULL;
		u64 used = s->used;
		u64 size = c->filters[i].len * 8ULL;

		if (!prog || !size)
			continue;
		if (size > left)
			break;
		barrier_var(used);
		if (used > TAIL_SIZE - MAX_CODE)
			break;
		barrier_var(size);
		if (size > MAX_CODE)
			break;
		PREAD(s, FAIL_CODE, orig, &prog->orig_prog);
		PREAD(s, FAIL_CODE, code, &orig->filter);
		read_bytes(s, FAIL_CODE, s->tail + used, size, code);
		left -= size;
		s->used = used + size;
	}
	return 0;
}

#endif
