/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the agent itself share; a child uses none of it. */
#ifndef HOLDSHORT_ZYGOTE_H
#define HOLDSHORT_ZYGOTE_H
#include "agent.h"

/* One launch as the agent sees it. */
struct record {
	u32 used; /* 0 free, 1 live, 2 zombie held for the host, 3 reaped, its init is still ending */
	s32 pid;
	s32 pipe; /* read end of the exec pipe, -1 for none */
	u32 watch; /* EV_RUNNING was asked for and not sent yet */
	u32 orphan;
	s32 first; /* pid is of a second clone, and the process that made it was not seen to end */
	u64 serial;
	u64 offset;
	struct { s32 pid, status; u32 code, flags; } end; /* used == 3: what will be reported */
};

/*
 * All of its writable memory is in one mapping that children do not get
 * (MADV_DONTFORK), as is the arena: a clone then copies no page and no page
 * table, and neither side has to copy a page at its next write.
 */
struct zygote {
	u8 stack[32768]; /* first: below it nothing is mapped */
	struct record records[MAX_SLOTS];
	u32 top; /* one more than the highest slot in use */
	u32 live, held;
	s32 epfd, sigfd, self_pidfd;
	u32 host_gone;
};
#define my ((struct zygote *)ZYGOTE_BASE)
_Static_assert(ZYGOTE_BASE + sizeof(struct zygote) <= ARENA_BASE, "zygote");

static inline struct launch *launch_of(struct record *r) { return (struct launch *)(ARENA_BASE + r->offset); }

/* pipe_key names an exec pipe among what epoll waits for, above 0 and 1. With the serial number, since the events of
 * one turn may free a slot, fill it anew, and then tell of the pipe that was there before. */
static inline u64 pipe_key(u32 slot, u64 serial) { return serial << 20 | (16 + slot); }

/* report.c */
void tell(u32 slot, u32 kind, s32 pid, s32 code, u32 how, u32 flags, int fd);
void refuse(const struct request *q, s32 err);
int put_dec(char *to, u32 v);
s32 open_pid(s32 pid, const char *file);
int execed(s32 pid, int *zombie);

/* read_clock reads both clocks as one moment. */
static inline void read_clock(struct moment *m)
{
	struct timespec t = { 0, 0 };
	sys2(NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &t);
	m->ticks = ticks();
	m->ns = (u64)t.sec * 1000000000 + (u64)t.nsec;
}

/* spawn.c */
void spawn(const struct request *q, const s32 *fds, u32 nfds);

/* reap.c */
void on_exec(u32 slot);
void forget(struct record *r);
void signal_record(struct record *r, s32 sig);
void reap(void);
__attribute__((noreturn)) void orphaned(void);
#endif
