/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The rules of the task's Landlock domain: which inode or port has which rights
 * in which layer. A domain never changes (security/landlock/ruleset.h: "Immutable
 * for domains"), so its trees can be walked without a lock.
 */
#ifndef HS_SNAP_RULES_H
#define HS_SNAP_RULES_H

#include "snap_landlock.h"

/* What is still to be visited is a queue in the scratch words, which both trees
 * share: an address, with bit 0 set for a node of the tree of ports. How long the
 * queue is stands in memory too. The verifier forgets what is written there,
 * and so does not follow each of the ways in which a tree can have grown.
 */
#define WORD_QUEUED 254
#define PORT_NODE 1

INLINE void queue(struct slot *s, const void *node, u64 kind)
{
	u64 n = *(volatile u64 *)&s->words[WORD_QUEUED]; /* read again, each time */

	if (!node)
		return;
	if (n >= MAX_RULES) {
		s->e.core.failed |= FAIL_RULES;
		return;
	}
	s->words[n] = (u64)node | kind;
	s->words[WORD_QUEUED] = n + 1;
}

INLINE void snap_rule(struct slot *s, u64 at)
{
	u64 kind = at & PORT_NODE;
	u32 used = s->used, n = 0, size = type_size(struct landlock_layer);
	struct landlock_rule *r = (void *)(at & ~(u64)PORT_NODE);
	struct landlock_rule___early *e = (void *)r;
	struct rb_node *left = NULL, *right = NULL;

	if (used > TAIL_SIZE - sizeof(struct rule) - MAX_RULE_LAYERS) {
		s->e.core.failed |= FAIL_RULES;
		return;
	}
	struct rule *to = (struct rule *)(s->tail + used);
	u64 key = 0;

	barrier_var(to); /* as in snap_layers */
	PREAD(s, FAIL_RULES, left, &r->node.rb_left);
	PREAD(s, FAIL_RULES, right, &r->node.rb_right);
	queue(s, left, kind);
	queue(s, right, kind);
	if (field_exists(r->key))
		PREAD(s, FAIL_RULES, key, &r->key);
	else
		PREAD(s, FAIL_RULES, key, &e->object);
	to->dev = 0;
	to->port = kind;
	if (!kind) {
		struct landlock_object *o = (void *)key;
		struct inode *inode = NULL;
		struct super_block *sb = NULL;

		key = 0;
		PREAD(s, FAIL_RULES, inode, &o->underobj);
		if (inode) {
			PREAD(s, FAIL_RULES, key, &inode->i_ino);
			PREAD(s, FAIL_RULES, sb, &inode->i_sb);
			PREAD(s, FAIL_RULES, to->dev, &sb->s_dev);
		}
	}
	to->key = key;
	PREAD(s, FAIL_RULES, n, &r->num_layers);
	if (n > MAX_LAYERS)
		s->e.core.failed |= FAIL_RULES;
	to->layers = n;
	u64 bytes = (u64)n * size;
	barrier_var(bytes);
	if (bytes > MAX_RULE_LAYERS) {
		s->e.core.failed |= FAIL_RULES;
		return;
	}
	read_bytes(s, FAIL_RULES, to + 1, bytes, &r->layers);
	s->e.core.rules_sent++;
	s->used = used + sizeof(struct rule) + bytes;
}

#define OFFSET(member) (__builtin_preserve_field_info(((struct landlock_layer *)0)->member, 0))
#define SIZE(member) (__builtin_preserve_field_info(((struct landlock_layer *)0)->member, 1))

SNAP(snap_rules)
{
	struct core *c = &s->e.core;
	void *domain = (void *)s->words[WORD_DOMAIN];
	struct landlock_domain *d = domain;
	struct landlock_ruleset *r = domain;
	struct landlock_ruleset___early *e = domain;
	struct rb_node *files = NULL, *ports = NULL;
	u32 before = s->used;

	if (c->landlock_rules > MAX_RULES) {
		c->more |= MORE_RULES_MANY;
		return 0;
	}
	if (!type_exists(struct landlock_rule) || type_size(struct landlock_layer) > 8)
		return 0;
	if (field_exists(d->rules.root_inode)) {
		PREAD(s, FAIL_RULES, files, &d->rules.root_inode.rb_node);
		if (field_exists(d->rules.root_net_port))
			PREAD(s, FAIL_RULES, ports, &d->rules.root_net_port.rb_node);
	} else if (field_exists(r->root_inode)) {
		PREAD(s, FAIL_RULES, files, &r->root_inode.rb_node);
		if (field_exists(r->root_net_port))
			PREAD(s, FAIL_RULES, ports, &r->root_net_port.rb_node);
	} else if (field_exists(e->root)) {
		PREAD(s, FAIL_RULES, files, &e->root.rb_node);
	} else {
		return 0;
	}
	c->more |= MORE_RULES;
	c->rule_layout = type_size(struct landlock_layer) | OFFSET(level) << 4 | SIZE(level) << 8 | OFFSET(access) << 12 |
			 SIZE(access) << 16;
	s->words[WORD_QUEUED] = 0;
	queue(s, files, 0);
	queue(s, ports, PORT_NODE);
	for (u32 i = 0; i < MAX_RULES; i++) {
		if (i >= s->words[WORD_QUEUED])
			break;
		snap_rule(s, s->words[i]);
	}
	/* Neither one that was missed nor one that was met twice. */
	if (c->rules_sent != c->landlock_rules)
		c->failed |= FAIL_RULES;
	c->rules_len = s->used - before;
	return 0;
}

#endif
