/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the optional hooks have in common. Each looks at the current task by
 * bpf_probe_read_kernel alone, also where the programs at the tracepoints load
 * through typed pointers, so that the two share as little as can be. They read
 * the map of watches and write to it only the number of the exec that the
 * breakpoint has seen.
 */
#ifndef HS_WITNESS_H
#define HS_WITNESS_H

#include "event.h"
#include "kernel.h"

enum witness {
	WITNESS_LSM = 1,
	WITNESS_FEXIT = 2,
	WITNESS_WORK = 3,
	WITNESS_BREAK = 4,
};

/* Which facts could not be read, or are not there. */
enum fact {
	FACT_EUID = 1 << 0,
	FACT_EGID = 1 << 1,
	FACT_EFFECTIVE = 1 << 2,
	FACT_SECCOMP = 1 << 3,
	FACT_NNP = 1 << 4,
	FACT_USER = 1 << 5,
	FACT_UTS = 1 << 6,
	FACT_IPC = 1 << 7,
	FACT_MNT = 1 << 8,
	FACT_PID_CHILD = 1 << 9,
	FACT_NET = 1 << 10,
	FACT_CGROUP = 1 << 11,
	FACT_TIME = 1 << 12,
	FACT_IP = 1 << 31,
};

/* head.info is the hook, head.exec the exec that it speaks of. The facts are in
 * the order of their bits.
 */
struct testimony {
	struct head head;
	u64 facts[13];
	u64 failed;
};

/* Set by tests: the facts that are to be false. */
volatile u32 lie = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct watch);
} watches SEC(".maps");

INLINE u32 fetch_inum(u64 *to, struct ns_common *ns, u32 bit)
{
	u32 inum = 0;

	if (bpf_probe_read_kernel(&inum, sizeof(inum), &ns->inum))
		return bit;
	*to = inum;
	return 0;
}

#define FETCH(failed, bit, dst, src)                                 \
	do {                                                         \
		if (bpf_probe_read_kernel(&(dst), sizeof(dst), src)) \
			(failed) |= (bit);                           \
	} while (0)

#define FETCH_NS(bit, slot_no, type, member)                                           \
	do {                                                                           \
		struct type *ns_ = NULL;                                               \
		FETCH(failed, bit, ns_, &proxy->member);                               \
		if (ns_)                                                               \
			failed |= fetch_inum(&e->facts[slot_no], &ns_->ns, bit);       \
		else                                                                   \
			failed |= bit;                                                 \
	} while (0)

INLINE void testify_facts(struct testimony *e, struct task_struct *t)
{
	const struct cred *cred = NULL;
	struct user_namespace *user = NULL;
	struct nsproxy *proxy = NULL;
	unsigned long flags = 0;
	u32 euid = 0, egid = 0, mode = 0;
	u64 failed = 0, caps = 0;

	FETCH(failed, FACT_EUID | FACT_EGID | FACT_EFFECTIVE | FACT_USER, cred, &t->cred);
	FETCH(failed, FACT_EUID, euid, &cred->euid);
	FETCH(failed, FACT_EGID, egid, &cred->egid);
	if (bpf_probe_read_kernel(&caps, sizeof(caps), &cred->cap_effective))
		failed |= FACT_EFFECTIVE;
	FETCH(failed, FACT_USER, user, &cred->user_ns);
	failed |= fetch_inum(&e->facts[5], &user->ns, FACT_USER);
	FETCH(failed, FACT_SECCOMP, mode, &t->seccomp.mode);
	FETCH(failed, FACT_NNP, flags, &t->atomic_flags);
	e->facts[0] = euid;
	e->facts[1] = egid;
	e->facts[2] = caps;
	e->facts[3] = mode;
	e->facts[4] = flags & 1; /* PFA_NO_NEW_PRIVS */

	FETCH(failed, FACT_UTS | FACT_IPC | FACT_MNT | FACT_PID_CHILD | FACT_NET | FACT_CGROUP | FACT_TIME, proxy, &t->nsproxy);
	FETCH_NS(FACT_UTS, 6, uts_namespace, uts_ns);
	FETCH_NS(FACT_IPC, 7, ipc_namespace, ipc_ns);
	FETCH_NS(FACT_MNT, 8, mnt_namespace, mnt_ns);
	FETCH_NS(FACT_PID_CHILD, 9, pid_namespace, pid_ns_for_children);
	FETCH_NS(FACT_NET, 10, net, net_ns);
	FETCH_NS(FACT_CGROUP, 11, cgroup_namespace, cgroup_ns);
	if (field_exists(proxy->time_ns))
		FETCH_NS(FACT_TIME, 12, time_namespace, time_ns);
	else
		failed |= FACT_TIME;
	e->failed = failed;
}

/* The watch of the current process. */
INLINE struct watch *own_watch(struct task_struct *t)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct watch *w = bpf_map_lookup_elem(&watches, &tgid);
	struct task_struct *leader = NULL;
	u64 start = 0;

	if (!w)
		return NULL;
	bpf_probe_read_kernel(&leader, sizeof(leader), &t->group_leader);
	bpf_probe_read_kernel(&start, sizeof(start), &leader->start_boottime);
	return w->start == start ? w : NULL;
}

/* Whether the programs at the tracepoint have seen this very exec, and want it. */
INLINE u32 exec_is_seen(struct watch *w, struct task_struct *t)
{
	u64 exec_id = 0;

	bpf_probe_read_kernel(&exec_id, sizeof(exec_id), &t->self_exec_id);
	return w->execs && w->exec_id == exec_id && ((w->flags & WATCH_ALL_EXECS) || w->execs == w->nth);
}

INLINE void testify(struct watch *w, struct task_struct *t, u32 who, u32 exec, u64 ip)
{
	u64 id = bpf_get_current_pid_tgid();
	struct testimony e = {};
	u32 l = lie;

	e.head.cookie = w->cookie;
	e.head.start = w->start;
	e.head.ktime = bpf_ktime_get_ns();
	e.head.ip = ip;
	e.head.info = who;
	e.head.at = AT_WITNESS;
	e.head.flags = ip ? HEAD_IP : 0;
	e.head.tgid = id >> 32;
	e.head.tid = (u32)id;
	e.head.exec = exec;
	e.head.cpu = bpf_get_smp_processor_id();
	testify_facts(&e, t);
	if (l) {
		for (u32 i = 0; i < 13; i++)
			e.facts[i] ^= l >> i & 1;
		e.head.ip ^= l >> 31;
	}
	/* What gets lost is a confirmation, which nothing depends on. */
	bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP);
}

#endif
