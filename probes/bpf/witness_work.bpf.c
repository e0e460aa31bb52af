//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Task work: a function that the kernel runs in the task on its way to user
 * mode, after whatever a tracer does at the end of the system call
 * (bpf_task_work_schedule_resume, since 6.18). The kfunc has two names: until
 * 7.0 it was called ..._impl and had the program as its last argument.
 */
#include "witness.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define KSYM __attribute__((section(".ksyms")))

struct bpf_map {
	u32 id;
};

/* The verifier knows this type by its name. */
struct bpf_task_work {
	u64 opaque;
} __attribute__((aligned(8)));

typedef int (*work_fn)(struct bpf_map *map, void *key, void *value);

extern int bpf_task_work_schedule_resume(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					 work_fn callback) KSYM;
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					      work_fn callback, void *aux__prog) KSYM;

struct work {
	struct bpf_task_work tw;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct work);
} works SEC(".maps");

/* The last refusal of the kernel to schedule it, as a negative errno. */
volatile s32 refusal = 0;

INLINE u64 resume_ip(void)
{
	u64 ip = 0, regs = bpf_task_pt_regs(bpf_get_current_task_btf());
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *r = (void *)regs;
	bpf_probe_read_kernel(&ip, sizeof(ip), &r->ip);
#else
	struct pt_regs___arm64 *r = (void *)regs;
	bpf_probe_read_kernel(&ip, sizeof(ip), &r->pc);
#endif
	return ip;
}

static int on_resume(struct bpf_map *map, void *key, void *value)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct watch *w = own_watch(t);

	if (w && exec_is_seen(w, t))
		testify(w, t, WITNESS_WORK, w->execs, resume_ip());
	bpf_map_delete_elem(&works, &tgid);
	return 0;
}

INLINE struct work *new_work(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct work fresh = {};

	if (!own_watch((void *)bpf_get_current_task()))
		return NULL;
	bpf_map_update_elem(&works, &tgid, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&works, &tgid);
}

INLINE void note(int err)
{
	if (err)
		refusal = err;
}

SEC("raw_tp/sched_process_exec")
int on_exec_work(void *ctx)
{
	struct work *v = new_work();

	if (v)
		note(bpf_task_work_schedule_resume(bpf_get_current_task_btf(), &v->tw, &works, on_resume));
	return 0;
}

SEC("raw_tp/sched_process_exec")
int on_exec_work_impl(void *ctx)
{
	struct work *v = new_work();

	if (v)
		note(bpf_task_work_schedule_resume_impl(bpf_get_current_task_btf(), &v->tw, &works, on_resume, NULL));
	return 0;
}
