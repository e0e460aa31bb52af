/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Looking at any task when asked to. Tasks other than the current one cannot be
 * read through typed pointers.
 */
#ifndef HS_PEEK_H
#define HS_PEEK_H

#ifndef HS_DIRECT

/* The task with a number in the current task's pid namespace: a walk down the
 * radix tree of the namespace's idr. Entries with the low bits 10 are nodes
 * (xa_is_node, include/linux/xarray.h).
 */
INLINE struct task_struct *find_task(struct task_struct *self, u32 nr)
{
	struct task_struct *base = NULL;
	struct pid *pid = NULL;
	struct pid_namespace *ns = NULL;
	struct hlist_node *link = NULL;
	u64 entry = 0;
	u32 level = 0, nodes = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid), &self->thread_pid);
	bpf_probe_read_kernel(&level, sizeof(level), &pid->level);
	bpf_probe_read_kernel(&ns, sizeof(ns), (u8 *)&pid->numbers[0].ns + level * type_size(struct upid));
	bpf_probe_read_kernel(&entry, sizeof(entry), &ns->idr.idr_rt.xa_head);
	for (u32 i = 0; i < 6; i++) {
		struct xa_node *node;
		u8 shift = 0;

		if ((entry & 3) != 2 || entry <= 4096)
			break;
		node = (struct xa_node *)(entry - 2);
		bpf_probe_read_kernel(&shift, sizeof(shift), &node->shift);
		if (!nodes && (shift > 24 || nr >> shift >= 64)) /* beyond the tree */
			return NULL;
		nodes++;
		bpf_probe_read_kernel(&entry, sizeof(entry), &node->slots[0] + ((nr >> shift) & 63));
	}
	if (!entry || (entry & 3))
		return NULL;
	if (!nodes && nr)
		return NULL;
	bpf_probe_read_kernel(&link, sizeof(link), &((struct pid *)entry)->tasks[PIDTYPE_TGID]);
	if (!link)
		return NULL;
	return (struct task_struct *)((u8 *)link - field_offset(base->pid_links) -
				      PIDTYPE_TGID * type_size(struct hlist_node));
}

/* Run by the loader itself (BPF_PROG_TEST_RUN), in its own context. args: token,
 * pid or 0 for the caller, options.
 */
SEC("raw_tp")
int on_peek(struct raw_args *ctx)
{
	struct task_struct *t = current_task();
	u32 index = 0, found = 1, opts = ctx->args[2];
	u64 token = ctx->args[0];
	struct slot *s;

	if (ctx->args[1])
		t = find_task(t, ctx->args[1]);
	if (!t)
		found = 0;
	s = take_slot(&index);
	if (!s)
		return 1;
	struct head *h = &s->e.head;
	u32 tgid = 0, tid = 0;
	if (found) {
		bpf_probe_read_kernel(&tgid, sizeof(tgid), &t->tgid);
		bpf_probe_read_kernel(&tid, sizeof(tid), &t->pid);
	}
	h->cookie = 0;
	h->start = found ? start_of(t) : 0;
	h->ktime = bpf_ktime_get_ns();
	h->ip = 0;
	h->entry = 0;
	h->lost_all = counters.lost + counters.no_slot;
	h->info = token;
	h->at = opts & OPT_BODY ? AT_PEEK : AT_MARK;
	h->flags = found ? HEAD_FOUND : 0;
	h->tgid = tgid;
	h->tid = tid;
	h->pid_here = found ? pid_here(t) : 0;
	h->parent = 0;
	h->seq = 0;
	h->exec = 0;
	h->lost = 0;
	if (found) {
		struct signal_struct *sig = NULL;

		/* here: the task's flags, and its threads still alive */
		h->parent = leader_flags(t);
		bpf_probe_read_kernel(&sig, sizeof(sig), &t->signal);
		bpf_probe_read_kernel(&h->exec, sizeof(h->exec), &sig->live);
	}
	h->cpu = bpf_get_smp_processor_id();
	fill(s, index, t, found ? opts & OPT_BODY ? opts : 0 : 0);
	if (found && (opts & OPT_BLOB)) {
		const struct cred *cred = NULL;
		void *blob = NULL;

		bpf_probe_read_kernel(&cred, sizeof(cred), &t->cred);
		bpf_probe_read_kernel(&blob, sizeof(blob), &cred->security);
		if (bpf_probe_read_kernel(s->tail, BLOB_SIZE, blob) == 0) {
			h->flags |= HEAD_BLOB;
			s->used = BLOB_SIZE;
		}
	}
	return send(s, index, NULL) ? 2 : 0;
}

#endif /* !HS_DIRECT */

#endif
