/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness: a workload that makes the system calls it is told to, in order,
 * and says what each returned. No libc, no start-up code, no system call of its
 * own but write, so that what happens is what was asked for.
 *
 *   witness OP...        OP = [!]NR[:ARG,ARG,...]
 *
 *   ARG  a number (-100, 0x1f)    s:TEXT   address of a string, without commas
 *        $N  the result of op N   x:HEX    address of these bytes
 *                                 o:LEN    address of LEN bytes, written out after
 *                                 r:LEN    the same, as many as the result says
 *
 * One line to descriptor 1 for each op, the number of the op first:
 *
 *   3=-13          the result, here -EACCES
 *   4=5 68656c6c6f the result and what the buffers hold
 *   5!31           "!": tried by a child, which was killed by signal 31
 *   6?-1           "!": no child, because of this error
 *   end
 *
 * On a malformed op it says so and ends with 64; "end" is then missing, as it is
 * when the witness is killed: what was said until then stands.
 */
typedef unsigned char u8;
typedef unsigned long u64;
typedef long s64;

#if defined(__x86_64__)
#define NR_write 1
#define NR_clone 56
#define NR_wait4 61
#define NR_exit_group 231
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall witness\n");
static s64 sys(u64 nr, const u64 *a)
{
	s64 r;
	register u64 r10 __asm__("r10") = a[3];
	register u64 r8 __asm__("r8") = a[4];
	register u64 r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
#define NR_write 64
#define NR_clone 220
#define NR_wait4 260
#define NR_exit_group 94
__asm__(".globl _start\n_start:\n\tmov x29,#0\n\tmov x0,sp\n\tbl witness\n");
static s64 sys(u64 nr, const u64 *a)
{
	register u64 x8 __asm__("x8") = nr;
	register u64 x0 __asm__("x0") = a[0];
	register u64 x1 __asm__("x1") = a[1];
	register u64 x2 __asm__("x2") = a[2];
	register u64 x3 __asm__("x3") = a[3];
	register u64 x4 __asm__("x4") = a[4];
	register u64 x5 __asm__("x5") = a[5];
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return (s64)x0;
}
#else
#error "no such architecture"
#endif

#define MAX_OPS 1024
#define ARENA 65536
#define SIGCHLD 17

static s64 results[MAX_OPS];
static u8 arena[ARENA]; /* of one op */
static u64 used;
static char line[2 * ARENA + 64];
static u64 len;

static s64 call(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	u64 args[6] = {a, b, c, d, 0, 0};
	return sys(nr, args);
}

__attribute__((noreturn)) static void leave(int status)
{
	for (;;)
		call(NR_exit_group, (u64)status, 0, 0, 0);
}

static void flush(void)
{
	u64 done = 0;
	while (done < len) {
		s64 n = call(NR_write, 1, (u64)(line + done), len - done, 0);
		if (n == -4) /* EINTR */
			continue;
		if (n <= 0)
			break;
		done += (u64)n;
	}
	len = 0;
}

static void put(char c)
{
	if (len < sizeof(line))
		line[len++] = c;
}

static void put_text(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(s64 v)
{
	char digits[24];
	int n = 0;
	u64 u = v < 0 ? -(u64)v : (u64)v;
	if (v < 0)
		put('-');
	do
		digits[n++] = (char)('0' + u % 10);
	while (u /= 10);
	while (n)
		put(digits[--n]);
}

static void put_hex(const u8 *b, u64 n)
{
	for (u64 i = 0; i < n; i++) {
		put("0123456789abcdef"[b[i] >> 4]);
		put("0123456789abcdef"[b[i] & 15]);
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* number reads a decimal or hexadecimal number; *p is left behind it. */
static int number(const char **p, u64 *out)
{
	const char *s = *p;
	int minus = *s == '-', base = 10, any = 0;
	u64 v = 0;
	s += minus;
	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (int d; (d = digit(*s)) >= 0 && d < base; s++, any = 1)
		v = v * (u64)base + (u64)d;
	*out = minus ? -v : v;
	*p = s;
	return any;
}

static u8 *take(u64 n)
{
	n = (n + 7) & ~7ul;
	if (n > ARENA - used)
		return 0;
	u8 *p = arena + used;
	used += n;
	return p;
}

struct out {
	u8 *at;
	u64 len;
	int by_result;
};

struct op {
	int guarded, nouts;
	u64 nr, args[6];
	struct out outs[6];
};

static int argument(struct op *op, int i, const char **p, int index)
{
	const char *s = *p;
	u64 n;
	u8 *b;
	switch (*s) {
	case '$':
		s++;
		if (!number(&s, &n) || n >= (u64)index)
			return 0;
		op->args[i] = (u64)results[n];
		break;
	case 's':
		for (n = 0, s += 2; s[n] && s[n] != ','; n++)
			;
		if (s[-1] != ':' || !(b = take(n + 1)))
			return 0;
		for (u64 j = 0; j < n; j++)
			b[j] = (u8)s[j];
		b[n] = 0;
		op->args[i] = (u64)b;
		s += n;
		break;
	case 'x':
		for (n = 0, s += 2; digit(s[n]) >= 0; n++)
			;
		if (s[-1] != ':' || n % 2 || !(b = take(n / 2)))
			return 0;
		for (u64 j = 0; j < n / 2; j++)
			b[j] = (u8)(digit(s[2 * j]) << 4 | digit(s[2 * j + 1]));
		op->args[i] = (u64)b;
		s += n;
		break;
	case 'o':
	case 'r': {
		struct out *o = &op->outs[op->nouts++];
		o->by_result = *s == 'r';
		s += 2;
		if (s[-1] != ':' || !number(&s, &o->len) || !(o->at = take(o->len)))
			return 0;
		for (u64 j = 0; j < o->len; j++)
			o->at[j] = 0;
		op->args[i] = (u64)o->at;
		break;
	}
	default:
		if (!number(&s, &op->args[i]))
			return 0;
	}
	*p = s;
	return 1;
}

static int parse(struct op *op, const char *s, int index)
{
	used = 0;
	op->nouts = 0;
	for (int i = 0; i < 6; i++)
		op->args[i] = 0;
	op->guarded = *s == '!';
	s += op->guarded;
	if (!number(&s, &op->nr))
		return 0;
	for (int i = 0; *s; i++) {
		if (*s != (i ? ',' : ':') || i == 6)
			return 0;
		s++;
		if (!argument(op, i, &s, index))
			return 0;
	}
	return 1;
}

static void run(struct op *op, int index)
{
	s64 r = sys(op->nr, op->args);
	results[index] = r;
	put_number(index);
	put('=');
	put_number(r);
	for (int i = 0; i < op->nouts; i++) {
		struct out *o = &op->outs[i];
		u64 n = o->len;
		if (o->by_result && (r < 0 || (u64)r < n))
			n = r < 0 ? 0 : (u64)r;
		put(' ');
		put_hex(o->at, n);
	}
	put('\n');
	flush();
}

/* guarded has a child try, since the call may end whoever makes it. */
static void guarded(struct op *op, int index)
{
	int status = 0;
	s64 pid = call(NR_clone, SIGCHLD, 0, 0, 0);
	if (pid == 0) {
		run(op, index);
		leave(0);
	}
	results[index] = pid < 0 ? pid : 0;
	while (pid > 0 && call(NR_wait4, (u64)pid, (u64)&status, 0, 0) == -4)
		;
	if (pid > 0 && !(status & 0x7f))
		return;
	put_number(index);
	put(pid < 0 ? '?' : '!');
	put_number(pid < 0 ? pid : status & 0x7f);
	put('\n');
	flush();
}

__attribute__((noreturn, used)) void witness(u64 *sp)
{
	u64 argc = sp[0];
	char **argv = (char **)(sp + 1);
	static struct op op;
	for (u64 i = 1; i < argc; i++) {
		int index = (int)i - 1;
		if (index >= MAX_OPS || !parse(&op, argv[i], index)) {
			put_text("malformed ");
			put_text(argv[i]);
			put('\n');
			flush();
			leave(64);
		}
		if (op.guarded)
			guarded(&op, index);
		else
			run(&op, index);
	}
	put_text("end\n");
	flush();
	leave(0);
}
