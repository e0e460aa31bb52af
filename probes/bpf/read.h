/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Reading kernel memory so that a failure is never mistaken for a zero: each
 * read that fails sets the bit of its group, and user space then reports every
 * field of that group as unreadable.
 *
 * All reads go through bpf_probe_read_kernel, so that the same code serves raw
 * tracepoints, perf events and test runs, on kernels that know their BTF
 * argument types and on those that do not.
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

/* READ(slot, group, variable, pointer to the member) */
#define READ(s, group, dst, src) read_bytes(s, group, &(dst), sizeof(dst), src)

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

#endif
