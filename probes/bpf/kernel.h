/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The kernel types that the snapshot reads, each with only the members that it
 * names: CO-RE finds the real offsets in the running kernel's BTF. A suffix
 * "___x" is dropped when the type is looked up, so one kernel type may have
 * several local forms, one for each layout that it had since 5.10.
 */
#ifndef HS_KERNEL_H
#define HS_KERNEL_H

#include "helpers.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	u32 val;
} kid_t;

struct ns_common {
	u32 inum;
};

struct uid_gid_extent {
	u32 first;
	u32 lower_first;
	u32 count;
};

struct uid_gid_map {
	u32 nr_extents;
	struct uid_gid_extent extent[5];
	struct uid_gid_extent *forward; /* replaces extent[] when there are more than five */
};

struct user_namespace {
	struct uid_gid_map uid_map;
	struct uid_gid_map gid_map;
	struct user_namespace *parent;
	int level;
	kid_t owner;
	struct ns_common ns;
	unsigned long flags;
};

struct new_utsname {
	char nodename[65];
	char domainname[65];
};

struct uts_namespace {
	struct new_utsname name;
	struct user_namespace *user_ns;
	struct ns_common ns;
};

struct ipc_namespace {
	struct user_namespace *user_ns;
	struct ns_common ns;
};

struct net {
	struct user_namespace *user_ns;
	struct ns_common ns;
};

struct cgroup_namespace {
	struct user_namespace *user_ns;
	struct ns_common ns;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct timens_offsets {
	struct timespec64 monotonic;
	struct timespec64 boottime;
};

struct time_namespace {
	struct user_namespace *user_ns;
	struct ns_common ns;
	struct timens_offsets offsets;
};

struct xarray {
	void *xa_head;
};

struct idr {
	struct xarray idr_rt;
};

struct xa_node {
	u8 shift;
	void *slots[1];
};

struct pid_namespace {
	struct idr idr;
	unsigned int level;
	struct user_namespace *user_ns;
	struct ns_common ns;
};

struct dentry;
struct super_block;

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
};

struct mnt_namespace;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mount *mnt_master;
	int mnt_t_flags; /* 6.17 or 6.18: the propagation, before in mnt.mnt_flags */
};

struct mnt_namespace {
	struct user_namespace *user_ns;
	struct ns_common ns;
	struct mount *root;
};

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct time_namespace *time_ns_for_children;
	struct cgroup_namespace *cgroup_ns;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct key {
	s32 serial;
	kid_t uid;
};

struct group_info {
	int ngroups;
	kid_t gid[1];
};

/* kernel_cap_t was two u32 up to 6.2 and is one u64 since 6.3 (f122a08b197d,
 * "capability: just use a 'u64' instead of a 'u32[2]' array"): on a
 * little-endian machine the same eight bytes.
 */
typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kid_t uid, gid, suid, sgid, euid, egid, fsuid, fsgid;
	unsigned int securebits;
	kernel_cap_t cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
	struct key *session_keyring, *process_keyring, *thread_keyring;
	void *security;
	struct user_namespace *user_ns;
	struct group_info *group_info;
};

struct super_block {
	u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
};

struct inode {
	u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
};

struct dentry {
	struct dentry *d_parent;
	struct inode *d_inode;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct fs_struct {
	int umask;
	struct path root;
	struct path pwd;
};

struct file {
	struct inode *f_inode;
	unsigned int f_flags;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *close_on_exec;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigaction {
	void *sa_handler;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	struct k_sigaction action[64];
};

struct sigpending {
	sigset_t signal;
};

struct rlimit {
	unsigned long rlim_cur;
	unsigned long rlim_max;
};

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	int index;
	struct tty_driver *driver;
};

typedef struct {
	int counter;
} atomic_t;

struct autogroup {
	unsigned long id;
	int nice;
};

struct signal_struct {
	atomic_t live;
	int nr_threads;
	struct sigpending shared_pending;
	unsigned int is_child_subreaper : 1;
	struct pid *pids[4];
	int leader;
	struct tty_struct *tty;
	struct rlimit rlim[16];
	struct autogroup *autogroup;
	s16 oom_score_adj;
	s16 oom_score_adj_min;
};

struct kernfs_node {
	u64 id;
};

struct cgroup_root;

struct cgroup_freezer_state {
	int e_freeze; /* a bool since 6.15 or so */
};

struct cgroup {
	struct cgroup_freezer_state freezer;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

struct sock_filter {
	u16 code;
	u8 jt;
	u8 jf;
	u32 k;
};

struct sock_fprog_kern {
	u16 len;
	struct sock_filter *filter;
};

struct bpf_prog {
	u32 len;
	struct sock_fprog_kern *orig_prog;
};

struct seccomp_filter {
	_Bool log;
	_Bool wait_killable_recv; /* 5.19 */
	struct seccomp_filter *prev;
	struct bpf_prog *prog;
	void *notif;
};

struct seccomp {
	int mode;
	atomic_t filter_count; /* 5.9 */
	struct seccomp_filter *filter;
};

struct io_context {
	u16 ioprio;
};

struct cpumask {
	unsigned long bits[1];
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	unsigned long saved_auxv[1];
	struct file *exe_file;
};

/* mm->flags: a word before 6.18, a structure of words since. */
struct mm_struct___word {
	unsigned long flags;
};

struct mm_struct___words {
	struct {
		unsigned long __mm_flags[1];
	} flags;
};

typedef struct {
	unsigned long bits[1];
} nodemask_t;

struct mempolicy {
	unsigned short mode;
	unsigned short flags;
	nodemask_t nodes;
};

/* Up to 5.14 the nodes, or the one node, were in a union. */
struct mempolicy___union {
	union {
		short preferred_node;
		nodemask_t nodes;
	} v;
};

struct sched_dl_entity {
	u64 dl_runtime, dl_deadline, dl_period;
};

struct uclamp_se {
	unsigned int value : 11;
	unsigned int user_defined : 1;
};

struct io_uring_task;
struct io_restriction;

struct thread_info {
	unsigned long flags;
	unsigned long syscall_work; /* 5.11; on arm64 much later */
};

enum syscall_work_bit {
	SYSCALL_WORK_BIT_SECCOMP = 0,
	SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH = 5,
};

/* x86 (6.6) and arm64 (6.13) name what was switched on differently. */
struct thread_struct {
	unsigned long features;
	u64 gcs_el0_mode;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	unsigned int ptrace;
	int static_prio;
	unsigned int rt_priority;
	unsigned int policy;
	struct sched_dl_entity dl;
	struct uclamp_se uclamp_req[2];
	struct cpumask cpus_mask;
	struct mm_struct *mm;
	int pdeath_signal;
	unsigned int personality;
	unsigned int sched_reset_on_fork : 1;
	unsigned long atomic_flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	u64 start_boottime;
	const struct cred *cred;
	const struct cred *real_cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	sigset_t blocked;
	struct sigpending pending;
	kid_t loginuid;
	unsigned int sessionid;
	struct seccomp seccomp;
	u64 self_exec_id;
	struct io_context *io_context;
	u64 timer_slack_ns;
	unsigned long core_cookie;
	struct css_set *cgroups;
	struct io_uring_task *io_uring;
	struct io_restriction *io_uring_restrict; /* 7.0 or 7.1 */
	nodemask_t mems_allowed;
	struct mempolicy *mempolicy;
	struct thread_struct thread;
};

/* 7.2 moved what decides about dumping out of the mm. */
struct task_exec_state;

struct task_struct___state {
	struct task_exec_state *exec_state;
};

enum task_dumpable { HS_DUMPABLE_ANY };

struct task_exec_state {
	enum task_dumpable dumpable;
};

struct pt_regs___x86 {
	unsigned long r15; /* the first of fifteen, to di */
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long ip;
	unsigned long cs;
};

struct pt_regs___arm64 {
	u64 regs[31];
	u64 pc;
	u64 pstate;
};

/* A Landlock domain was a ruleset up to 7.2 and has a type of its own in 7.3. */
struct access_masks {
	u32 fs : 16;
	u32 net : 2;
	u32 scope : 2;
};

struct rb_node {
	struct rb_node *rb_right, *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct landlock_ruleset {
	struct rb_root root_inode, root_net_port; /* 6.7 */
	u32 num_rules;
	u32 num_layers;
	struct access_masks access_masks[1]; /* 6.11 or so */
};

/* One word a layer, up to 6.6 or so. */
struct landlock_ruleset___early {
	struct rb_root root; /* up to 6.6: of files */
	u16 fs_access_masks[1];
};

struct landlock_rules {
	struct rb_root root_inode, root_net_port;
	u32 num_rules;
};

struct landlock_domain {
	struct landlock_rules rules;
	u32 num_layers;
	struct access_masks handled_masks[1];
};

struct landlock_object {
	void *underobj; /* the inode; NULL once its file system is gone */
};

union landlock_key {
	struct landlock_object *object;
	unsigned long data;
};

/* One entry for each layer that has a rule for the key. */
struct landlock_layer {
	u16 level; /* from 1; one byte since 7.2 */
	u32 access; /* two bytes up to 7.0 or so */
};

struct landlock_rule {
	struct rb_node node;
	union landlock_key key;
	u32 num_layers;
	struct landlock_layer layers[1];
};

struct landlock_rule___early {
	struct landlock_object *object; /* up to 6.6, in place of the key */
};

#pragma clang attribute pop

#endif
