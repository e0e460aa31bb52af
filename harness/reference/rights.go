package reference

// rights are the constraints of who the workload is and what may be done to it.
var rights = []Constraint{
	{
		Config: []string{"Speculation.StoreBypass", "Speculation.IndirectBranch"}, Key: "holdshort.speculation", Call: "prctl PR_SET_SPECULATION_CTRL", Since: "4.17",
		Proof: []string{"privilege.spec_flags"},
	},
	{
		Config: []string{"Speculation.L1DFlush"}, Key: "holdshort.speculation.l1dFlush", Call: "prctl PR_SET_SPECULATION_CTRL PR_SPEC_L1D_FLUSH", Since: "5.15, with the boot option l1d_flush=on",
		Unproven: "the flag is a bit of the thread that has another number on each architecture, and /proc does not show it: asked for, the verdict is unknown",
	},
	{
		Config: []string{"PTracer"}, Key: "holdshort.ptracer", Call: "prctl PR_SET_PTRACER",
		Unproven: "Yama keeps its exceptions in a list that nobody can read: asked for, the verdict is unknown. They last through execve; `TestTracer` traces and shows it, in guests with kernel.yama.ptrace_scope=1",
	},
	{
		Config: []string{"LSM.AppArmor"}, Key: "process.apparmorProfile", Call: "write /proc/self/attr/apparmor/exec", Since: "5.8", Proof: []string{"process.apparmorProfile"},
		Note: "/proc/PID/attr/apparmor/current of the frozen workload, since the label changes at execve; a profile that only complains does not hold; refused where AppArmor is not active",
	},
	{
		Config: []string{"LSM.SELinux"}, Key: "process.selinuxLabel", Call: "write /proc/self/attr/exec", Proof: []string{"process.selinuxLabel"},
		Note: "/proc/PID/attr/current of the frozen workload; a permissive domain, or SELinux that is permissive altogether, does not hold; refused where SELinux is not active",
	},
	{Config: []string{"ProcessGroup"}, Key: "holdshort.processGroup", Call: "setpgid", Proof: []string{"process.process_group"}},
	{Config: []string{"Subreaper"}, Key: "holdshort.subreaper", Call: "prctl PR_SET_CHILD_SUBREAPER", Proof: []string{"process.child_subreaper"}},
	{
		Config: []string{"Keyring.Name", "Keyring.Permissions"}, Key: "holdshort.keyring", Call: "keyctl KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM",
		Proof: []string{"keyrings.session", "holdshort.keyring"}, Note: "name and permissions by KEYCTL_DESCRIBE while parked",
	},
	{
		Config: []string{"Options.Program", "Options.ProgramNumber"}, Key: "holdshort.program", Call: "execveat AT_EMPTY_PATH; a copy: memfd_create, F_ADD_SEALS",
		Proof: []string{"exec.exe", "exec.exe_nlink", "files"},
	},
}
