//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Optional hooks that confirm what the programs at the tracepoints say of an
 * exec. Each is loaded by itself, and nothing depends on any.
 */
#include "witness.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Credentials are committed; sched_process_exec is still to come, and with it
 * the counting of this exec. There is no instruction pointer of the new program
 * yet.
 */
INLINE void before_exec(u32 who)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct watch *w = own_watch(t);

	if (!w || !((w->flags & WATCH_ALL_EXECS) || w->execs + 1 == w->nth))
		return;
	testify(w, t, who, w->execs + 1, 0);
}

SEC("lsm/bprm_committed_creds")
int on_committed(u64 *ctx)
{
	before_exec(WITNESS_LSM);
	return 0;
}

/* int begin_new_exec(struct linux_binprm *): since 5.8 ("exec: Rename
 * flush_old_exec begin_new_exec"). It fails after the point of no return as well.
 */
SEC("fexit/begin_new_exec")
int on_begun(u64 *ctx)
{
	if ((s32)ctx[1] == 0)
		before_exec(WITNESS_FEXIT);
	return 0;
}

struct break_regs {
#if defined(__TARGET_ARCH_x86)
	u64 before_ip[16];
#else
	u64 before_ip[32];
#endif
	u64 ip;
};

/* The processor is about to execute the first instruction, and has not fetched
 * it. Programs may come by their entry again: the first time counts.
 */
SEC("perf_event")
int on_break(struct break_regs *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	u64 ip = ctx->ip;
	struct watch *w = own_watch(t);

	if (!w || w->entry != ip || !(w->flags & STATE_FIRST) || w->broke == w->execs || !exec_is_seen(w, t))
		return 0;
	w->broke = w->execs;
	testify(w, t, WITNESS_BREAK, w->execs, ip);
	return 0;
}

const struct testimony *unused_testimony __attribute__((unused));
const enum witness *unused_witness __attribute__((unused));
