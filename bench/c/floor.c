/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of the benchmark: what clone3, execve and waitid cost when a tiny
 * static program does them and nothing else. Whoever starts processes cannot
 * be much faster; every other figure is given as a multiple of this one. It
 * has no libc because that alone adds a sixth: more mappings to copy.
 *
 *	floor PROGRAM
 *
 * reads one request a line, "MODE NAMESPACES COUNT", and answers each with one
 * line: the COUNT durations in nanoseconds, or "error ERRNO". MODE is
 *	fork	a child with memory of its own, as a child that is to be held
 *		before execve must have
 *	vfork	CLONE_VM|CLONE_VFORK: cheaper, since no page table is copied,
 *		but the parent cannot do anything for the child
 * NAMESPACES is none, five (mnt pid net uts ipc) or eight: those five, cgroup,
 * time, and user with its maps written by the parent while the child waits.
 * Or it is a list of clone flags in hexadecimal, as "m7c020000,1,0,": launch i has
 * those of number i, and with bit 0 it joins the network namespace that the
 * program made when it was first asked to.
 */
#include "sys.h"

#define CLONE_VM 0x100ULL
#define CLONE_VFORK 0x4000ULL
#define CLONE_NEWUSER 0x10000000ULL
#define FIVE (0x20000ULL /* mnt */ | 0x20000000 /* pid */ | 0x40000000 /* net */ | 0x4000000 /* uts */ | 0x8000000 /* ipc */)
#define O_WRONLY 1
#define O_PATH 010000000
#define MAX_COUNT 65536
#define MAX_MIX 512
#if defined(__x86_64__)
#define NR_setns 308
#else
#define NR_setns 268
#endif
#define POOLED 1ULL
#define NEWNET 0x40000000ULL

/* Shared with the child, so that clone neither copies nor write-protects it. */
static struct shared {
	u32 mapped;
	u64 len;
	char out[MAX_COUNT * 12];
} *sh;
static char *argv[] = { 0, 0 }, *envp[] = { 0 };
static s32 procfs, pool = -1;
static u64 mix[MAX_MIX];

static u64 now(void)
{
	struct timespec t;
	sys2(NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &t);
	return (u64)t.sec * 1000000000 + (u64)t.nsec;
}

static char *put_dec(char *to, u64 v)
{
	char tmp[20];
	int n = 0;
	do
		tmp[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*to++ = tmp[--n];
	return to;
}

static s64 put_map(u32 pid, const char *file)
{
	static const char map[] = "0 100000 65536\n";
	char path[32], *p = put_dec(path, pid);
	while ((*p++ = *file++))
		;
	s64 fd = sys3(NR_openat, procfs, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	s64 n = sys3(NR_write, fd, map, sizeof map - 1);
	sys1(NR_close, fd);
	return n < 0 ? n : 0;
}

/*
 * launch starts the program once and waits for its end; the duration, or a
 * negative errno. A vfork child runs on our stack while we are suspended; it
 * returns from nothing, so it harms nothing.
 */
static s64 launch(u64 flags)
{
	struct clone_args a = { .flags = flags & ~POOLED, .exit_signal = SIGCHLD };
	struct siginfo si;
	s64 bad = 0;

	if ((flags & CLONE_VFORK) && (flags & CLONE_NEWUSER))
		return -EINVAL; /* it would wait for maps that a suspended parent cannot write */
	sh->mapped = 0;
	u64 start = now();
	s64 pid = sys2(NR_clone3, &a, sizeof a);
	if (pid == 0) {
		if (flags & CLONE_NEWUSER) {
			/* The parent is at it right now, so a short spin beats a sleep. */
			for (int i = 0; i < 2000 && !__atomic_load_n(&sh->mapped, __ATOMIC_ACQUIRE); i++)
				;
			while (!__atomic_load_n(&sh->mapped, __ATOMIC_ACQUIRE))
				sys6(NR_futex, (u64)&sh->mapped, 0 /* FUTEX_WAIT */, 0, 0, 0, 0);
		}
		if ((flags & POOLED) && sys2(NR_setns, pool, NEWNET) < 0)
			for (;;)
				sys1(NR_exit_group, 1);
		s64 err = sys3(NR_execve, argv[0], argv, envp);
		for (;;)
			sys1(NR_exit_group, -err);
	}
	if (pid < 0)
		return pid;
	if (flags & CLONE_NEWUSER) {
		bad = put_map((u32)pid, "/uid_map");
		if (!bad)
			bad = put_map((u32)pid, "/gid_map");
		__atomic_store_n(&sh->mapped, 1, __ATOMIC_RELEASE);
		sys6(NR_futex, (u64)&sh->mapped, 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
	}
	s64 r = sys5(NR_waitid, P_PID, pid, &si, WEXITED, 0);
	u64 took = now() - start;
	if (bad || r < 0)
		return bad ? bad : r;
	return si.code == CLD_EXITED && !si.status ? (s64)took : -(s64)si.status;
}

/* make_pool makes the network namespace that others join, in a child that then ends. */
static s64 make_pool(void)
{
	struct clone_args a = { .flags = NEWNET, .exit_signal = SIGCHLD };
	struct siginfo si;
	char path[32] = "", *p;
	static const char file[] = "/ns/net";

	if (pool >= 0)
		return 0;
	sh->mapped = 0;
	s64 pid = sys2(NR_clone3, &a, sizeof a);
	if (pid == 0) {
		while (!__atomic_load_n(&sh->mapped, __ATOMIC_ACQUIRE))
			sys6(NR_futex, (u64)&sh->mapped, 0 /* FUTEX_WAIT */, 0, 0, 0, 0);
		for (;;)
			sys1(NR_exit_group, 0);
	}
	if (pid < 0)
		return pid;
	p = put_dec(path, (u64)pid);
	for (u32 i = 0; i < sizeof file; i++)
		*p++ = file[i];
	pool = (s32)sys4(NR_openat, procfs, path, O_CLOEXEC, 0);
	__atomic_store_n(&sh->mapped, 1, __ATOMIC_RELEASE);
	sys6(NR_futex, (u64)&sh->mapped, 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
	sys5(NR_waitid, P_PID, pid, &si, WEXITED, 0);
	return pool;
}

/* read_mix reads a list of flags; how many, or a negative errno. */
static s64 read_mix(const char *p)
{
	u64 n = 0;

	for (; n < MAX_MIX && *p && *p != ' '; n++) {
		u64 v = 0;
		for (; *p && *p != ',' && *p != ' '; p++)
			v = v << 4 | (u64)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
		p += *p == ',';
		if ((v & POOLED) && make_pool() < 0)
			return pool;
		mix[n] = v;
	}
	return (s64)n;
}

static void answer(u64 flags, u64 of, u64 count)
{
	char *p = sh->out;
	for (u64 i = 0; i < count; i++) {
		s64 took = launch(of ? flags | mix[i % of] : flags);
		if (took < 0) {
			p = sh->out;
			for (const char *e = "error "; *e;)
				*p++ = *e++;
			took = -took;
			i = count;
		}
		p = put_dec(p, (u64)took);
		*p++ = ' ';
	}
	p[-1] = '\n';
	for (char *q = sh->out; q < p;) {
		s64 n = sys3(NR_write, 1, q, p - q);
		if (n < 0)
			sys1(NR_exit_group, 1);
		q += n;
	}
}

/* A line is "MODE NAMESPACES COUNT": the first letters tell the words apart. */
__attribute__((used, noreturn)) void floor_main(u64 *stack)
{
	static char line[MAX_MIX * 9 + 64];

	argv[0] = (char *)stack[2];
	procfs = (s32)sys4(NR_openat, -100, "/proc", O_PATH | O_CLOEXEC, 0);
	s64 m = sys6(NR_mmap, 0, sizeof *sh, 3, 0x21 /* MAP_SHARED | MAP_ANONYMOUS */, ~0ULL, 0);
	if (stack[0] != 2 || procfs < 0 || (m < 0 && m > -4096))
		for (;;)
			sys1(NR_exit_group, 64);
	sh = (struct shared *)m;
	for (;;) {
		s64 n = 0, got;
		do { /* a long line comes in pieces */
			got = sys3(NR_read, 0, line + n, sizeof line - 1 - (u64)n);
			if (got <= 0)
				for (;;)
					sys1(NR_exit_group, got < 0);
			n += got;
		} while (line[n - 1] != '\n' && n < (s64)sizeof line - 1);
		line[n] = 0;
		s64 of = 0;
		char *p = line;
		u64 flags = *p == 'v' ? CLONE_VM | CLONE_VFORK : 0, count = 0;
		while (*p && *p++ != ' ')
			;
		flags |= *p == 'f' ? FIVE : *p == 'e' ? FIVE | 0x2000000 /* cgroup */ | 0x80 /* time */ | CLONE_NEWUSER : 0;
		if (*p == 'm')
			of = read_mix(p + 1);
		while (*p && *p++ != ' ')
			;
		for (; *p >= '0' && *p <= '9'; p++)
			count = count * 10 + (u64)(*p - '0');
		if (of < 0)
			for (;;)
				sys1(NR_exit_group, 1);
		answer(flags, (u64)of, count < 1 ? 1 : count > MAX_COUNT ? MAX_COUNT : count);
	}
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall floor_main\n\thlt\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29,#0\n\tmov x0,sp\n\tbl floor_main\n\tbrk #1\n");
#endif
