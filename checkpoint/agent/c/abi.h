/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host, agent and parked child share: messages on the control socket and
 * structures in the arena. layout.go mirrors this file; both sides check the
 * sizes when they are compiled.
 */
#ifndef HOLDSHORT_ABI_H
#define HOLDSHORT_ABI_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define ABI_VERSION 5
/*
 * The agent has everything in the first gigabyte, above the program at
 * 0x200000, and children get none of it but the program. What a child has of
 * its own lies right behind the program: one page table then is enough for all
 * of it, and one each of the levels above.
 */
#define ZYGOTE_BASE 0x08000000ULL /* the agent's own memory */
#define ARENA_BASE 0x10000000ULL  /* in the agent only */
#define ARENA_SIZE 0x30000000ULL
#define HOME_BASE 0x00210000ULL   /* in a child: the page of the arena with its struct home */
#define HOME_SIZE 0x10000ULL      /* the largest page that a kernel has */
#define TWIN_BASE 0x00220000ULL   /* in a child: memory of its own for a child that it clones */
#define TWIN_SIZE 0x10000ULL      /* there are two of them */
#define BATCH_BASE 0x00240000ULL  /* in a child: the pages of the arena with the batch, if that is not in its home */
#define BATCH_SIZE 0x04000000ULL  /* at most */
#define MAX_SLOTS 16384
#define MAX_FDS 24
#define MAX_OPS 4096
#define NREGS 128

/* File descriptors that the host gives the agent. */
#define FD_CONTROL 3
#define FD_ARENA 4
#define FD_NULL 5
#define FD_PROC 6

/* Registers: REG_FD0 and following are the descriptors of the request. */
#define REG_NULL 0
#define REG_PROC 1
#define REG_PID 2    /* agent operations only: the child's pid */
#define REG_PIDDIR 3 /* agent operations only: its directory in /proc */
#define REG_FD0 4
#define REG_FREE (REG_FD0 + MAX_FDS)

/* Host to agent. */
enum { REQ_SPAWN = 1, REQ_RELEASE, REQ_KILL, REQ_QUIT, REQ_LEAVE };
struct request {
	u32 kind;
	u32 slot;
	u64 serial;
	u64 offset; /* of struct launch in the arena; REQ_KILL: the signal */
};

/* Agent, and child (EV_PARKED, EV_EXEC_PIPE, EV_SPAWNED of a second clone), to host. */
enum { EV_HELLO = 1, EV_SPAWNED, EV_PARKED, EV_RUNNING, EV_EXITED, EV_STOPPED,
       EV_CONTINUED, EV_REFUSED, EV_EXEC_PIPE };
struct event {
	u32 kind;
	u32 slot;
	u64 serial;
	s32 pid;
	s32 code; /* EXITED: si_status; STOPPED: signal; REFUSED: errno */
	u32 how;  /* EXITED: si_code */
	u32 flags;
};
#define EVF_EXECED 1u /* EXITED: the child had passed execve */
#define EVF_HELD 2u   /* EXITED: not reaped yet, the host must release it */

/* Operations. */
#define OP_SYSCALL_MAX 0xffff
#define OP_CLONE 0x10001   /* second clone: args[0] flags, args[1] cgroup register or ~0 */
#define OP_STORE32 0x10002 /* args[0] address in the arena, args[1] value */
#define OP_EQUAL 0x10003   /* fail with errno args[2] unless args[0] == args[1] */
#define OP_STAT_IS 0x10008 /* fail with errno args[5] unless the file at descriptor args[0] has mode & args[1] == args[2] and
			      device number args[3], args[4], of which ~0 is any */
#define OP_WAIT 0x10005    /* child only: wait until the host sets args[0], at most args[1] ticks; asleep only if args[2] */
#define OP_WRITEPID 0x10004 /* agent only: write the child's pid to descriptor args[0] */

#define OP_INIT 0x10006    /* start the init of the pid namespace that was unshared: args[0] uid, args[1] gid, ~0: keep */

#define OPF_ANYERR 1u /* every error is acceptable */

struct op {
	u32 nr;
	u8 regs;   /* bit i: args[i] names a register */
	u8 save;   /* register that keeps the result, 0 for none */
	u8 flags;
	u8 skip;   /* operations to skip after an accepted error */
	s32 accept; /* an errno that does not count as failure */
	u32 done;  /* 1 once executed */
	s64 result;
	u64 args[6];
};

enum { ST_NEW = 0, ST_BUSY, ST_PARKED, ST_EXECING, ST_FAILED, ST_AGENT_FAILED };
#define LF_EXEC_EVENT 1u /* report the moment of execve */
#define LF_HOLD 2u       /* do not reap before the host releases */
#define LF_STAY 8u       /* looked at when the child parks: it outlives the agent then */
#define LF_TIMES 32u     /* args[5] of each operation is overwritten with the ticks at which it was done */
#define LF_NO_SPAWNED 4u /* no EV_SPAWNED: the host does not need a pidfd */
#define LF_EXEC_PIPE 16u /* the child sends EV_EXEC_PIPE before a batch that ends in execve */

#define GO_ABORT 0x80000000u
#define ORPHAN_LINGER 0xffffffffu

/* The processor's counter, and CLOCK_MONOTONIC in nanoseconds. */
struct moment { u64 ticks, ns; };

struct launch {
	/* written by the host before REQ_SPAWN */
	u32 version;
	u32 flags;
	u64 clone_flags;
	u32 cgroup_reg; /* ~0: none */
	u32 orphan;     /* milliseconds between SIGTERM and SIGKILL when the host is gone, or ORPHAN_LINGER */
	u64 agent_ops;  /* offset */
	u32 agent_nops;
	u32 nfds;
	/* the batch: written by the host before it changes go */
	u64 ops; /* offset */
	u32 nops; /* with all that they point to, these are ops_len bytes */
	u32 go; /* futex: number of the batch, GO_ABORT */
	/* written by the child */
	u32 state;
	u32 pc;
	s32 err;
	u32 pid_inside;
	/* written by the agent (pid2: by the kernel) */
	s32 pid;
	s32 pid2;
	u32 agent_pc;
	u32 agent_done; /* futex: 1 when the agent's operations are over */
	u32 ended; /* 1 just before EV_EXITED or EV_REFUSED is sent: a hint for a host that spins */
	u32 cleanup_nops; /* run by the agent once the child has ended, if the host is gone */
	u64 cleanup;      /* offset */
	s32 init_pid;     /* by the kernel: of OP_INIT */
	s32 init_err;     /* by the init */
	u32 init_ready;   /* futex: 1 once it is locked up, or init_err says why not */
	u32 ops_len;      /* by the host, with ops */
	struct { s64 v[18]; } rusage;
	/* LF_TIMES, by the agent: before the clone and at the end */
	struct moment clock[2];
	/* what the agent tells the child of itself */
	u64 serial;
	u32 slot;
	s32 agent_pidfd;
	u32 wait_agent; /* for agent_done */
	s32 fds[MAX_FDS];
	s32 exec_fd; /* the child's end of the exec pipe, or -1 */
	/* written by the host before REQ_SPAWN: where this is, in an arena with pages of what size */
	u32 offset;
	u32 page;
};

/*
 * What a child has: its launch, its registers, and below the end its stack, all
 * within one page that is the child's only one. Operations may follow.
 */
struct home {
	struct launch l;
	s32 r[NREGS];
	u8 stack[1024];
};

_Static_assert(sizeof(struct request) == 24, "request");
_Static_assert(sizeof(struct event) == 32, "event");
_Static_assert(sizeof(struct op) == 72, "op");
_Static_assert(sizeof(struct launch) == 424, "launch");
_Static_assert(sizeof(struct home) == 1960, "home");
#endif
