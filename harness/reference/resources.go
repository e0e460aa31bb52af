package reference

const needsRaise = "0 nearly everywhere, and to raise it needs CAP_SYS_RESOURCE"

var resources = []Constraint{
	{Config: []string{"Cgroup.V2", "Cgroup.Create"}, Key: "linux.cgroupsPath, holdshort.cgroup.v2", Call: "clone3 CLONE_INTO_CGROUP", Since: "5.7", Proof: []string{"cgroup.v2"}},
	{Config: []string{"Cgroup.V1"}, Key: "holdshort.cgroup.v1", Call: "write cgroup.procs", Proof: []string{"cgroup.v1"}},
	{Config: []string{"Cgroup.Limits"}, Key: "linux.resources", Call: "write the files, before the clone", Proof: []string{"linux.resources."}},
	{Config: []string{"Cgroup.Limits"}, Key: "holdshort.cgroup.limits", Call: "write the files, before the clone", Proof: []string{"holdshort.cgroup.limits[]"}},
	{
		Config: []string{"Rlimits"}, Key: "process.rlimits", Call: "prlimit64", Proof: []string{"rlimits."},
		Except: map[string]string{"rlimits.nice": needsRaise, "rlimits.rtprio": needsRaise},
	},
	{Config: []string{"OOMScoreAdj"}, Key: "process.oomScoreAdj", Call: "write /proc/self/oom_score_adj", Proof: []string{"oom.score_adj"}},
	{Config: []string{"Nice"}, Key: "holdshort.nice", Call: "setpriority", Proof: []string{"sched.nice"}},
	{Config: []string{"Scheduler"}, Key: "process.scheduler", Call: "sched_setattr", Proof: []string{"sched.policy", "sched.rt_priority", "sched.reset_on_fork", "process.scheduler.deadline"}},
	{Config: []string{"Affinity"}, Key: "holdshort.affinity", Call: "sched_setaffinity", Proof: []string{"sched.affinity"}},
	{Config: []string{"IOPrio"}, Key: "process.ioPriority", Call: "ioprio_set", Proof: []string{"sched.ioprio"}},
	{Config: []string{"TimerSlack"}, Key: "holdshort.timerSlackNS", Call: "prctl PR_SET_TIMERSLACK", Proof: []string{"sched.timer_slack_ns"}},
}
