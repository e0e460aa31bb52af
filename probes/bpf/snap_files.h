/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Open file descriptors. */
#ifndef HS_SNAP_FILES_H
#define HS_SNAP_FILES_H

#include "read.h"

#ifdef HS_DIRECT
#define MAX_TURNS 32768
#define FD_TURN NOINLINE
#else
#define MAX_TURNS 160
#define FD_TURN INLINE
#endif

INLINE u32 count_bits(u64 v)
{
	v -= (v >> 1) & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + ((v >> 2) & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (v * 0x0101010101010101ULL) >> 56;
}

/* FIELD picks a member out of a structure whose first bytes were read into the
 * scratch words; the check is decided when the program is loaded.
 */
#define PREFIX 128
#define FIELD(words, ptr, member, to)                                                         \
	do {                                                                                  \
		if (field_offset((ptr)->member) <= PREFIX - sizeof(to))                       \
			(to) = *(typeof(to) *)((u8 *)(words) + field_offset((ptr)->member));  \
		else                                                                          \
			PREAD(s, FAIL_FILES, to, &(ptr)->member);                             \
	} while (0)

/* One open file: three short reads instead of seven. */
INLINE void snap_file(struct slot *s, struct file *f, struct fileid *id)
{
	struct inode *ino = NULL;
	struct super_block *sb = NULL;
	u64 *w = &s->words[16];

	read_bytes(s, FAIL_FILES, w, PREFIX, f);
	FIELD(w, f, f_flags, id->flags);
	FIELD(w, f, f_inode, ino);
	read_bytes(s, FAIL_FILES, w, PREFIX, ino);
	FIELD(w, ino, i_ino, id->ino);
	FIELD(w, ino, i_mode, id->mode);
	FIELD(w, ino, i_sb, sb);
	/* Neighbours often lie on one file system. */
	if ((u64)sb != s->words[2]) {
		u32 dev = 0;
		u64 magic = 0;

		read_bytes(s, FAIL_FILES, w, PREFIX, sb);
		FIELD(w, sb, s_dev, dev);
		FIELD(w, sb, s_magic, magic);
		s->words[2] = (u64)sb;
		s->words[3] = dev;
		s->words[4] = magic;
	}
	id->dev = s->words[3];
	id->magic = s->words[4];
}

/* What one turn of the walk over the descriptors needs. */
struct fd_walk {
	struct slot *s;
	u64 open_fds, cloexec, table;
	u32 max;
};

/* One turn: the next open descriptor, or on to the next word of the bit map.
 * Position and count live in memory and not in registers: so the verifier sees
 * every turn in the same state and does not multiply the cases.
 */
FD_TURN int fd_turn(u32 turn, struct fd_walk *x)
{
	struct slot *s = x->s;
	struct core *c = &s->e.core;
	u32 fd = s->fd, n = c->nfiles;
	u64 word = s->words[0];
	struct file *f = NULL;

	if (fd >= x->max)
		return 1;
	/* One word of the bit map at a time; low bits are shifted out as they
	 * are used.
	 */
	if (!(fd & 63)) {
		u64 skip = 0;
		PREAD(s, FAIL_FILES, word, (u64 *)x->open_fds + fd / 64);
		PREAD(s, FAIL_FILES, skip, (u64 *)x->cloexec + fd / 64);
		s->words[1] = skip;
	}
	if (!word) {
		s->fd = (fd | 63) + 1;
		s->words[0] = 0;
		return 0;
	}
	/* The zero bits below the lowest set one are counted without a branch,
	 * of which every turn would double the verifier's work.
	 */
	u32 step = count_bits((word & -word) - 1);
	word >>= step;
	fd += step;
	s->words[0] = word >> 1;
	s->fd = fd + 1;

	if (n >= MAX_FILES) { /* no room: from here on only counted */
		c->files_lost++;
		return 0;
	}
	PREAD(s, FAIL_FILES, f, (struct file **)x->table + fd);
	/* An open bit without a file: allocated and not yet installed
	 * (alloc_fd), not usable by the task.
	 */
	if (!f)
		return 0;
	barrier_var(n);
	if (n >= MAX_FILES)
		return 0;
	struct fileid *id = (struct fileid *)(s->tail + n * sizeof(struct fileid));
	id->fd = fd;
	id->file = (u64)f;
	id->cloexec = (s->words[1] >> (fd & 63)) & 1;
	snap_file(s, f, id);
	c->nfiles = n + 1;
	s->used = (n + 1) * sizeof(struct fileid);
	return 0;
}

/* The descriptors, in order, into the tail. */
SNAP(snap_files)
{
	struct core *c = &s->e.core;
	struct files_struct *files = NULL;
	struct fdtable *fdt = NULL;
	struct fd_walk x = { .s = s };

	READ(s, FAIL_FILES, files, &t->files);
	if (!files)
		return 0;
	c->have |= HAVE_FILES;
	READ(s, FAIL_FILES, fdt, &files->fdt);
	NEED(s, FAIL_FILES, fdt);
	READ(s, FAIL_FILES, x.max, &fdt->max_fds);
	READ(s, FAIL_FILES, x.open_fds, &fdt->open_fds);
	READ(s, FAIL_FILES, x.cloexec, &fdt->close_on_exec);
	READ(s, FAIL_FILES, x.table, &fdt->fd);

	s->fd = 0;
	s->words[0] = 0;
	s->words[2] = 0;
#ifdef HS_DIRECT
	bpf_loop(MAX_TURNS, fd_turn, &x, 0);
#else
	for (u32 i = 0; i < MAX_TURNS; i++)
		if (fd_turn(i, &x))
			return 0;
#endif
	/* Out of turns: what is left is only counted, word by word. */
	u32 fd = s->fd;
	if (fd >= x.max)
		return 0;
	if (fd & 63)
		c->files_lost += count_bits(s->words[0]);
	fd = (fd + 63) / 64;
	for (u32 i = 0; i < 64; i++) {
		u64 word = 0;

		if ((fd + i) * 64 >= x.max)
			return 0;
		PREAD(s, FAIL_FILES, word, (u64 *)x.open_fds + fd + i);
		c->files_lost += count_bits(word);
	}
	c->files_lost++; /* at least */
	return 0;
}

#endif
