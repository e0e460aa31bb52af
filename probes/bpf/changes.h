/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Who does what to a watched task. These programs are attached only while a
 * watch asks for it. Where the kernel has a tracepoint for a change it is used;
 * else the system call that makes it is noted as it begins, whether or not it
 * then succeeds: the posture at the end tells.
 */
#ifndef HS_CHANGES_H
#define HS_CHANGES_H

/* The watch of a thread group that wants to know, once it has executed. */
INLINE struct watch *wants_changes(u32 tgid, struct task_struct *t)
{
	struct watch *w = bpf_map_lookup_elem(&watches, &tgid);

	if (!w || !(w->flags & WATCH_CHANGES) || !w->execs)
		return NULL;
	return !t || w->start == start_of(t) ? w : NULL;
}

NOINLINE int tell(struct watch *w, u32 tgid, u32 change, u64 about)
{
	u64 id = bpf_get_current_pid_tgid();
	struct task_struct *self = (void *)bpf_get_current_task();
	u32 index = 0;
	struct slot *s;

	if (!w)
		return 0;
	/* Counted loosely: two at once may be one too many. */
	if (w->changes >= MAX_CHANGES)
		return 0;
	w->changes++;
	s = take_slot(&index);
	if (!s) {
		__sync_fetch_and_add(&w->lost, 1);
		return 0;
	}
	struct head *h = &s->e.head;
	h->cookie = w->cookie;
	h->start = w->start;
	h->ktime = bpf_ktime_get_ns();
	h->ip = 0;
	h->entry = 0;
	bpf_probe_read_kernel(&h->ip, 16, &self->comm); /* and entry, which is next */
	h->lost_all = counters.lost + counters.no_slot;
	h->info = change | about << 8;
	h->at = AT_CHANGE;
	h->flags = 0;
	h->tgid = tgid;
	h->tid = (u32)id;
	h->pid_here = w->pid_here;
	h->parent = id >> 32;
	h->seq = w->seq++;
	h->exec = w->execs;
	h->lost = w->lost;
	h->cpu = bpf_get_smp_processor_id();
	s->used = 0;
	send(s, index, w);
	return 0;
}

/* A change to the task that a tracepoint is about, told for its leader only. */
INLINE void told(struct task_struct *t, u32 change, u64 about)
{
	struct watch *w;
	u32 pid = 0, tgid = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid), &t->pid);
	bpf_probe_read_kernel(&tgid, sizeof(tgid), &t->tgid);
	if (pid != tgid && change != CHANGE_SIGNAL)
		return;
	w = wants_changes(tgid, t);
	if (w)
		tell(w, tgid, change, about);
}

SEC("raw_tp/cgroup_attach_task")
int on_cgroup_attach(struct raw_args *ctx)
{
	struct cgroup *to = (void *)ctx->args[0];
	struct kernfs_node *kn = NULL;
	u64 id = 0;

	bpf_probe_read_kernel(&kn, sizeof(kn), &to->kn);
	bpf_probe_read_kernel(&id, sizeof(id), &kn->id);
	told((void *)ctx->args[2], CHANGE_CGROUP, id);
	return 0;
}

SEC("raw_tp/oom_score_adj_update")
int on_oom_adj(struct raw_args *ctx)
{
	told((void *)ctx->args[0], CHANGE_OOM, 0);
	return 0;
}

SEC("raw_tp/task_rename")
int on_rename(struct raw_args *ctx)
{
	told((void *)ctx->args[0], CHANGE_NAME, 0);
	return 0;
}

/* Only signals that somebody sends: those of the kernel, of timers too, come
 * while any task runs.
 */
SEC("raw_tp/signal_generate")
int on_signal(struct raw_args *ctx)
{
	struct task_struct *t = (void *)ctx->args[2];
	u64 info = ctx->args[1];
	s32 code = 1;

	if (info <= 1) /* SEND_SIG_NOINFO, SEND_SIG_PRIV */
		return 0;
	bpf_probe_read_kernel(&code, sizeof(code), (void *)(info + 8)); /* si_code */
	if (code != 0 && code != -1 && code != -6) /* SI_USER, SI_QUEUE, SI_TKILL */
		return 0;
	told(t, CHANGE_SIGNAL, (u32)ctx->args[0]);
	return 0;
}

/* Numbers of system calls: arch/x86/entry/syscalls/syscall_64.tbl, and
 * include/uapi/asm-generic/unistd.h for arm64.
 */
#if defined(__TARGET_ARCH_x86)
#define NR_PRLIMIT64 302
#define NR_SCHED_SETATTR 314
#define NR_SCHED_SETAFFINITY 203
#define NR_SCHED_SETSCHEDULER 144
#define NR_SCHED_SETPARAM 142
#define NR_SETPRIORITY 141
#define NR_IOPRIO_SET 251
#define NR_PTRACE 101
#else
#define NR_PRLIMIT64 261
#define NR_SCHED_SETATTR 274
#define NR_SCHED_SETAFFINITY 122
#define NR_SCHED_SETSCHEDULER 119
#define NR_SCHED_SETPARAM 118
#define NR_SETPRIORITY 140
#define NR_IOPRIO_SET 30
#define NR_PTRACE 117
#endif
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206

INLINE u64 call_arg(u64 regs, u32 n)
{
	u64 v = 0;
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *r = (void *)regs;

	if (n == 0)
		bpf_probe_read_kernel(&v, sizeof(v), &r->di);
	else if (n == 1)
		bpf_probe_read_kernel(&v, sizeof(v), &r->si);
	else
		bpf_probe_read_kernel(&v, sizeof(v), &r->dx);
#else
	struct pt_regs___arm64 *r = (void *)regs;

	bpf_probe_read_kernel(&v, sizeof(v), (u64 *)&r->regs + n);
#endif
	return v;
}

/* A call that names another process by the number that the caller knows it by.
 * Callers in other pid namespaces than the initial one know it by numbers that
 * would have to be translated, and are not recognised.
 */
SEC("raw_tp/sys_enter")
int on_change_call(struct raw_args *ctx)
{
	u64 regs = ctx->args[0], nr = ctx->args[1], about = nr, first;
	struct task_struct *self = (void *)bpf_get_current_task();
	struct pid *pid = NULL;
	u32 change = 0, which = 0, level = 0, target;

	switch (nr) {
	case NR_PRLIMIT64:
		change = CHANGE_LIMIT;
		break;
	case NR_SCHED_SETATTR:
	case NR_SCHED_SETSCHEDULER:
	case NR_SCHED_SETPARAM:
		change = CHANGE_SCHED;
		break;
	case NR_SCHED_SETAFFINITY:
		change = CHANGE_AFFINITY;
		break;
	case NR_SETPRIORITY:
		change = CHANGE_NICE;
		which = 1;
		break;
	case NR_IOPRIO_SET:
		change = CHANGE_IOPRIO;
		which = 1;
		break;
	case NR_PTRACE:
		change = CHANGE_PTRACE;
		which = 1;
		break;
	default:
		return 0;
	}
	first = call_arg(regs, 0);
	target = which ? call_arg(regs, 1) : first;
	if (!target)
		return 0;
	if ((change == CHANGE_NICE && first != 0) ||   /* PRIO_PROCESS */
	    (change == CHANGE_IOPRIO && first != 1) || /* IOPRIO_WHO_PROCESS */
	    (change == CHANGE_PTRACE && first != PTRACE_ATTACH && first != PTRACE_SEIZE) ||
	    (change == CHANGE_LIMIT && !call_arg(regs, 2))) /* only asks */
		return 0;
	if (change == CHANGE_LIMIT)
		about = call_arg(regs, 1);
	else if (change == CHANGE_PTRACE)
		about = first;
	bpf_probe_read_kernel(&pid, sizeof(pid), &self->thread_pid);
	bpf_probe_read_kernel(&level, sizeof(level), &pid->level);
	if (level)
		return 0;
	struct watch *w = wants_changes(target, NULL);
	if (w)
		tell(w, target, change, about);
	return 0;
}

#endif
