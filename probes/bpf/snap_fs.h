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

/* MARK is an instruction that does nothing, different in each place. Without it
 * the compiler lets both ways through the loop below end in one common call,
 * and 6.1 takes the step from a call into a loop for an endless one ("back-edge").
 */
#define MARK(var, op) asm volatile("%0 " op " 0" : "+r"(var))

SNAP(snap_cwd)
{
	struct core *c = &s->e.core;
	struct fs_struct *fs = NULL;
	struct vfsmount *root_mnt = NULL, *mnt = NULL;
	struct dentry *root = NULL, *d = NULL;

	READ(s, FAIL_FS, fs, &t->fs);
	if (!fs)
		return 0;
	READ(s, FAIL_FS, root_mnt, &fs->root.mnt);
	READ(s, FAIL_FS, root, &fs->root.dentry);
	READ(s, FAIL_FS, mnt, &fs->pwd.mnt);
	READ(s, FAIL_FS, d, &fs->pwd.dentry);
	NEED(s, FAIL_FS, mnt);

	/* Upwards as ".." would go; a working directory that was reached
	 * through a leaked descriptor ends at another mount's top instead.
	 * First inside the mount of the working directory, where it usually
	 * ends already.
	 */
	u64 at = 0, at_mnt = (u64)mnt;
	struct dentry *top = NULL;
	READ(s, FAIL_FS, top, &mnt->mnt_root);
	for (u32 i = 0; i < WALK_STEPS; i++) {
		struct dentry *up = NULL;

		if (!d)
			break;
		if (mnt == root_mnt && d == root) {
			c->have |= HAVE_CWD_WALK | HAVE_CWD_UNDER;
			return 0;
		}
		if (d == top) {
			at = (u64)d;
			break;
		}
		READ(s, FAIL_FS, up, &d->d_parent);
		if (up == d) { /* unhashed or foreign: no way up */
			c->have |= HAVE_CWD_WALK;
			return 0;
		}
		d = up;
	}
	if (!at)
		return 0;

	for (u32 i = 0; i < WALK_STEPS; i++) {
		struct vfsmount *v = (void *)at_mnt;
		struct dentry *here = (void *)at, *up = NULL;

		if (at_mnt == (u64)root_mnt && at == (u64)root) {
			c->have |= HAVE_CWD_WALK | HAVE_CWD_UNDER;
			return 0;
		}
		PREAD(s, FAIL_FS, up, &v->mnt_root);
		if (here == up) {
			struct mount *m = real_mount(v), *parent = NULL;

			PREAD(s, FAIL_FS, parent, &m->mnt_parent);
			if (parent == m || !parent) {
				c->have |= HAVE_CWD_WALK;
				return 0;
			}
			PREAD(s, FAIL_FS, at, &m->mnt_mountpoint);
			at_mnt = (u64)&parent->mnt;
			MARK(at, "+=");
			continue;
		}
		PREAD(s, FAIL_FS, up, &here->d_parent);
		if (up == here || !up) {
			c->have |= HAVE_CWD_WALK;
			return 0;
		}
		at = (u64)up;
		MARK(at, "|=");
	}
	return 0;
}

/* Is root the top of the mount namespace? Its mount is then the namespace's
 * first one or lies, perhaps in several layers, on the root of that.
 */
SNAP(snap_top)
{
	struct core *c = &s->e.core;
	struct fs_struct *fs = NULL;
	struct vfsmount *mnt = NULL;
	struct dentry *root = NULL, *top = NULL, *at = NULL;
	struct mount *m, *parent = NULL;
	struct mnt_namespace *ns = NULL;
	struct nsproxy *p = NULL;
	u64 first = 0;

	READ(s, FAIL_FS, fs, &t->fs);
	if (!fs)
		return 0;
	READ(s, FAIL_FS, root, &fs->root.dentry);
	READ(s, FAIL_FS, mnt, &fs->root.mnt);
	NEED(s, FAIL_FS, mnt);
	READ(s, FAIL_FS, top, &mnt->mnt_root);
	if (top != root)
		return 0;
	READ(s, FAIL_FS, p, &t->nsproxy);
	if (!p)
		return 0;
	m = real_mount(mnt);
	READ(s, FAIL_FS, ns, &p->mnt_ns);
	NEED(s, FAIL_FS, ns);
	READ(s, FAIL_FS, first, &ns->root);
	for (u32 i = 0; i < TOP_STEPS; i++) {
		if ((u64)m == first) {
			c->have |= HAVE_ROOT_TOP;
			return 0;
		}
		PREAD(s, FAIL_FS, parent, &m->mnt_parent);
		if (parent == m)
			return 0;
		PREAD(s, FAIL_FS, at, &m->mnt_mountpoint);
		PREAD(s, FAIL_FS, top, &parent->mnt.mnt_root);
		if (at != top)
			return 0;
		m = parent;
	}
	return 0;
}

/* SNAP_INODE reads number and device of a dentry's or file's inode. */
#define SNAP_INODE(s, group, inode, number, device)            \
	do {                                                   \
		struct super_block *sb_ = NULL;                \
		READ(s, group, number, &(inode)->i_ino);       \
		READ(s, group, sb_, &(inode)->i_sb);           \
		NEED(s, group, sb_);                           \
		READ(s, group, device, &sb_->s_dev);           \
	} while (0)

SNAP(snap_fs)
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
	NEED(s, FAIL_FS, d);
	READ(s, FAIL_FS, ino, &d->d_inode);
	NEED(s, FAIL_FS, ino);
	SNAP_INODE(s, FAIL_FS, ino, c->cwd_ino, c->cwd_dev);

	READ(s, FAIL_FS, d, &fs->root.dentry);
	NEED(s, FAIL_FS, d);
	READ(s, FAIL_FS, ino, &d->d_inode);
	NEED(s, FAIL_FS, ino);
	SNAP_INODE(s, FAIL_FS, ino, c->root_ino, c->root_dev);

	READ(s, FAIL_FS, mnt, &fs->root.mnt);
	NEED(s, FAIL_FS, mnt);
	READ(s, FAIL_FS, flags, &mnt->mnt_flags);
	READ(s, FAIL_FS, sb, &mnt->mnt_sb);
	NEED(s, FAIL_FS, sb);
	READ(s, FAIL_FS, sflags, &sb->s_flags);
	if ((flags & MNT_READONLY) || (sflags & SB_RDONLY))
		c->have |= HAVE_ROOT_RO;
	return 0;
}

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

#define AT_ENTRY_BASE 7
#define AT_ENTRY_ADDR 9
#define AT_SECURE_FLAG 23

SNAP(snap_mm)
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

		c->have |= HAVE_EXE;
		READ(s, FAIL_MM, ino, &exe->f_inode);
		NEED(s, FAIL_MM, ino);
		READ(s, FAIL_MM, c->exe_nlink, &ino->i_nlink);
		SNAP_INODE(s, FAIL_MM, ino, c->exe_ino, c->exe_dev);
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
SNAP(snap_args)
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
