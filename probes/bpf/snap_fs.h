/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Files and memory: root, cwd, descriptors, program, arguments. */
#ifndef HS_SNAP_FS_H
#define HS_SNAP_FS_H

#include "read.h"

#define MNT_READONLY 0x40
#define SB_RDONLY 1
#define WALK_STEPS 48
#define TOP_STEPS 4

INLINE struct mount *real_mount(struct vfsmount *m)
{
	struct mount *base = NULL;

	return (struct mount *)((u8 *)m - field_offset(base->mnt));
}

NOINLINE int snap_cwd(struct slot *s, struct fs_struct *fs)
{
	struct core *c = &s->e.core;
	struct vfsmount *root_mnt = NULL, *mnt = NULL;
	struct dentry *root = NULL, *d = NULL;

	READ(s, FAIL_FS, root_mnt, &fs->root.mnt);
	READ(s, FAIL_FS, root, &fs->root.dentry);
	READ(s, FAIL_FS, mnt, &fs->pwd.mnt);
	READ(s, FAIL_FS, d, &fs->pwd.dentry);

	/* Upwards as ".." would go; a working directory that was reached
	 * through a leaked descriptor ends at another mount's top instead.
	 */
	for (u32 i = 0; i < WALK_STEPS; i++) {
		struct dentry *top = NULL, *up = NULL;

		if (mnt == root_mnt && d == root) {
			c->have |= HAVE_CWD_WALK | HAVE_CWD_UNDER;
			return 0;
		}
		READ(s, FAIL_FS, top, &mnt->mnt_root);
		if (d == top) {
			struct mount *m = real_mount(mnt), *parent = NULL;

			READ(s, FAIL_FS, parent, &m->mnt_parent);
			if (parent == m || !parent) {
				c->have |= HAVE_CWD_WALK;
				return 0;
			}
			READ(s, FAIL_FS, d, &m->mnt_mountpoint);
			mnt = &parent->mnt;
			continue;
		}
		READ(s, FAIL_FS, up, &d->d_parent);
		if (up == d || !up) { /* unhashed or foreign: no way up */
			c->have |= HAVE_CWD_WALK;
			return 0;
		}
		d = up;
	}
	return 0;
}

/* Is root the top of the mount namespace? Its mount is then the namespace's
 * first one or lies, perhaps in several layers, on the root of that.
 */
INLINE void snap_top(struct slot *s, struct task_struct *t, struct vfsmount *mnt, struct dentry *root)
{
	struct core *c = &s->e.core;
	struct mount *m = real_mount(mnt), *first = NULL, *parent = NULL;
	struct dentry *top = NULL, *at = NULL;
	struct mnt_namespace *ns = NULL;
	struct nsproxy *p = NULL;

	READ(s, FAIL_FS, top, &mnt->mnt_root);
	if (top != root)
		return;
	READ(s, FAIL_FS, p, &t->nsproxy);
	if (!p)
		return;
	READ(s, FAIL_FS, ns, &p->mnt_ns);
	READ(s, FAIL_FS, first, &ns->root);
	for (u32 i = 0; i < TOP_STEPS; i++) {
		if (m == first) {
			c->have |= HAVE_ROOT_TOP;
			return;
		}
		READ(s, FAIL_FS, parent, &m->mnt_parent);
		if (parent == m)
			return;
		READ(s, FAIL_FS, at, &m->mnt_mountpoint);
		READ(s, FAIL_FS, top, &parent->mnt.mnt_root);
		if (at != top)
			return;
		m = parent;
	}
}

NOINLINE int snap_fs(struct slot *s, struct task_struct *t)
{
	struct core *c = &s->e.core;
	struct fs_struct *fs = NULL;
	struct dentry *d = NULL;
	struct inode *ino = NULL;
	struct super_block *sb = NULL;
	struct vfsmount *mnt = NULL;
	unsigned long sflags = 0;
	u32 flags = 0;

	READ(s, FAIL_FS, fs, &t->fs);
	if (!fs)
		return 0;
	c->have |= HAVE_FS;
	READ(s, FAIL_FS, c->umask, &fs->umask);

	READ(s, FAIL_FS, d, &fs->pwd.dentry);
	READ(s, FAIL_FS, ino, &d->d_inode);
	READ(s, FAIL_FS, c->cwd_ino, &ino->i_ino);
	READ(s, FAIL_FS, sb, &ino->i_sb);
	READ(s, FAIL_FS, c->cwd_dev, &sb->s_dev);

	READ(s, FAIL_FS, d, &fs->root.dentry);
	READ(s, FAIL_FS, mnt, &fs->root.mnt);
	READ(s, FAIL_FS, ino, &d->d_inode);
	READ(s, FAIL_FS, c->root_ino, &ino->i_ino);
	READ(s, FAIL_FS, sb, &ino->i_sb);
	READ(s, FAIL_FS, c->root_dev, &sb->s_dev);
	READ(s, FAIL_FS, flags, &mnt->mnt_flags);
	READ(s, FAIL_FS, sflags, &sb->s_flags);
	if ((flags & MNT_READONLY) || (sflags & SB_RDONLY))
		c->have |= HAVE_ROOT_RO;
	snap_top(s, t, mnt, d);
	snap_cwd(s, fs);
	return 0;
}

INLINE u32 count_bits(u64 v)
{
	v -= (v >> 1) & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + ((v >> 2) & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (v * 0x0101010101010101ULL) >> 56;
}

/* The descriptors, in order, into the tail. Position and count live in memory
 * and not in registers: so the verifier sees every turn of the loop in the
 * same state and does not multiply the cases.
 */
NOINLINE int snap_files(struct slot *s, struct task_struct *t)
{
	struct core *c = &s->e.core;
	struct files_struct *files = NULL;
	struct fdtable *fdt = NULL;
	unsigned long *open_fds = NULL, *cloexec = NULL;
	struct file **table = NULL;
	u32 max = 0;

	READ(s, FAIL_FILES, files, &t->files);
	if (!files)
		return 0;
	c->have |= HAVE_FILES;
	READ(s, FAIL_FILES, fdt, &files->fdt);
	READ(s, FAIL_FILES, max, &fdt->max_fds);
	READ(s, FAIL_FILES, open_fds, &fdt->open_fds);
	READ(s, FAIL_FILES, cloexec, &fdt->close_on_exec);
	READ(s, FAIL_FILES, table, &fdt->fd);

	s->fd = 0;
	s->words[0] = 0;
	for (u32 i = 0; i < MAX_FILES + 64; i++) {
		u32 fd = s->fd, n = c->nfiles;
		u64 word = s->words[0];
		struct file *f = NULL;

		if (fd >= max)
			return 0;
		/* One word of the bit map at a time; low bits are shifted
		 * out as they are used.
		 */
		if (!(fd & 63)) {
			u64 skip = 0;
			READ(s, FAIL_FILES, word, open_fds + fd / 64);
			READ(s, FAIL_FILES, skip, cloexec + fd / 64);
			s->words[1] = skip;
		}
		if (!word) {
			s->fd = (fd | 63) + 1;
			s->words[0] = 0;
			continue;
		}
		/* To the next open descriptor: the zero bits below the lowest
		 * set one are counted without a branch, of which every turn
		 * would double the verifier's work.
		 */
		u32 step = count_bits((word & -word) - 1);
		word >>= step;
		fd += step;
		s->words[0] = word >> 1;
		s->fd = fd + 1;

		if (n >= MAX_FILES)
			break;
		barrier_var(n);
		if (n >= MAX_FILES)
			break;
		READ(s, FAIL_FILES, f, table + fd);
		struct fileid *id = (struct fileid *)(s->tail + n * sizeof(struct fileid));
		struct inode *ino = NULL;
		struct super_block *sb = NULL;
		/* An open bit without a file: allocated and not yet
		 * installed (alloc_fd), not usable by the task.
		 */
		if (!f)
			continue;
		id->fd = fd;
		id->file = (u64)f;
		id->cloexec = (s->words[1] >> (fd & 63)) & 1;
		READ(s, FAIL_FILES, id->flags, &f->f_flags);
		READ(s, FAIL_FILES, ino, &f->f_inode);
		READ(s, FAIL_FILES, id->ino, &ino->i_ino);
		READ(s, FAIL_FILES, id->mode, &ino->i_mode);
		READ(s, FAIL_FILES, sb, &ino->i_sb);
		READ(s, FAIL_FILES, id->dev, &sb->s_dev);
		READ(s, FAIL_FILES, id->magic, &sb->s_magic);
		c->nfiles = n + 1;
		s->used = (n + 1) * sizeof(struct fileid);
	}
	/* Out of turns or of space: there is more that was not looked at. */
	c->files_lost = max - s->fd + 1;
	return 0;
}

#define AT_ENTRY_BASE 7
#define AT_ENTRY_ADDR 9
#define AT_SECURE_FLAG 23

NOINLINE int snap_mm(struct slot *s, struct task_struct *t)
{
	struct core *c = &s->e.core;
	struct mm_struct *mm = NULL;
	struct file *exe = NULL;

	READ(s, FAIL_MM, mm, &t->mm);
	if (mm)
		c->have |= HAVE_MM;

	struct task_struct___state *ts = (void *)t;
	if (field_exists(ts->exec_state)) {
		struct task_exec_state *state = NULL;

		READ(s, FAIL_MM, state, &ts->exec_state);
		if (state) {
			c->have |= HAVE_DUMPABLE;
			READ(s, FAIL_MM, c->dumpable, &state->dumpable);
		}
	}
	if (!mm)
		return 0;
	if (!field_exists(ts->exec_state)) {
		struct mm_struct___word *word = (void *)mm;
		struct mm_struct___words *words = (void *)mm;
		unsigned long flags = 0;

		if (field_exists(words->flags.__mm_flags)) {
			c->have |= HAVE_DUMPABLE;
			READ(s, FAIL_MM, flags, &words->flags.__mm_flags);
		} else if (field_exists(word->flags)) {
			c->have |= HAVE_DUMPABLE;
			READ(s, FAIL_MM, flags, &word->flags);
		}
		c->dumpable = flags & 3; /* MMF_DUMPABLE_MASK */
	}
	READ(s, FAIL_MM, c->arg_start, &mm->arg_start);
	READ(s, FAIL_MM, c->arg_end, &mm->arg_end);
	READ(s, FAIL_MM, c->env_start, &mm->env_start);
	READ(s, FAIL_MM, c->env_end, &mm->env_end);

	READ(s, FAIL_MM, exe, &mm->exe_file);
	if (exe) {
		struct inode *ino = NULL;
		struct super_block *sb = NULL;

		c->have |= HAVE_EXE;
		READ(s, FAIL_MM, ino, &exe->f_inode);
		READ(s, FAIL_MM, c->exe_ino, &ino->i_ino);
		READ(s, FAIL_MM, c->exe_nlink, &ino->i_nlink);
		READ(s, FAIL_MM, sb, &ino->i_sb);
		READ(s, FAIL_MM, c->exe_dev, &sb->s_dev);
	}

	/* The kernel's own copy of the auxiliary vector: the program can
	 * change it only with prctl(PR_SET_MM), never by writing its stack.
	 */
	u32 size = field_size(mm->saved_auxv);
	if (size > 1024)
		size = 1024;
	u32 pairs = size / 16;
	read_bytes(s, FAIL_MM, s->words, size, &mm->saved_auxv);
	for (u32 i = 0; i < 32; i++) {
		u64 key = s->words[2 * i], val = s->words[2 * i + 1];

		if (i >= pairs || !key)
			break;
		if (key == AT_ENTRY_ADDR) {
			c->at_entry = val;
			c->have |= HAVE_AUXV;
		} else if (key == AT_ENTRY_BASE) {
			c->at_base = val;
		} else if (key == AT_SECURE_FLAG && val) {
			c->have |= HAVE_SECURE;
		}
	}
	return 0;
}

/* Argument and environment bytes. Reading user memory here cannot fault pages
 * in: right after exec they are present, later they may have been swapped out.
 */
NOINLINE int snap_args(struct slot *s)
{
	struct core *c = &s->e.core;
	u64 len;
	u32 used, n;

	c->have |= HAVE_ARGS;
	len = c->arg_end - c->arg_start;
	used = s->used;
	n = len > MAX_ARGS ? MAX_ARGS : len;
	barrier_var(n);
	if (n && n <= MAX_ARGS && used <= TAIL_SIZE - MAX_ARGS) {
		if (bpf_probe_read_user(s->tail + used, n, (void *)c->arg_start)) {
			c->failed |= FAIL_ARGS;
		} else {
			c->args_len = n;
			s->used = used + n;
		}
	}
	len = c->env_end - c->env_start;
	used = s->used;
	n = len > MAX_ENV ? MAX_ENV : len;
	barrier_var(n);
	if (n && n <= MAX_ENV && used <= TAIL_SIZE - MAX_ENV) {
		if (bpf_probe_read_user(s->tail + used, n, (void *)c->env_start)) {
			c->failed |= FAIL_ENV;
		} else {
			c->env_len = n;
			s->used = used + n;
		}
	}
	return 0;
}

#endif
