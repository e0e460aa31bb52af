/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Reading kernel memory so that a failure is never mistaken for a zero: each
 * read that fails sets the bit of its group, and user space then reports every
 * field of that group as unreadable.
 *
 * This code is compiled twice. With HS_DIRECT a member of the current task is
 * loaded through a pointer whose type the verifier knows and checks against the
 * kernel's own BTF (bpf_get_current_task_btf, since 5.11): one instruction where
 * a helper call costs fifty nanoseconds and more with the mitigations of some
 * CPUs. Such a load cannot fail on a live object; a NULL on the way is tested
 * for by hand. Without HS_DIRECT everything goes through
 * bpf_probe_read_kernel, for older kernels and for tasks other than the current.
 */
#ifndef HS_READ_H
#define HS_READ_H

#include "event.h"
#include "kernel.h"

INLINE void read_bytes(struct slot *s, u64 group, void *dst, u32 size, const void *src)
{
	/* Negative on failure: the sign, spread over the word, selects the bit
	 * without a branch.
	 */
	s64 err = bpf_probe_read_kernel(dst, size, src);

	s->e.core.failed |= group & (u64)(err >> 63);
}

/* PREAD(slot, group, variable, pointer to the member) always asks the helper:
 * for pointers whose type the verifier does not know.
 */
#define PREAD(s, group, dst, src) read_bytes(s, group, &(dst), sizeof(dst), src)

/* READ loads directly where that is possible. */
#ifdef HS_DIRECT
#define READ(s, group, dst, src) ((dst) = *(typeof(dst) *)(src))
#else
#define READ(s, group, dst, src) PREAD(s, group, dst, src)
#endif

/* NEED ends a function whose object is not there. */
#define NEED(s, group, ptr)                          \
	do {                                         \
		if (!(ptr)) {                        \
			(s)->e.core.failed |= group; \
			return 0;                    \
		}                                    \
	} while (0)

/* READ_BITS reads an integer member whose place and width only the running
 * kernel knows: a bit field, or one that became a bool (is_child_subreaper in
 * 7.3). Little-endian only, as all our targets are.
 */
#define READ_BITS(s, group, dst, ptr, member)                                                         \
	do {                                                                                          \
		u64 bits_ = 0;                                                                        \
		read_bytes(s, group, &bits_,                                                          \
			   __builtin_preserve_field_info((ptr)->member, 1),                           \
			   (const u8 *)(ptr) + __builtin_preserve_field_info((ptr)->member, 0));      \
		bits_ <<= __builtin_preserve_field_info((ptr)->member, 4);                            \
		bits_ >>= __builtin_preserve_field_info((ptr)->member, 5);                            \
		(dst) = bits_;                                                                        \
	} while (0)

/* Buffers, and the queue of those that are free. Not one per CPU: from 7.0 on
 * tracepoint programs may be preempted, and then two tasks would share one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* SNAP defines a part of the snapshot as a global function: the verifier walks
 * it once, by itself, whoever calls it. As static functions the parts took more
 * than a million steps on 6.1. Such a function can only be given numbers, so it
 * looks up the buffer itself, and takes the current task or, where tasks are
 * not read through typed pointers, the address that it is given.
 */
#define SNAP(name)                                                            \
	INLINE int name##_part(struct slot *s, struct task_struct *t);        \
	__attribute__((noinline)) int name(u32 index, u64 task)               \
	{                                                                     \
		/* or the compiler leaves the argument out */                 \
		asm volatile("" : "+r"(task));                                \
		struct slot *s = bpf_map_lookup_elem(&slots, &index);         \
		struct task_struct *t = SNAP_TASK(task);                      \
                                                                              \
		return s ? name##_part(s, t) : 0;                             \
	}                                                                     \
	INLINE int name##_part(struct slot *s, struct task_struct *t)

#ifdef HS_DIRECT
#define SNAP_TASK(task) bpf_get_current_task_btf()
#define TASK_ARG(t) 0
#else
#define SNAP_TASK(task) ((void *)(task))
#define TASK_ARG(t) ((u64)(t))
#endif

#endif
