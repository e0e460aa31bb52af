/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The task's view of the file system: root and working directory. */
#ifndef HS_SNAP_FS_H
#define HS_SNAP_FS_H

#include "read.h"

#define MNT_READONLY 0x40
#define MNT_SHARED 0x1000     /* up to 6.16 or so in mnt_flags, then T_SHARED in mnt_t_flags */
#define MNT_UNBINDABLE 0x2000
#define T_SHARED 1
#define T_UNBINDABLE 2
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

	struct mount *m = real_mount(mnt), *master = NULL;
	u32 shared = flags & MNT_SHARED, unbindable = flags & MNT_UNBINDABLE;
	if (field_exists(m->mnt_t_flags)) {
		PREAD(s, FAIL_FS, flags, &m->mnt_t_flags);
		shared = flags & T_SHARED;
		unbindable = flags & T_UNBINDABLE;
	}
	PREAD(s, FAIL_FS, master, &m->mnt_master);
	c->propagation = (shared ? PROP_SHARED : 0) | (unbindable ? PROP_UNBINDABLE : 0) |
			 (master ? PROP_SLAVE : 0);
	return 0;
}

#endif
