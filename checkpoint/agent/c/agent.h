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

static inline void first_registers(u64 *r, const s32 *fds, u32 nfds)
{
	for (u32 i = 0; i < NREGS; i++)
		r[i] = ~0ULL;
	r[REG_NULL] = FD_NULL;
	r[REG_PROC] = FD_PROC;
	for (u32 i = 0; i < nfds; i++)
		r[REG_FD0 + i] = (u64)fds[i];
}

void send_event(const struct event *ev, int fd);
void forget_arena(void);
s64 start_init(struct launch *l, struct self *me, u64 uid, u64 gid);
__attribute__((noreturn)) void born(struct launch *l);
#endif
