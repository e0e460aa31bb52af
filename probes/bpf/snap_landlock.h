/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The task's Landlock domain. */
#ifndef HS_SNAP_LANDLOCK_H
#define HS_SNAP_LANDLOCK_H

#include "read.h"

/* Set by the loader after calibration: where Landlock keeps its domain in the
 * security blob of a cred. The offset depends on which LSMs are built in and on
 * their order; negative means unknown.
 */
volatile s32 landlock_offset = -1;

/* MASK picks one bit field out of a layer's word, whose widths differ from
 * kernel to kernel. The shifts are made for a word of eight bytes.
 */
#define MASK(from, member)                                                                                 \
	({                                                                                                 \
		struct access_masks *m_ = NULL;                                                            \
		u64 v_ = *(u64 *)((u8 *)(from) + __builtin_preserve_field_info(m_->member, 0));            \
		v_ <<= __builtin_preserve_field_info(m_->member, 4);                                       \
		v_ >>= __builtin_preserve_field_info(m_->member, 5);                                       \
		v_;                                                                                        \
	})

/* What each layer restrains, oldest first, into the tail. `step` is the size of
 * a layer's word: two bytes are rights on files and nothing else.
 */
INLINE void snap_layers(struct slot *s, const void *masks, u32 n, u32 step)
{
	u32 used = s->used;

	s->e.core.more |= MORE_MASKS;
	if (n > MAX_LAYERS || used > TAIL_SIZE - MAX_LAYERS * sizeof(struct layer)) {
		s->e.core.failed |= FAIL_MASKS;
		return;
	}
	/* Keeps the pointer, of which 6.1 remembers how far it reaches when it
	 * is put on the stack; of a number it does not.
	 */
	struct layer *to = (struct layer *)(s->tail + used);
	barrier_var(to);
	/* Not a byte more than there are: what lies behind may be a guard page. */
	u64 size = n * step;
	barrier_var(size);
	if (size > MAX_LAYERS * 4)
		size = MAX_LAYERS * 4;
	read_bytes(s, FAIL_MASKS, s->words, size, masks);
	for (u32 i = 0; i < MAX_LAYERS; i++) {
		struct layer *l = to + i;
		u8 *from = (u8 *)s->words + i * step;

		if (i >= n)
			break;
		l->net = 0;
		l->scope = 0;
		if (step == 2) {
			l->fs = *(u16 *)from;
			continue;
		}
		l->fs = MASK(from, fs);
		if (field_exists(((struct access_masks *)0)->net))
			l->net = MASK(from, net);
		if (field_exists(((struct access_masks *)0)->scope))
			l->scope = MASK(from, scope);
	}
	s->used = used + n * sizeof(struct layer);
}

/* Where snap_rules finds the domain. */
#define WORD_DOMAIN 255

SNAP(snap_landlock)
{
	struct core *c = &s->e.core;
	const struct cred *cred = NULL;
	void *blob = NULL, *domain = NULL;
	s32 off = landlock_offset;
	u32 n = 0;

	if (off < 0 || off > 4096)
		return 0;
	READ(s, FAIL_LANDLOCK, cred, &t->cred);
	NEED(s, FAIL_LANDLOCK, cred);
	READ(s, FAIL_LANDLOCK, blob, &cred->security);
	NEED(s, FAIL_LANDLOCK, blob);
	read_bytes(s, FAIL_LANDLOCK, &domain, sizeof(domain), (u8 *)blob + off);
	if (!domain) {
		c->have |= HAVE_LANDLOCK;
		c->more |= MORE_MASKS;
		return 0;
	}
	struct landlock_domain *d = domain;
	struct landlock_ruleset *r = domain;
	struct landlock_ruleset___early *e = domain;
	if (field_exists(d->num_layers)) {
		PREAD(s, FAIL_LANDLOCK, n, &d->num_layers);
		PREAD(s, FAIL_LANDLOCK, c->landlock_rules, &d->rules.num_rules);
		snap_layers(s, &d->handled_masks, n, type_size(struct access_masks));
	} else if (field_exists(r->num_layers)) {
		PREAD(s, FAIL_LANDLOCK, n, &r->num_layers);
		PREAD(s, FAIL_LANDLOCK, c->landlock_rules, &r->num_rules);
		/* Between 6.7 and 6.11 the words had no type of their own, and
		 * stay unread.
		 */
		if (field_exists(r->access_masks) && type_size(struct access_masks) == 4)
			snap_layers(s, &r->access_masks, n, 4);
		else if (field_exists(e->fs_access_masks))
			snap_layers(s, &e->fs_access_masks, n, 2);
	} else {
		return 0;
	}
	c->landlock_layers = n;
	c->have |= HAVE_LANDLOCK;
	s->words[WORD_DOMAIN] = (u64)domain;
	return 0;
}

#endif
