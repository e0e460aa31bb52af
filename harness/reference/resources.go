package reference

var resources = []Constraint{
	{Config: []string{"Cgroup.V2", "Cgroup.Create"}, Key: "linux.cgroupsPath, holdshort.cgroup.v2", Call: "clone3 CLONE_INTO_CGROUP", Since: "5.7", Proof: []string{"cgroup.v2"}},
	{Config: []string{"Cgroup.V1"}, Key: "holdshort.cgroup.v1", Call: "write cgroup.procs", Proof: []string{"cgroup.v1"}},
	{Config: []string{"Cgroup.Limits"}, Key: "linux.resources", Call: "write the files, before the clone", Proof: []string{"linux.resources."}},
	{Config: []string{"Cgroup.Limits"}, Key: "holdshort.cgroup.limits", Call: "write the files, before the clone", Proof: []string{"holdshort.cgroup.limits[]"}},
	{
		Config: []string{"Cgroup.Devices"}, Key: "linux.resources.devices", Call: "version 2: bpf BPF_PROG_TYPE_CGROUP_DEVICE, BPF_PROG_ATTACH; version 1: write devices.allow, devices.deny",
		Proof: []string{"linux.resources.devices"},
	},
	{Config: []string{"Cgroup.Freeze"}, Key: "holdshort.cgroup.freeze", Call: "write cgroup.freeze or freezer.state, once it is parked", Proof: []string{"holdshort.cgroup.freeze"}},
	{Config: []string{"Cgroup.Delegate"}, Key: "holdshort.cgroup.delegate", Call: "chown of the directory and of what /sys/kernel/cgroup/delegate names", Proof: []string{"holdshort.cgroup.delegate"}},
	{
		Config: []string{"Rlimits"}, Key: "process.rlimits", Call: "prlimit64", Proof: []string{"rlimits."},
	},
	{Config: []string{"OOMScoreAdj"}, Key: "process.oomScoreAdj", Call: "write /proc/self/oom_score_adj", Proof: []string{"oom.score_adj"}},
	{Config: []string{"Nice"}, Key: "holdshort.nice", Call: "setpriority", Proof: []string{"sched.nice"}},
	{Config: []string{"Scheduler"}, Key: "process.scheduler", Call: "sched_setattr", Proof: []string{"sched.policy", "sched.rt_priority", "sched.reset_on_fork", "sched.deadline_runtime_ns", "sched.deadline_ns", "sched.deadline_period_ns", "process.scheduler.deadline"}},
	{Config: []string{"Uclamp"}, Key: "holdshort.uclamp", Call: "sched_setattr SCHED_FLAG_UTIL_CLAMP", Since: "5.3, CONFIG_UCLAMP_TASK", Proof: []string{"sched.uclamp_min", "sched.uclamp_max", "holdshort.uclamp"}},
	{Config: []string{"AutogroupNice"}, Key: "holdshort.autogroupNice", Call: "write /proc/PID/autogroup, by the host", Proof: []string{"sched.autogroup_nice", "holdshort.autogroupNice"}},
	{Config: []string{"CoreSched"}, Key: "holdshort.coreSched", Call: "prctl PR_SCHED_CORE", Since: "5.14, CONFIG_SCHED_CORE", Proof: []string{"sched.core_cookie"}, Untested: "no kernel at hand has it: Debian builds none with CONFIG_SCHED_CORE"},
	{Config: []string{"IOFlusher"}, Key: "holdshort.ioFlusher", Call: "prctl PR_SET_IO_FLUSHER", Proof: []string{"process.io_flusher", "holdshort.ioFlusher"}},
	{Config: []string{"Memory.Policy"}, Key: "linux.memoryPolicy", Call: "set_mempolicy", Proof: []string{"memory.policy", "memory.nodes", "linux.memoryPolicy"}},
	{Config: []string{"Memory.THPDisable"}, Key: "holdshort.memory.thpDisable", Call: "prctl PR_SET_THP_DISABLE", Proof: []string{"memory.thp_disabled", "holdshort.memory.thpDisable"}},
	{Config: []string{"Memory.Merge"}, Key: "holdshort.memory.merge", Call: "prctl PR_SET_MEMORY_MERGE", Since: "6.4; over execve 6.7", Proof: []string{"memory.merge_any", "holdshort.memory.merge"}},
	{Config: []string{"Memory.DenyWriteExec"}, Key: "holdshort.memory.denyWriteExec", Call: "prctl PR_SET_MDWE", Since: "6.3", Proof: []string{"memory.mdwe"}},
	{Config: []string{"Affinity"}, Key: "holdshort.affinity", Call: "sched_setaffinity", Proof: []string{"sched.affinity"}},
	{Config: []string{"IOPrio"}, Key: "process.ioPriority", Call: "ioprio_set", Proof: []string{"sched.ioprio"}},
	{Config: []string{"TimerSlack"}, Key: "holdshort.timerSlackNS", Call: "prctl PR_SET_TIMERSLACK", Proof: []string{"sched.timer_slack_ns"}},
}
