/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What travels from the kernel to the reader. All members are naturally
 * aligned and all padding is explicit, because two snapshots are compared by
 * comparing the bytes of their bodies.
 *
 * One event is: struct event (head, then core), then `files` descriptors, then
 * `groups` ids, the lines of the uid and gid maps if they are more than five
 * each, the masks of the Landlock layers, the Landlock rules, argument bytes, environment bytes, and
 * last the instructions of seccomp filters. The instructions come last so that a snapshot without them
 * is a prefix of one with them.
 */
#ifndef HS_EVENT_H
#define HS_EVENT_H

#include "helpers.h"

enum at {
	AT_FORK = 1,    /* a watched task was born; the core, if any, is its creator's */
	AT_EXEC = 2,
	AT_RETURN = 3,
	AT_FIRST = 4,
	AT_NO_FIRST = 5, /* first system call or end came without an entry fault */
	AT_EXIT = 6,
	AT_PEEK = 7,    /* asked for from user space */
	AT_MARK = 8,    /* everything sent before this has been read */
	AT_NO_RETURN = 9,
	AT_CHANGE = 10, /* somebody does something to the task, see enum change */
	AT_WITNESS = 11, /* an optional hook speaks, see witness.h */
};

/* What is done. The head then has other contents: parent is who does it, ip and
 * entry are its comm, and info has the change in its low byte and above it what
 * the change is to or about.
 */
enum change {
	CHANGE_CGROUP = 1, /* to the cgroup with this number */
	CHANGE_OOM = 2,
	CHANGE_NAME = 3,
	CHANGE_SIGNAL = 4,   /* its number */
	CHANGE_LIMIT = 5,    /* the resource */
	CHANGE_SCHED = 6,    /* the system call */
	CHANGE_AFFINITY = 7,
	CHANGE_NICE = 8,
	CHANGE_IOPRIO = 9,
	CHANGE_PTRACE = 10,  /* the request */
};

#define MAX_CHANGES 64 /* told of one process; more are only counted */


enum head_flag {
	HEAD_IP = 1,          /* ip and entry were read */
	HEAD_BODY = 2,        /* a core follows */
	HEAD_CODE = 4,        /* filter instructions were asked for */
	HEAD_ROOT = 8,        /* a child of a watched parent, not a descendant */
	HEAD_FOUND = 16,      /* a peek found its task */
	HEAD_BLOB = 32,       /* the tail is the first bytes of cred->security */
	HEAD_FRESH = 64,      /* the general registers are as execve leaves them */
};

/* Groups of fields that one failed read makes untrustworthy. */
enum failed {
	FAIL_NS = 1 << 0,
	FAIL_USERNS = 1 << 1,
	FAIL_CRED = 1 << 2,
	FAIL_TASK = 1 << 3,
	FAIL_SECCOMP = 1 << 4,
	FAIL_CGROUP = 1 << 5,
	FAIL_SIGNAL = 1 << 6,
	FAIL_SIGHAND = 1 << 7,
	FAIL_PROCESS = 1 << 8,
	FAIL_FS = 1 << 9,
	FAIL_FILES = 1 << 10,
	FAIL_KEYS = 1 << 11,
	FAIL_MM = 1 << 12,
	FAIL_ARGS = 1 << 13,
	FAIL_ENV = 1 << 14,
	FAIL_GROUPS = 1 << 15,
	FAIL_CODE = 1 << 16,
	FAIL_LANDLOCK = 1 << 17,
	FAIL_SCHED = 1 << 18,
	FAIL_MEMORY = 1 << 19,
	FAIL_MASKS = 1 << 20, /* of the Landlock layers */
	FAIL_RULES = 1 << 21, /* of the Landlock domain */
};

/* What this kernel, or this moment, has at all. */
enum have {
	HAVE_NSPROXY = 1 << 0,
	HAVE_TIMENS = 1 << 1,
	HAVE_FS = 1 << 2,
	HAVE_FILES = 1 << 3,
	HAVE_MM = 1 << 4,
	HAVE_EXE = 1 << 5,
	HAVE_SIGHAND = 1 << 6,
	HAVE_DUMPABLE = 1 << 7,
	HAVE_AUDIT = 1 << 8,
	HAVE_COOKIE = 1 << 9,
	HAVE_FILTER_COUNT = 1 << 10,
	HAVE_KEYS = 1 << 11,
	HAVE_LANDLOCK = 1 << 12,
	HAVE_ARGS = 1 << 13, /* args and env were asked for */
	HAVE_AUXV = 1 << 14,
	HAVE_IOPRIO = 1 << 15,
	HAVE_CWD_WALK = 1 << 16, /* the walk from cwd came to an end */
	HAVE_CWD_UNDER = 1 << 17,
	HAVE_ROOT_TOP = 1 << 18,
	HAVE_ROOT_RO = 1 << 19,
	HAVE_FILTER_MORE = 1 << 20, /* more filters than fit */
	HAVE_SUBREAPER = 1 << 21,
	HAVE_RESET_ON_FORK = 1 << 22,
	HAVE_SESSION_LEADER = 1 << 23,
	HAVE_SECURE = 1 << 24,
};

/* The same, continued: an enum has 32 bits. */
enum more {
	MORE_ARMED_KNOWN = 1 << 0,
	MORE_ARMED = 1 << 1,    /* system calls of the task go through seccomp */
	MORE_DISPATCH_KNOWN = 1 << 2,
	MORE_DISPATCH = 1 << 3, /* … or to a handler of its own (5.11) */
	MORE_IO_URING_KNOWN = 1 << 4,
	MORE_IO_URING = 1 << 5,
	MORE_IO_RESTRICT_KNOWN = 1 << 6,
	MORE_IO_RESTRICT = 1 << 7,
	MORE_SHADOW_STACK = 1 << 8, /* the kernel has them */
	MORE_UCLAMP = 1 << 9,
	MORE_AUTOGROUP = 1 << 10,
	MORE_NUMA = 1 << 11,
	MORE_MEMS = 1 << 12,
	MORE_NODES_WIDE = 1 << 13, /* nodes beyond those sent */
	MORE_MM_FLAGS = 1 << 14,
	MORE_THP_ADVISED = 1 << 15, /* bit 23 of the flags is MMF_DISABLE_THP_EXCEPT_ADVISED */
	MORE_FROZEN_KNOWN = 1 << 16,
	MORE_FROZEN = 1 << 17,
	MORE_MASKS = 1 << 18, /* the layers' masks are in the tail */
	MORE_DEADLINE = 1 << 19,
	MORE_RULES = 1 << 20,      /* the Landlock rules are in the tail */
	MORE_RULES_MANY = 1 << 21, /* … and are not, being more than fit */
};

/* How a mount propagates; shared and slave may be together. */
enum propagation {
	PROP_SHARED = 1 << 0,
	PROP_SLAVE = 1 << 1,
	PROP_UNBINDABLE = 1 << 2,
};

#define NS_USER 0
#define NS_MNT 1
#define NS_PID 2
#define NS_PID_CHILD 3
#define NS_NET 4
#define NS_UTS 5
#define NS_IPC 6
#define NS_CGROUP 7
#define NS_TIME 8
#define NS_TIME_CHILD 9
#define NS_COUNT 10

#define MAX_EXTENTS 5     /* in the core; longer maps go to the tail */
#define MAX_LONG_MAP 340  /* UID_GID_MAP_MAX_EXTENTS */
#define MAX_LAYERS 16     /* LANDLOCK_MAX_NUM_LAYERS */
#define MAX_RULES 64
#define MAX_RULE_LAYERS (MAX_LAYERS * 8) /* bytes: struct landlock_layer has four or eight */
#define NODE_WORDS 4
#define MAX_FILTERS 8
#define MAX_SUBSYS 16
#define MAX_CPU_WORDS 16
/* The loop of older kernels is verified turn by turn and must be short. */
#ifdef HS_DIRECT
#define MAX_FILES 1024
#else
#define MAX_FILES 128
#endif
#define MAX_GROUPS 1024
#define MAX_ARGS 16384
#define MAX_ENV 16384
#define MAX_CODE 32768 /* 4096 instructions, BPF_MAXINSNS */
/* Each part is read with its largest size as bound, so the buffer must hold
 * the sum of all bounds.
 */
#define BLOB_SIZE 256
#define TAIL_SIZE                                                                        \
	(1024 * 40 + MAX_GROUPS * 4 + 2 * MAX_LONG_MAP * 12 + MAX_LAYERS * 12 +            \
	 MAX_RULES * (16 + MAX_RULE_LAYERS) + MAX_ARGS + MAX_ENV + MAX_CODE)

struct head {
	u64 cookie; /* who asked: the watch or the watched parent */
	u64 start;  /* start_boottime of the task's group leader: the pid's true name */
	u64 ktime;
	u64 ip;
	u64 entry;
	u64 lost_all; /* events lost by everyone so far */
	u64 info;     /* fork: start of the creator; peek, mark: the token; else the task's flags */
	u32 at;
	u32 flags;
	u32 tgid;
	u32 tid;
	u32 pid_here; /* the tgid in the observer's pid namespace, 0 outside of it */
	u32 parent;   /* fork: the creator's tgid; peek: the task's flags */
	u32 seq;
	u32 exec;     /* execs since the process is watched; peek: its live threads */
	u32 lost;     /* events of this watch lost so far */
	u32 cpu;
};

struct nsid {
	u32 inum, owner, level;
};

struct extent {
	u32 inside, host, count;
};

struct fileid {
	u64 ino;
	u64 magic;
	u64 file; /* address of the struct file: tells a replaced descriptor */
	u32 dev;
	u32 flags;
	u32 fd;
	u16 mode;
	u16 cloexec;
};

struct layer {
	u32 fs, net, scope;
};

/* A rule, followed by `layers` structures as the kernel has them, see
 * core.rule_layout.
 */
struct rule {
	u64 key; /* an inode number, or a port in network byte order */
	u32 dev; /* of an inode; 0 if it is gone with its file system */
	u16 port; /* not 0: a port */
	u16 layers;
};

struct filterid {
	u64 filter; /* address; a filter never changes and lives as long as its task */
	u64 prog;
	u32 len;   /* instructions of the original program, 0 if it was not kept */
	u8 log, wait_killable, notif, pad;
};

struct core {
	u64 failed;
	u64 have;
	u64 more;
	s64 mono_sec, mono_nsec, boot_sec, boot_nsec;
	u64 caps[5]; /* bounding, permitted, effective, inheritable, ambient */
	u64 rlim[32];
	u64 affinity[MAX_CPU_WORDS];
	u64 timer_slack, core_cookie;
	u64 dl_runtime, dl_deadline, dl_period;
	u64 autogroup;
	u64 mems_allowed[NODE_WORDS], policy_nodes[NODE_WORDS];
	u64 mm_flags;
	u64 shadow_stack;
	u64 blocked, ignored, pending;
	u64 cgroup_v2;
	u64 cgroup_v1[MAX_SUBSYS];
	u64 root_ino, cwd_ino, exe_ino;
	u64 arg_start, arg_end, env_start, env_end;
	u64 at_entry, at_base;
	u64 atomic_flags;
	struct filterid filters[MAX_FILTERS];
	struct nsid ns[NS_COUNT];
	struct extent uid_map[MAX_EXTENTS], gid_map[MAX_EXTENTS];
	u32 uid_extents, gid_extents;
	u32 userns_parent, userns_owner, userns_flags;
	u32 ids[8]; /* uid gid suid sgid euid egid fsuid fsgid */
	u32 ngroups;
	u32 securebits, dumpable, pdeathsig, personality, loginuid, sessionid;
	u32 seccomp_mode, seccomp_count, nfilters;
	u32 landlock_layers, landlock_rules;
	s32 oom_adj, oom_adj_min;
	u32 policy, rt_priority, ioprio, cpu_words;
	s32 nice, autogroup_nice;
	u32 uclamp_min, uclamp_max; /* bit 31: set by the user */
	u32 mempolicy;              /* mode, and flags in the upper half */
	u32 v1_mask;
	u32 pid, pid_inside, parent, tracer, session, pgrp, threads;
	u32 tty_major, tty_minor;
	u32 umask, propagation, root_dev, cwd_dev, exe_dev, exe_nlink;
	u32 key_session, key_process, key_thread, key_owner;
	u32 task_flags;
	u32 nfiles, files_lost; /* sent; open but not sent */
	u32 args_len, env_len;  /* bytes sent */
	/* Landlock rules sent, their bytes, and how to read a layer of one: its
	 * size, place and size of level, place and size of access; four bits each,
	 * lowest first.
	 */
	u32 rules_sent, rules_len, rule_layout;
	u8 comm[16];
	u8 hostname[72], domainname[72];
};

struct event {
	struct head head;
	struct core core;
};

/* The place where an event is put together. `used` counts tail bytes. The
 * scratch words hold what is read in bulk and only counted or searched.
 */
struct slot {
	struct event e;
	u8 tail[TAIL_SIZE];
	u64 words[256];
	u32 used;
	u32 fd;
};

/* What a watched process is being watched for. */
enum watch_flag {
	WATCH_RETURN = 1 << 0,
	WATCH_FIRST = 1 << 1,
	WATCH_EXIT = 1 << 2,
	WATCH_CALLER = 1 << 3,
	WATCH_DESCENDANTS = 1 << 4,
	WATCH_ALL_EXECS = 1 << 5,
	WATCH_FREEZE = 1 << 6,
	WATCH_CHANGES = 1 << 7,
	/* state, set by the programs */
	STATE_RETURN = 1 << 16, /* the return of the exec is still to come */
	STATE_FIRST = 1 << 17,  /* the first instruction is still to come */
};

struct watch {
	u64 cookie;
	u64 start; /* 0: filled in when the task is first seen */
	u64 entry;
	u64 exec_id; /* the task's self_exec_id at the last exec */
	u32 flags;
	u32 nth; /* the exec to report, from 1 */
	u32 execs;
	u32 seq;
	u32 lost;
	u32 pid_here;
	u32 changes;
	u32 broke; /* the exec that the breakpoint has seen, see witness.bpf.c */
};

struct counters {
	u64 lost;         /* events that did not get into the ring buffer */
	u64 no_slot;      /* events without a buffer to put them together */
	u64 watches_full; /* tasks that could not be watched */
	s64 armed;        /* tasks between their exec and their first system call */
};

#endif
