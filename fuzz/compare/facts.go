package compare

import (
	"path"
	"strings"
)

// Fact is something that differs between kernels by design.
type Fact struct {
	// What it is about: a pattern of [Difference.What], as of path.Match.
	What string `json:"about"`
	// Value is part of one of the values; empty for any.
	Value string `json:"value,omitempty"`
	// Feature is the probed feature that must differ where the values do.
	Feature string `json:"feature"`
	// Text says it in words, Source where it is written.
	Text   string `json:"text"`
	Source string `json:"source"`

	// fits tells whether the feature alone makes one value of the other, each
	// from a kernel that has the feature as it says; nil: any other value is explained.
	fits func(a, b said) bool
}

func (f *Fact) about(d *Difference) bool {
	ok, err := path.Match(f.What, d.What)
	if !ok || err != nil {
		return false
	}
	for v := range d.Values {
		if strings.Contains(v, f.Value) {
			return true
		}
	}
	return false
}

const driver = "a kind of network device is there if the kernel is built with it, or finds its module"

// Facts are all that are known.
var Facts = []Fact{
	{
		What: "possible: landlock*", Feature: "landlock ABI",
		Text:   "Landlock is there from ABI 1 on, ports from 4 and scopes from 6 on",
		Source: "landlock(7), VERSIONS",
	},
	{
		What: "landlock.handled", Feature: "landlock ABI", fits: rightsOfBoth,
		Text:   "of rights that were asked for as far as they are there, a kernel takes those that it has",
		Source: "landlock(7), VERSIONS; our request's bestEffort",
	},
	{
		What: "landlock.layers", Feature: "landlock ABI", fits: moreWithMore,
		Text:   "a layer that would restrain nothing, since the kernel has none of its rights, is not made",
		Source: "landlock_create_ruleset(2), ENOMSG; our request's bestEffort",
	},
	{
		What: "landlock.rules", Feature: "landlock ABI", fits: moreWithMore,
		Text:   "a rule that would allow nothing, since the kernel has none of its rights, is not made",
		Source: "landlock_add_rule(2), ENOMSG; our request's bestEffort",
	},
	{
		What: "possible: read-only paths", Feature: "mount_setattr",
		Text:   "a mount is made read-only with all below it by mount_setattr, since 5.12",
		Source: "mount_setattr(2)",
	},
	{
		What: "possible: id-mapped mount", Feature: "can: id-mapped mount",
		Text:   "id-mapped mounts are there since 5.12, for each file system since another version (tmpfs since 6.3)",
		Source: "mount_setattr(2), ID-mapped mounts",
	},
	{
		What: "possible: autogroup", Feature: "can: autogroup",
		Text:   "groups of sessions for the scheduler are a matter of the kernel's configuration",
		Source: "sched(7); CONFIG_SCHED_AUTOGROUP",
	},
	{
		What: "sched.autogroup*", Feature: "autogroup",
		Text:   "groups of sessions for the scheduler are a matter of the kernel's configuration",
		Source: "sched(7); CONFIG_SCHED_AUTOGROUP",
	},
	{
		What: "possible: uclamp", Feature: "can: uclamp",
		Text:   "bounds of a task's utilisation are a matter of the kernel's configuration",
		Source: "sched_setattr(2), SCHED_FLAG_UTIL_CLAMP; CONFIG_UCLAMP_TASK",
	},
	{
		What: "sched.uclamp_*", Feature: "can: uclamp",
		Text:   "bounds of a task's utilisation are a matter of the kernel's configuration",
		Source: "sched_setattr(2), SCHED_FLAG_UTIL_CLAMP; CONFIG_UCLAMP_TASK",
	},
	{
		What: "possible: memory merge", Feature: "can: memory merge",
		Text:   "pages of a whole task may be shared with others since 6.4, if the kernel is built for it; later ones show it in /proc/PID/ksm_stat, without which nothing can be said of it",
		Source: "prctl(2), PR_SET_MEMORY_MERGE; CONFIG_KSM; Documentation/filesystems/proc.rst, ksm_merge_any",
	},
	{
		What: "process.io_uring_restricted", Feature: "type: task_struct.io_uring_restrict",
		Text:   "new rings of a task may be born with restrictions since 7.0 or 7.1",
		Source: "include/linux/sched.h, task_struct.io_uring_restrict",
	},
	{
		What: "refused", Value: "execve: no such file or directory", Feature: "program by descriptor in a bare root",
		Text:   "TOMOYO, if it is active, looks up the name /dev/fd/N of a program that is executed by descriptor, and fails where the root has no /dev and no /proc; newer kernels, and newer releases of older ones, then take the path that it was opened by",
		Source: "security/tomoyo/domain.c, tomoyo_find_next_domain; commit ada1986d0797 (tomoyo: fallback to realpath if symlink's pathname does not exist)",
	},
	{
		What: "mounts[[]*", Value: `"type":"cgroup`, Feature: "cgroup layout", fits: optionsAlike,
		Text:   "a mount of cgroups shows the hierarchies that the machine has: one of version 2, or one for each controller of version 1",
		Source: "runtime-spec, config-linux.md, Default Filesystems; cgroups(7)",
	},
	{
		What: "possible: cgroup v1 *", Feature: "cgroup layout",
		Text:   "a controller is in one hierarchy at a time: where version 2 has it, version 1 has not",
		Source: "cgroups(7), CGROUPS VERSION 2",
	},
	{
		What: "possible: caller: affinity", Feature: "processors",
		Text:   "a caller with fewer processors than the machine needs a machine with two",
		Source: "sched_setaffinity(2)",
	},
	{
		What: "possible: dummy device", Feature: "can: dummy device",
		Text:   driver,
		Source: "drivers/net/Kconfig, CONFIG_DUMMY",
	},
	{
		What: "possible: ipvlan", Feature: "can: ipvlan",
		Text:   driver,
		Source: "drivers/net/Kconfig, CONFIG_IPVLAN",
	},
	{
		What: "possible: vlan", Feature: "can: vlan",
		Text:   driver,
		Source: "net/8021q/Kconfig, CONFIG_VLAN_8021Q",
	},
	{
		What: "possible: wireguard", Feature: "can: wireguard",
		Text:   driver,
		Source: "drivers/net/Kconfig, CONFIG_WIREGUARD",
	},
	{
		What: "capabilities.*", Feature: "capabilities of the caller", fits: heldByBoth,
		Text:   "a program has no capability that its caller has not got, unless a user namespace is new: containers and machines keep some from root",
		Source: "capabilities(7), Transformation of capabilities during execve()",
	},
	{
		What: "rlimits.memlock", Feature: "RLIMIT_MEMLOCK",
		Text:   "the first process has 8 MiB of locked memory since 5.16, and had 64 KiB before; what is not asked for is the caller's",
		Source: "include/uapi/linux/resource.h, MLOCK_LIMIT",
	},
	{
		What: "rlimits.stack", Feature: "RLIMIT_STACK",
		Text:   "what is not asked for is the caller's",
		Source: "getrlimit(2)",
	},
	{
		What: "process.syscall_user_dispatch", Feature: "PR_SET_SYSCALL_USER_DISPATCH",
		Text:   "system calls go to a handler in the task itself since 5.11",
		Source: "prctl(2), PR_SET_SYSCALL_USER_DISPATCH",
	},
	{
		What: "process.shadow_stack", Feature: "shadow stacks",
		Text:   "tasks have shadow stacks on x86 since 6.6",
		Source: "Documentation/arch/x86/shstk.rst",
	},
	{
		What: "memory.mdwe", Feature: "PR_GET_MDWE",
		Text:   "writable memory may be kept from becoming executable since 6.3",
		Source: "prctl(2), PR_SET_MDWE",
	},
	{
		What: "possible: mdwe", Feature: "PR_GET_MDWE",
		Text:   "writable memory may be kept from becoming executable since 6.3",
		Source: "prctl(2), PR_SET_MDWE",
	},
	{
		What: "memory.merge_any", Feature: "PR_GET_MEMORY_MERGE",
		Text:   "pages of a whole task may be shared with others since 6.4, if the kernel is built for it",
		Source: "prctl(2), PR_SET_MEMORY_MERGE; CONFIG_KSM",
	},
	{
		What: "mounts[[]*", Feature: "tmpfs inode64", fits: but(`,inode64`),
		Text:   "a tmpfs says that its inode numbers have 64 bits where the kernel is built so",
		Source: "tmpfs(5), inode64; CONFIG_TMPFS_INODE64",
	},
	{
		What: "sched.timer_slack_ns", Feature: "timer slack of SCHED_FIFO",
		Text:   "a task of a realtime policy has no timer slack, where it is told so since 6.12, or by a stable release",
		Source: "kernel/sched/syscalls.c, __setscheduler_params",
	},
	{
		What: "possible: seccomp, notify*", Feature: "seccomp wait killable",
		Text:   "a notified call may be made deaf to all signals but those that kill, since 5.19",
		Source: "seccomp(2), SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	},
}
