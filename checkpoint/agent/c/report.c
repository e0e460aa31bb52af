/* SPDX-License-Identifier: Apache-2.0 */
/* What is told to the host, and what is read about a process to know it. */
#include "zygote.h"

void send_event(const struct event *ev, int fd)
{
	struct iovec iov = { (void *)ev, sizeof *ev };
	struct { struct cmsghdr h; s32 fd; s32 pad; } cm = { { sizeof(struct cmsghdr) + 4, 1, 1 }, fd, 0 };
	struct msghdr m = { .iov = &iov, .iovlen = 1 };

	if (fd >= 0) {
		m.control = &cm;
		m.controllen = sizeof cm;
	}
	while (sys3(NR_sendmsg, FD_CONTROL, &m, MSG_NOSIGNAL) == -EINTR)
		;
}

void tell(u32 slot, u32 kind, s32 pid, s32 code, u32 how, u32 flags, int fd)
{
	struct event ev = { kind, slot, my->records[slot].serial, pid, code, how, flags };
	send_event(&ev, fd);
}

void refuse(const struct request *q, s32 err)
{
	struct event ev = { .kind = EV_REFUSED, .slot = q->slot, .serial = q->serial, .code = err };
	send_event(&ev, -1);
}

/* put_dec writes v in decimal and returns the number of digits. */
int put_dec(char *to, u32 v)
{
	char tmp[10];
	int n = 0;
	do {
		tmp[n++] = '0' + v % 10;
	} while (v /= 10);
	for (int i = 0; i < n; i++)
		to[i] = tmp[n - 1 - i];
	return n;
}

s32 open_pid(s32 pid, const char *file)
{
	char path[32];
	int n = put_dec(path, (u32)pid);
	if (*file)
		path[n++] = '/';
	while (*file)
		path[n++] = *file++;
	path[n] = 0;
	return (s32)sys3(NR_openat, FD_PROC, path, O_CLOEXEC);
}

/* execed tells from PF_FORKNOEXEC whether pid ever passed execve; -1 if that cannot be read. *zombie: it has ended. */
int execed(s32 pid, int *zombie)
{
	char b[512];
	s32 fd = open_pid(pid, "stat");
	if (fd < 0)
		return -1;
	s64 n = sys3(NR_read, fd, b, sizeof b);
	sys1(NR_close, fd);
	s64 i = n - 1;
	while (i >= 0 && b[i] != ')')
		i--;
	if (i < 0 || i + 2 >= n)
		return -1;
	*zombie = b[i + 2] == 'Z' || b[i + 2] == 'X';
	/* after ") S": ppid pgrp session tty tpgid flags */
	int field = 0;
	u32 flags = 0;
	for (i += 3; i < n && field < 7; i++) {
		if (b[i] == ' ')
			field++;
		else if (field == 6)
			flags = flags * 10 + (u32)(b[i] - '0');
	}
	return !(flags & 0x40);
}
