//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* The programs of the observer. A watched process is an entry of `watches`,
 * keyed by thread group: exec always ends with the group's leader, whichever
 * thread called it. Every decision is made from that entry and from the global
 * count of armed tasks, so that the three hot hooks (system call entry and
 * exit, page fault) cost one load and one branch while nobody is between its
 * exec and its first system call.
 */
#include "snap_files.h"
#include "snap_fs.h"
#include "snap_id.h"
#include "snap_landlock.h"
#include "snap_rules.h"
#include "snap_mm.h"
#include "snap_task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the loader. */
volatile u32 observer_level = 0;
volatile u32 observer_pidns = 0;
volatile u64 wake_at = 0;
volatile u32 waiters = 0; /* how many wait for a record at this moment */

struct counters counters = {};

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

/* Tasks whose children are to be watched from their birth. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct watch);
} parents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__uint(key_size, 0);
	__uint(value_size, 4);
} free_slots SEC(".maps");

#define OPT_CODE 1
#define OPT_ARGS 2
#define OPT_BODY 4
#define OPT_BLOB 8 /* peek only */

struct raw_args {
	u64 args[4];
};

/* The current task, as a pointer that READ can use. */
INLINE struct task_struct *current_task(void)
{
#ifdef HS_DIRECT
	return bpf_get_current_task_btf();
#else
	return (void *)bpf_get_current_task();
#endif
}

INLINE u64 user_ip(u64 regs)
{
	u64 ip = 0;
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *r = (void *)regs;
	bpf_probe_read_kernel(&ip, sizeof(ip), &r->ip);
#elif defined(__TARGET_ARCH_arm64)
	struct pt_regs___arm64 *r = (void *)regs;
	bpf_probe_read_kernel(&ip, sizeof(ip), &r->pc);
#else
#error "unknown target architecture"
#endif
	return ip;
}

#ifndef HS_DIRECT
/* Before 5.15 no helper tells where the user registers are: at the top of the
 * kernel stack, which then is 16 KiB (with pages of 4 KiB and without KASAN).
 * What is there is only believed if it looks like registers of user mode.
 */
INLINE u64 stacked_regs(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	u64 stack = 0, mode = ~0ULL;

	bpf_probe_read_kernel(&stack, sizeof(stack), &t->stack);
	stack += 16384;
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *r = (void *)(stack - type_size(struct pt_regs___x86));
	bpf_probe_read_kernel(&mode, sizeof(mode), &r->cs);
	mode = (mode & 0xffff) == 0x33 || (mode & 0xffff) == 0x23; /* user code segments */
#else
	struct pt_regs___arm64 *r = (void *)(stack - type_size(struct pt_regs___arm64));
	bpf_probe_read_kernel(&mode, sizeof(mode), &r->pstate);
	mode = !(mode & 0xf); /* EL0 */
#endif
	return mode ? (u64)r : 0;
}
#endif

/* The user registers of the current task, 0 if they cannot be found. */
INLINE u64 current_regs(void)
{
	if (enum_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs) &&
	    enum_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		void *t = bpf_get_current_task_btf();
		return bpf_task_pt_regs(t);
	}
#ifndef HS_DIRECT
	return stacked_regs();
#else
	return 0;
#endif
}

INLINE u64 start_of(struct task_struct *t)
{
	struct task_struct *leader = NULL;
	u64 start = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader), &t->group_leader);
	bpf_probe_read_kernel(&start, sizeof(start), &leader->start_boottime);
	return start;
}

/* The flags of the group's leader. Exec always leaves the thread that called it
 * as leader, so only there PF_FORKNOEXEC speaks for the process; other threads
 * have the bit although the process has exec'd.
 */
INLINE u32 leader_flags(struct task_struct *t)
{
	struct task_struct *leader = NULL;
	u32 flags = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader), &t->group_leader);
	bpf_probe_read_kernel(&flags, sizeof(flags), &leader->flags);
	return flags;
}

/* The thread group's number in the observer's pid namespace. */
INLINE u32 pid_here(struct task_struct *t)
{
	struct task_struct *leader = NULL;
	struct pid *pid = NULL;
	struct upid u = {};
	u32 level = 0, inum = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader), &t->group_leader);
	bpf_probe_read_kernel(&pid, sizeof(pid), &leader->thread_pid);
	bpf_probe_read_kernel(&level, sizeof(level), &pid->level);
	if (level < observer_level)
		return 0;
	bpf_probe_read_kernel(&u, sizeof(u), (u8 *)&pid->numbers + observer_level * type_size(struct upid));
	bpf_probe_read_kernel(&inum, sizeof(inum), &u.ns->ns.inum);
	return inum == observer_pidns ? u.nr : 0;
}

/* The watch of a thread group, if it still is the same one: a process that was
 * given the number of a dead one has another start time.
 */
INLINE struct watch *watch_of(void *map, u32 tgid, struct task_struct *t)
{
	struct watch *w = bpf_map_lookup_elem(map, &tgid);
	u64 start;

	if (!w)
		return NULL;
	start = start_of(t);
	if (!w->start)
		w->start = start;
	return w->start == start ? w : NULL;
}

INLINE void disarm(struct watch *w)
{
	if (w->flags & (STATE_RETURN | STATE_FIRST)) {
		w->flags &= ~(STATE_RETURN | STATE_FIRST);
		__sync_fetch_and_add(&counters.armed, -1);
	}
}

SNAP(snap_zero)
{
	volatile u64 *words = (u64 *)&s->e.core; /* volatile: or it becomes a call of memset */

	for (u32 i = 0; i < sizeof(struct core) / 8; i++)
		words[i] = 0;
	return 0;
}

INLINE void fill(struct slot *s, u32 index, struct task_struct *t, u32 opts)
{
	u64 task = TASK_ARG(t);

	s->used = 0;
	if (!(opts & OPT_BODY))
		return;
	s->e.head.flags |= HEAD_BODY;
	snap_zero(index, task);
	snap_files(index, task);
	snap_groups(index, task);
	snap_ns(index, task);
	snap_cred(index, task);
	snap_userns(index, task);
	snap_landlock(index, task);
	if (s->e.core.landlock_rules)
		snap_rules(index, task);
	snap_seccomp(index, task);
	snap_task(index, task);
	snap_sched(index, task);
	snap_signal(index, task);
	snap_process(index, task);
	snap_cgroup(index, task);
	snap_fs(index, task);
	snap_top(index, task);
	snap_cwd(index, task);
	snap_mm(index, task);
	snap_numa(index, task);
	if (opts & OPT_ARGS)
		snap_args(index, task);
	if (opts & OPT_CODE) {
		s->e.head.flags |= HEAD_CODE;
		snap_code(index, task);
	}
}

INLINE struct slot *take_slot(u32 *index)
{
	struct slot *s = NULL;

	if (bpf_map_pop_elem(&free_slots, index) == 0)
		s = bpf_map_lookup_elem(&slots, index);
	if (!s)
		__sync_fetch_and_add(&counters.no_slot, 1);
	return s;
}

/* Sends what is in the slot and gives the slot back. The reader is woken when
 * the buffer has filled to a part, and when somebody waits and this task has
 * nothing more to say for now, because its record is complete or because it is
 * about to be stopped: a wake-up is an interrupt to oneself, which costs more
 * than a whole snapshot, and usually a record is asked for when all of it is in
 * the buffer.
 */
INLINE long send(struct slot *s, u32 index, struct watch *w)
{
	u32 size = sizeof(struct head);
	u32 used = s->used;
	u64 wake = BPF_RB_NO_WAKEUP;
	u32 later = STATE_RETURN | STATE_FIRST;

	if (s->e.head.flags & (HEAD_BODY | HEAD_BLOB)) {
		if (used > TAIL_SIZE)
			used = TAIL_SIZE;
		size = sizeof(struct event) + used;
	}
	if (w && (w->flags & WATCH_FREEZE))
		later = STATE_RETURN;
	if ((waiters && w && !(w->flags & later)) ||
	    bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_at)
		wake = BPF_RB_FORCE_WAKEUP;
	long err = bpf_ringbuf_output(&events, s, size, wake);
	if (err) {
		__sync_fetch_and_add(&counters.lost, 1);
		if (w)
			__sync_fetch_and_add(&w->lost, 1);
	}
	bpf_map_push_elem(&free_slots, &index, 0);
	return err;
}

/* Fills and sends one event about the current task or, at fork, its child. */
#define OPT_FRESH 16 /* set HEAD_FRESH */

NOINLINE int emit(struct watch *w, struct task_struct *t, u32 at, u32 opts, u64 ip)
{
	u32 index = 0;
	struct slot *s;
	u64 id = bpf_get_current_pid_tgid();

	/* always true; tells the verifier so */
	if (!w)
		return 0;
	s = take_slot(&index);
	if (!s) {
		__sync_fetch_and_add(&w->lost, 1);
		return 0;
	}
	struct head *h = &s->e.head;
	h->cookie = w->cookie;
	h->start = w->start;
	h->ktime = bpf_ktime_get_ns();
	h->ip = ip;
	h->entry = w->entry;
	h->lost_all = counters.lost + counters.no_slot;
	h->info = leader_flags(t);
	h->at = at;
	h->flags = (ip ? HEAD_IP : 0) | (opts & OPT_FRESH ? HEAD_FRESH : 0);
	h->tgid = id >> 32;
	h->tid = (u32)id;
	h->pid_here = w->pid_here;
	h->parent = 0;
	h->seq = w->seq++;
	h->exec = w->execs;
	h->lost = w->lost;
	h->cpu = bpf_get_smp_processor_id();
	fill(s, index, t, opts);
	send(s, index, w);
	return 0;
}

INLINE void begin_exec(struct raw_args *ctx)
{
	struct task_struct *t = current_task();
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct watch *w = watch_of(&watches, tgid, t);
	u64 regs, exec_id = 0;

	if (!w)
		return;
	/* Seen already by another copy of this program. */
	bpf_probe_read_kernel(&exec_id, sizeof(exec_id), &t->self_exec_id);
	if (w->execs && w->exec_id == exec_id)
		return;
	w->exec_id = exec_id;
	disarm(w);
	w->execs++;
	if (!(w->flags & WATCH_ALL_EXECS) && w->execs != w->nth)
		return;
	regs = current_regs();
	w->entry = regs ? user_ip(regs) : 0;
	if (!w->pid_here)
		w->pid_here = pid_here(t);
	/* Without the entry address the first instruction is not recognisable. */
	u32 next = 0;
	if (w->flags & WATCH_RETURN)
		next |= STATE_RETURN;
	if ((w->flags & WATCH_FIRST) && w->entry)
		next |= STATE_FIRST;
	if (next) {
		w->flags |= next;
		__sync_fetch_and_add(&counters.armed, 1);
	}
	emit(w, t, AT_EXEC, OPT_BODY | OPT_CODE | OPT_ARGS, w->entry);
	if (w->flags & WATCH_FREEZE)
		bpf_send_signal(19); /* SIGSTOP */
}

/* In sched_process_exec everything that exec itself changes is in place. */
SEC("raw_tp/sched_process_exec")
int on_exec(struct raw_args *ctx)
{
	begin_exec(ctx);
	return 0;
}

/* The first sys_exit of a task after its exec is that of the exec: the task is
 * single-threaded and has not been to user mode since. The call's number is of
 * no use here, since on success it may be another (compat, execveat).
 */
SEC("raw_tp/sys_exit")
int on_sys_exit(struct raw_args *ctx)
{
	struct task_struct *t;
	struct watch *w;

	if (!counters.armed)
		return 0;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	w = bpf_map_lookup_elem(&watches, &tgid);
	if (!w || !(w->flags & STATE_RETURN))
		return 0;
	t = current_task();
	if (w->start != start_of(t))
		return 0;
	w->flags &= ~STATE_RETURN;
	if (!(w->flags & STATE_FIRST))
		__sync_fetch_and_add(&counters.armed, -1);
	emit(w, t, AT_RETURN, OPT_BODY | OPT_ARGS, user_ip(ctx->args[0]));
	return 0;
}

/* A system call before the entry fault: the entry page was present already and
 * the first instruction has passed unseen.
 */
SEC("raw_tp/sys_enter")
int on_sys_enter(struct raw_args *ctx)
{
	struct watch *w;

	if (!counters.armed)
		return 0;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	w = bpf_map_lookup_elem(&watches, &tgid);
	if (!w || !(w->flags & (STATE_RETURN | STATE_FIRST)))
		return 0;
	struct task_struct *t = current_task();
	if (w->start != start_of(t))
		return 0;
	u32 state = w->flags;
	disarm(w);
	if (state & STATE_RETURN)
		emit(w, t, AT_NO_RETURN, 0, user_ip(ctx->args[0]));
	if (state & STATE_FIRST)
		emit(w, t, AT_NO_FIRST, 0, user_ip(ctx->args[0]));
	return 0;
}

/* execve clears the general registers (ELF_PLAT_INIT, start_thread), all but
 * the stack pointer. A task that has made a system call has something in them,
 * unless it takes care not to.
 */
INLINE u32 are_zero(const u64 *regs, u32 n)
{
	u64 any = 0;

	for (u32 i = 0; i < n; i++)
		any |= regs[i];
	return any ? 0 : OPT_FRESH;
}

INLINE void fault(u64 address, u64 ip, u32 fresh)
{
	struct watch *w;

	if (address != ip)
		return;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	w = bpf_map_lookup_elem(&watches, &tgid);
	if (!w || !(w->flags & STATE_FIRST) || w->entry != ip)
		return;
	struct task_struct *t = current_task();
	if (w->start != start_of(t))
		return;
	disarm(w);
	emit(w, t, AT_FIRST, OPT_BODY | OPT_ARGS | fresh, ip);
}

/* The fetch of the first instruction faults, because exec maps the program but
 * does not touch it: address, instruction pointer and entry are then equal.
 */
SEC("raw_tp/page_fault_user")
int on_fault(struct raw_args *ctx)
{
	if (!counters.armed)
		return 0;
	u64 ip = user_ip(ctx->args[1]), regs[15] = { 1 };
	if (ctx->args[0] != ip)
		return 0;
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *r = (void *)ctx->args[1];
	bpf_probe_read_kernel(regs, sizeof(regs), &r->r15);
#else
	struct pt_regs___arm64 *r = (void *)ctx->args[1];
	bpf_probe_read_kernel(regs, sizeof(regs), &r->regs);
#endif
	fault(ip, ip, are_zero(regs, 15));
	return 0;
}

/* The same through the software page-fault event, which every architecture has
 * and which needs one event for each CPU.
 */
struct perf_data {
#if defined(__TARGET_ARCH_x86)
	u64 before_ip[16];
	u64 ip;
	u64 after_ip[4];
#else
	u64 regs[31];
	u64 sp;
	u64 ip;
	u64 pstate;
#endif
	u64 sample_period;
	u64 addr;
};

INLINE u32 perf_fresh(struct perf_data *ctx)
{
	u64 any = 0;
#if defined(__TARGET_ARCH_x86)
	any = ctx->before_ip[0] | ctx->before_ip[1] | ctx->before_ip[2] | ctx->before_ip[3] | ctx->before_ip[4] |
	      ctx->before_ip[5] | ctx->before_ip[6] | ctx->before_ip[7] | ctx->before_ip[8] | ctx->before_ip[9] |
	      ctx->before_ip[10] | ctx->before_ip[11] | ctx->before_ip[12] | ctx->before_ip[13] | ctx->before_ip[14];
#else
	any = ctx->regs[0] | ctx->regs[1] | ctx->regs[2] | ctx->regs[3] | ctx->regs[4] | ctx->regs[5] | ctx->regs[6] |
	      ctx->regs[7] | ctx->regs[8] | ctx->regs[9] | ctx->regs[10] | ctx->regs[11] | ctx->regs[12] |
	      ctx->regs[13] | ctx->regs[14];
#endif
	return any ? 0 : OPT_FRESH;
}

SEC("perf_event")
int on_fault_event(struct perf_data *ctx)
{
	if (!counters.armed)
		return 0;
	if (ctx->addr != ctx->ip)
		return 0;
	fault(ctx->addr, ctx->ip, perf_fresh(ctx));
	return 0;
}

/* The child exists and has not run; the current task is its creator, in the
 * very state in which it created it.
 */
SEC("raw_tp/sched_process_fork")
int on_fork(struct raw_args *ctx)
{
	struct task_struct *parent = current_task(), *child = (void *)ctx->args[1], *real = NULL;
	u32 ptgid = bpf_get_current_pid_tgid() >> 32, ctgid = 0, rtgid = 0;
	u64 sibling = 0;
	struct watch *p, *w, fresh = {};
	u32 root = 0;

	p = watch_of(&parents, ptgid, parent);
	/* With CLONE_PARENT the child is the child of its creator's parent. */
	bpf_probe_read_kernel(&real, sizeof(real), &child->real_parent);
	if (!p && real != parent) {
		bpf_probe_read_kernel(&rtgid, sizeof(rtgid), &real->tgid);
		p = watch_of(&parents, rtgid, real);
		sibling = p ? ptgid : 0;
	}
	if (sibling) {
		ptgid = rtgid;
	} else if (p) {
		root = HEAD_ROOT;
	} else {
		p = watch_of(&watches, ptgid, parent);
		if (!p || !(p->flags & WATCH_DESCENDANTS))
			return 0;
	}
	bpf_probe_read_kernel(&ctgid, sizeof(ctgid), &child->tgid);
	if (ctgid == ptgid || ctgid == sibling) /* a thread */
		return 0;

	fresh.cookie = p->cookie;
	fresh.flags = p->flags & 0xffff;
	fresh.nth = p->nth;
	fresh.start = start_of(child);
	w = bpf_map_lookup_elem(&watches, &ctgid);
	if (w && w->start == fresh.start) /* seen already by another copy of this program */
		return 0;
	fresh.pid_here = pid_here(child);
	if (bpf_map_update_elem(&watches, &ctgid, &fresh, BPF_ANY)) {
		__sync_fetch_and_add(&counters.watches_full, 1);
		__sync_fetch_and_add(&p->lost, 1);
		return 0;
	}
	w = bpf_map_lookup_elem(&watches, &ctgid);
	if (!w)
		return 0;

	u32 index = 0;
	struct slot *s = take_slot(&index);
	if (!s) {
		__sync_fetch_and_add(&w->lost, 1);
		return 0;
	}
	struct head *h = &s->e.head;
	h->cookie = w->cookie;
	h->start = w->start;
	h->ktime = bpf_ktime_get_ns();
	/* There is no instruction pointer to tell; of a sibling, who created it. */
	h->ip = sibling ? start_of(parent) : 0;
	h->entry = sibling;
	h->lost_all = counters.lost + counters.no_slot;
	h->info = p->start;
	h->at = AT_FORK;
	h->flags = root;
	h->tgid = ctgid;
	h->tid = ctgid;
	h->pid_here = w->pid_here;
	h->parent = ptgid;
	h->seq = w->seq++;
	h->exec = 0;
	h->lost = w->lost;
	h->cpu = bpf_get_smp_processor_id();
	fill(s, index, parent, root && (w->flags & WATCH_CALLER) ? OPT_BODY | OPT_CODE : 0);
	send(s, index, w);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct raw_args *ctx)
{
	struct task_struct *t = current_task();
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct signal_struct *sig = NULL;
	struct watch *w;
	u32 live = 0;

	w = watch_of(&watches, tgid, t);
	if (!w && !bpf_map_lookup_elem(&parents, &tgid))
		return 0;
	/* Threads still alive, as do_exit counts them; 0 in the last one. */
	bpf_probe_read_kernel(&sig, sizeof(sig), &t->signal);
	bpf_probe_read_kernel(&live, sizeof(live), &sig->live);
	if (live)
		return 0;
	bpf_map_delete_elem(&parents, &tgid);
	if (!w)
		return 0;
	u32 state = w->flags;
	disarm(w);
	if (state & STATE_RETURN)
		emit(w, t, AT_NO_RETURN, 0, 0);
	if (state & STATE_FIRST)
		emit(w, t, AT_NO_FIRST, 0, 0);
	emit(w, t, AT_EXIT, state & WATCH_EXIT ? OPT_BODY | OPT_ARGS : 0, 0);
	bpf_map_delete_elem(&watches, &tgid);
	return 0;
}

#include "changes.h"

#include "peek.h"

/* Lets bpf2go see the types that the reader needs. */
const struct event *unused_event __attribute__((unused));
const struct fileid *unused_fileid __attribute__((unused));
const enum at *unused_at __attribute__((unused));
const enum head_flag *unused_head_flag __attribute__((unused));
const enum failed *unused_failed __attribute__((unused));
const enum have *unused_have __attribute__((unused));
const enum more *unused_more __attribute__((unused));
const enum propagation *unused_propagation __attribute__((unused));
const enum change *unused_change __attribute__((unused));
const enum watch_flag *unused_watch_flag __attribute__((unused));
