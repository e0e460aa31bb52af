package reference

var privilege = []Constraint{
	{Config: []string{"Capabilities.Bounding"}, Key: "process.capabilities.bounding", Call: "prctl PR_CAPBSET_DROP", Proof: []string{"capabilities.bounding"}},
	{
		Config: []string{"Capabilities.Permitted", "Capabilities.Effective", "Capabilities.Inheritable"}, Key: "process.capabilities", Call: "capset",
		Proof: []string{"capabilities.permitted", "capabilities.effective", "capabilities.inheritable"}, Note: "what execve makes of them",
	},
	{Config: []string{"Capabilities.Ambient"}, Key: "process.capabilities.ambient", Call: "prctl PR_CAP_AMBIENT", Proof: []string{"capabilities.ambient"}},
	{Config: []string{"Securebits"}, Key: "holdshort.securebits", Call: "prctl PR_SET_SECUREBITS", Proof: []string{"privilege.securebits"}},
	{Config: []string{"NoNewPrivs"}, Key: "process.noNewPrivileges", Call: "prctl PR_SET_NO_NEW_PRIVS", Proof: []string{"privilege.no_new_privs"}},
	{
		Config: []string{"Landlock"}, Key: "holdshort.landlock", Call: "landlock_create_ruleset, landlock_add_rule, landlock_restrict_self", Since: "5.13 (ABI 1) to 7.3 (ABI 11)",
		Proof: []string{"landlock.layers", "landlock.handled", "landlock.rules", "landlock.rule_list"}, Note: "what a layer forbids is compared, and what its rules allow on which inode and port, up to 64 rules; rules are not readable from 6.7 to 6.10, nor told apart where a file system makes inode numbers up (btrfs, overlayfs, procfs): then unknown",
	},
	{
		Config: []string{"Seccomp"}, Key: "linux.seccomp", Call: "seccomp SECCOMP_SET_MODE_FILTER", Proof: []string{"seccomp.mode", "seccomp.filter_count", "seccomp.filters"},
		Note: "the installed instructions are read where the kernel keeps them (CONFIG_CHECKPOINT_RESTORE), and simulated against the policy",
	},
	{
		Config: []string{"Filters"}, Key: "holdshort.seccomp", Call: "seccomp SECCOMP_SET_MODE_FILTER, once for each, before linux.seccomp", Proof: []string{"seccomp.filter_count", "seccomp.filters"},
		Note: "each filter of the stack is compared with its own policy",
	},
	{
		Config: []string{"Options.Notify"}, Key: "linux.seccomp.listenerPath, SCMP_ACT_NOTIFY", Call: "seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER, pidfd_getfd", Proof: []string{"seccomp.filters"},
		Note: "that the filter has a listener, not who answers; WAIT_KILLABLE_RECV: since 5.19",
	},
}
