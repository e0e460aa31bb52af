/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDSHORT_AGENT_H
#define HOLDSHORT_AGENT_H
#include "sys.h"

/* What a child knows of itself. */
struct self {
	u32 slot;
	u64 serial;
	s32 agent_pidfd;
	u32 wait_agent;
	u32 twin; /* of the two places for a twin, the one that is not our own stack */
};

/* What a child of a child begins with, at the lower end of its stack: a copy, since the home is shared. */
struct twin {
	struct launch *l;
	struct self me;
	s32 r[NREGS];
	u32 go, pc;
	u64 uid, gid;
};

static inline u32 load(u32 *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void store(u32 *p, u32 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

static inline void relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause");
#else
	__asm__ volatile("yield");
#endif
}

/* ticks counts something like nanoseconds (a TSC counts up to five of them in one) without a system call. */
static inline u64 ticks(void)
{
#if defined(__x86_64__)
	u32 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
#else
	u64 n, hz;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(n));
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz < 1000000 ? n << 10 : n / (hz / 1000000) * 1000;
#endif
}

static inline int in_arena(u64 p, u64 len)
{
	return p >= ARENA_BASE && len <= ARENA_SIZE && p - ARENA_BASE <= ARENA_SIZE - len;
}

static inline void first_registers(s32 *r, const s32 *fds, u32 nfds)
{
	for (u32 i = 0; i < NREGS; i++)
		r[i] = -1;
	r[REG_NULL] = FD_NULL;
	r[REG_PROC] = FD_PROC;
	for (u32 i = 0; i < nfds; i++)
		r[REG_FD0 + i] = fds[i];
}

/* arguments of an operation, with those that are in registers; a register that was not set is -1. */
static inline void arguments(u64 *a, const struct op *o, const s32 *r)
{
	for (int i = 0; i < 6; i++) {
		a[i] = o->args[i];
		if (o->regs & (1u << i))
			a[i] = a[i] < NREGS ? (u64)(s64)r[a[i]] : ~0ULL;
	}
}

void send_event(const struct event *ev, int fd);
struct twin *make_twin(struct launch *l, struct self *me, const s32 *r);
s64 clone_twin(struct clone_args *ca, struct twin *t, void (*begin)(struct twin *));
s64 start_init(struct launch *l, struct self *me, const s32 *r, u64 uid, u64 gid);
__attribute__((noreturn)) void born(struct home *h);
#endif
