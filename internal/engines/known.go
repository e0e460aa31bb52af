package engines

import (
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
)

// known is a deviation of an engine that has an explanation. The versions are
// those of Debian 12; others differ, which then shows as a case of the table
// that is not found.
type known struct {
	engines string // separated by spaces; empty is any
	field   string // or its beginning, if it ends in [ or .
	outcome oracle.Outcome
	says    string // part of the check's own reason; empty is any
	why     string
}

var knowns = []known{
	{"runc crun", "fs.umask", oracle.Leaked, "", "set to 0022 where none is asked for; config.md, User: \"unspecified\" means unchanged"},
	{"runc crun", "uts.domainname", oracle.Ignored, "", "not known to runc 1.1 and crun 0.17, which ignore what they do not know"},
	{"crun", "seccomp.filters", oracle.Stronger, "LOG", "0.17 asks for the log (SECCOMP_FILTER_FLAG_LOG) where no flags are given"},
	{"runc", "signals.ignored", oracle.Inherited, "", "1.3 passes on what its caller ignores, which 1.1 did not"},
	{"runc crun", "sched.policy", oracle.Ignored, "", "process.scheduler is not known to these versions"},
	{"runc crun", "sched.nice", oracle.Ignored, "", "process.scheduler is not known to these versions"},
	{"runc crun", "sched.ioprio", oracle.Ignored, "", "process.ioPriority is not known to these versions"},
	{"runc", "privilege.personality", oracle.Ignored, "", "not known to 1.1.5"},
	{"runc crun", "memory.policy", oracle.Ignored, "", "linux.memoryPolicy is not known to these versions"},
	{"runc crun", "memory.nodes", oracle.Ignored, "", "linux.memoryPolicy is not known to these versions"},
	{"runc crun", "linux.memoryPolicy", oracle.Weaker, "", "not known to these versions"},
	{"crun", refuses, oracle.Refused, "Broken pipe", "1.8.1 dies where a time and a pid namespace are asked for"},
	{"bwrap unshare", "files", oracle.Inherited, "", "all descriptors are passed on, by design"},
	{"bwrap unshare", "signals.ignored", oracle.Inherited, "", "dispositions are passed on, as execve does"},
	{"bwrap unshare", "signals.blocked", oracle.Inherited, "", "the mask is passed on, as execve does"},
	{"unshare", "exec.env", oracle.Inherited, "", "the environment is passed on"},
	{"unshare", "fs.root_is_mount_root", oracle.Weaker, "", "--root is chroot(2)"},
	{"unshare", "fs.root_is_mount_root", oracle.Ignored, "", "--root is chroot(2)"},
	{"firejail minijail nsjail", "signals.ignored", oracle.Inherited, "", "dispositions are passed on, as execve does"},
	{"lxc-execute minijail", "files", oracle.Inherited, "", "all descriptors are passed on"},
	{"minijail", "exec.env", oracle.Inherited, "", "the environment is passed on"},
	{"bwrap", "exec.env", oracle.Weaker, "SECRET=1", "0.4 has no --clearenv"},
	{"firejail", "exec.env", oracle.Weaker, "SECRET=1", "the environment is passed on, and added to"},
	{"systemd-nspawn podman", "fs.umask", oracle.Leaked, "", "set to 0022, or to what --umask says, and not left as the caller has it"},
	{"podman", "oom.score_adj", oracle.Leaked, "", "set to 0, or to what --oom-score-adj says, and not left as the caller has it"},
	{"nsjail", "sched.nice", oracle.Leaked, "", "set to 19, or to what --nice_level says, and not left as the caller has it"},
	{"systemd-nspawn lxc-execute", "mounts[", oracle.Weaker, "is shared", "what it mounts is shared within the namespace that it makes: a peer group of its own, and not the host's"},
	{"systemd-nspawn lxc-execute", "mounts.propagation", oracle.Weaker, "is shared", "what it mounts is shared within the namespace that it makes: a peer group of its own, and not the host's"},
	{"systemd-nspawn", "capabilities.inheritable", oracle.Leaked, "", "what it retains is inheritable, too (CVE-2022-29162 was this in runc)"},
	{"systemd-nspawn", "capabilities.inheritable", oracle.Weaker, "", "what it retains is inheritable, too (CVE-2022-29162 was this in runc)"},
	{"podman", "ids.groups", oracle.Leaked, "", "the primary group is added to the supplementary ones, since CVE-2022-2989"},
	{"podman", "ids.groups", oracle.Weaker, "", "the primary group is added to the supplementary ones, since CVE-2022-2989"},
	{"", "sched.affinity", oracle.Inherited, "", "passed on from the engine's caller (--clean)"},
	{"", "sched.nice", oracle.Inherited, "", "passed on from the engine's caller (--clean)"},
	{"", "oom.score_adj", oracle.Inherited, "", "passed on from the engine's caller (--clean)"},
	{"", "memory.coredump_filter", oracle.Inherited, "", "passed on from the engine's caller (--clean)"},
	{"", "privilege.personality", oracle.Inherited, "", "passed on from the engine's caller (--clean)"},
	{"", "fs.umask", oracle.Inherited, "", "passed on from the engine's caller (--clean)"},
}

// Explain finds what is known of a finding, or nothing.
func Explain(engine, field string, o oracle.Outcome, says string) string {
	for _, k := range knowns {
		group := strings.HasSuffix(k.field, "[") || strings.HasSuffix(k.field, ".")
		if k.outcome == o && (k.field == field || group && strings.HasPrefix(field, k.field)) && strings.Contains(says, k.says) &&
			(k.engines == "" || strings.Contains(" "+k.engines+" ", " "+engine+" ")) {
			return k.why
		}
	}
	return ""
}
