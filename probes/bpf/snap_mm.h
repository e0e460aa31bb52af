/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The task's memory: program, arguments, environment, what its address space forbids. */
#ifndef HS_SNAP_MM_H
#define HS_SNAP_MM_H

#include "read.h"
#include "snap_fs.h" /* SNAP_INODE */

#define AT_ENTRY_BASE 7
#define AT_ENTRY_ADDR 9
#define AT_SECURE_FLAG 23

/* Of the flags of an mm, those that say what the task may do, and not those
 * that the kernel keeps for itself: the core dump filter, MMF_DISABLE_THP,
 * MMF_HAS_MDWE, MMF_HAS_MDWE_NO_INHERIT, MMF_VM_MERGE_ANY
 * (include/linux/mm_types.h, before 6.15 linux/sched/coredump.h).
 */
#define MMF_KEEP (0x1ffUL << 2 | 1UL << 24 | 1UL << 28 | 1UL << 29 | 1UL << 30)

SNAP(snap_mm)
{
	struct core *c = &s->e.core;
	struct mm_struct *mm = NULL;
	struct file *exe = NULL;

	READ(s, FAIL_MM, mm, &t->mm);
	if (mm)
		c->have |= HAVE_MM;

	struct task_struct___state *ts = (void *)t;
	if (field_exists(ts->exec_state)) {
		struct task_exec_state *state = NULL;

		READ(s, FAIL_MM, state, &ts->exec_state);
		if (state) {
			c->have |= HAVE_DUMPABLE;
			READ(s, FAIL_MM, c->dumpable, &state->dumpable);
		}
	}
	if (!mm)
		return 0;
	struct mm_struct___word *word = (void *)mm;
	struct mm_struct___words *words = (void *)mm;
	unsigned long flags = 0, keep = MMF_KEEP;
	if (field_exists(words->flags.__mm_flags)) {
		c->more |= MORE_MM_FLAGS | MORE_THP_ADVISED;
		keep |= 1UL << 23;
		READ(s, FAIL_MM, flags, &words->flags.__mm_flags);
	} else if (field_exists(word->flags)) {
		c->more |= MORE_MM_FLAGS;
		READ(s, FAIL_MM, flags, &word->flags);
	}
	c->mm_flags = flags & keep;
	if (!field_exists(ts->exec_state) && (c->more & MORE_MM_FLAGS)) {
		c->have |= HAVE_DUMPABLE;
		c->dumpable = flags & 3; /* MMF_DUMPABLE_MASK */
	}
	READ(s, FAIL_MM, c->arg_start, &mm->arg_start);
	READ(s, FAIL_MM, c->arg_end, &mm->arg_end);
	READ(s, FAIL_MM, c->env_start, &mm->env_start);
	READ(s, FAIL_MM, c->env_end, &mm->env_end);

	READ(s, FAIL_MM, exe, &mm->exe_file);
	if (exe) {
		struct inode *ino = NULL;

		c->have |= HAVE_EXE;
		READ(s, FAIL_MM, ino, &exe->f_inode);
		NEED(s, FAIL_MM, ino);
		READ(s, FAIL_MM, c->exe_nlink, &ino->i_nlink);
		SNAP_INODE(s, FAIL_MM, ino, c->exe_ino, c->exe_dev);
	}

	/* The kernel's own copy of the auxiliary vector: the program can
	 * change it only with prctl(PR_SET_MM), never by writing its stack.
	 */
	u32 size = field_size(mm->saved_auxv);
	if (size > 1024)
		size = 1024;
	u32 pairs = size / 16;
	read_bytes(s, FAIL_MM, s->words, size, &mm->saved_auxv);
	for (u32 i = 0; i < 32; i++) {
		u64 key = s->words[2 * i], val = s->words[2 * i + 1];

		if (i >= pairs || !key)
			break;
		if (key == AT_ENTRY_ADDR) {
			c->at_entry = val;
			c->have |= HAVE_AUXV;
		} else if (key == AT_ENTRY_BASE) {
			c->at_base = val;
		} else if (key == AT_SECURE_FLAG && val) {
			c->have |= HAVE_SECURE;
		}
	}
	return 0;
}

/* NODES reads a node mask of any length; nodes beyond those that are sent are
 * told of and not lost.
 */
#define NODES(s, to, from)                                                                     \
	do {                                                                                   \
		u32 size_ = field_size(from);                                                  \
		u64 rest_ = 0;                                                                 \
                                                                                               \
		if (size_ > 128)                                                               \
			size_ = 128; /* MAX_NUMNODES is at most 1024 */                        \
		if (size_ <= sizeof(to)) {                                                     \
			read_bytes(s, FAIL_MEMORY, to, size_, &(from));                        \
			break;                                                                 \
		}                                                                              \
		read_bytes(s, FAIL_MEMORY, (s)->words, size_, &(from));                        \
		for (u32 i_ = 0; i_ < NODE_WORDS; i_++)                                        \
			(to)[i_] = (s)->words[i_];                                             \
		for (u32 i_ = NODE_WORDS; i_ < 16; i_++)                                       \
			rest_ |= i_ < size_ / 8 ? (s)->words[i_] : 0;                          \
		if (rest_)                                                                     \
			(s)->e.core.more |= MORE_NODES_WIDE;                                   \
	} while (0)

/* Where the task's memory may lie. No policy of its own is policy 0. */
SNAP(snap_numa)
{
	struct core *c = &s->e.core;
	struct mempolicy *p = NULL;
	struct mempolicy___union *u;
	u16 mode = 0, flags = 0;
	s16 node = 0;

	if (field_exists(t->mems_allowed)) {
		c->more |= MORE_MEMS;
		NODES(s, c->mems_allowed, t->mems_allowed);
	}
	if (!field_exists(t->mempolicy))
		return 0;
	c->more |= MORE_NUMA;
	READ(s, FAIL_MEMORY, p, &t->mempolicy);
	if (!p)
		return 0;
	READ(s, FAIL_MEMORY, mode, &p->mode);
	READ(s, FAIL_MEMORY, flags, &p->flags);
	c->mempolicy = mode | (u32)flags << 16;
	u = (void *)p;
	if (mode == 4) /* MPOL_LOCAL: its nodes are never written (mpol_new, mm/mempolicy.c) */
		return 0;
	if (field_exists(p->nodes)) {
		NODES(s, c->policy_nodes, p->nodes);
	} else if (!field_exists(u->v)) {
		c->failed |= FAIL_MEMORY;
	} else if (mode != 1) { /* MPOL_PREFERRED has one node */
		NODES(s, c->policy_nodes, u->v.nodes);
	} else if (!(flags & 2)) { /* MPOL_F_LOCAL: none */
		PREAD(s, FAIL_MEMORY, node, &u->v.preferred_node);
		if ((u16)node < NODE_WORDS * 64)
			c->policy_nodes[((u16)node / 64) & (NODE_WORDS - 1)] = 1ULL << (node & 63);
		else
			c->more |= MORE_NODES_WIDE;
	}
	return 0;
}

/* Argument and environment bytes. Reading user memory here cannot fault pages
 * in: right after exec they are present, later they may have been swapped out.
 */
SNAP(snap_args)
{
	struct core *c = &s->e.core;
	u64 len;
	u32 used, n;

	c->have |= HAVE_ARGS;
	len = c->arg_end - c->arg_start;
	used = s->used;
	n = len > MAX_ARGS ? MAX_ARGS : len;
	barrier_var(n);
	if (n && n <= MAX_ARGS && used <= TAIL_SIZE - MAX_ARGS) {
		if (bpf_probe_read_user(s->tail + used, n, (void *)c->arg_start)) {
			c->failed |= FAIL_ARGS;
		} else {
			c->args_len = n;
			s->used = used + n;
		}
	}
	len = c->env_end - c->env_start;
	used = s->used;
	n = len > MAX_ENV ? MAX_ENV : len;
	barrier_var(n);
	if (n && n <= MAX_ENV && used <= TAIL_SIZE - MAX_ENV) {
		if (bpf_probe_read_user(s->tail + used, n, (void *)c->env_start)) {
			c->failed |= FAIL_ENV;
		} else {
			c->env_len = n;
			s->used = used + n;
		}
	}
	return 0;
}

#endif
