package oracle

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
)

func TestSeccompExpected(t *testing.T) {
	const (
		filter = `{"defaultAction":"SCMP_ACT_ALLOW"}`
		one    = `{"instructions":[{"code":6,"jt":0,"jf":0,"k":2147418112}]}`
		caller = `{"instructions":[{"code":6,"jt":0,"jf":0,"k":5}]}`
	)
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept seccomp.mode: 0 equal, 2 leaked
			kept seccomp.filter_count: 0 equal, 1 leaked
			kept seccomp.filters: [] equal, [` + one + `] leaked
			kept seccomp.armed: false equal, true leaked (which is off)`},
		"one": {ask: `{"linux":{"seccomp":` + filter + `}}`, seen: `{"seccomp":{"mode":2}}`, lines: `
			requested seccomp.mode: 2 equal, 0 ignored, 1 weaker
			requested seccomp.filter_count: 1 equal, 0 ignored, 2 stronger
			requested seccomp.filters: [` + one + `] equal, [] ignored (no filter was added), [` + one + `,` + one + `] stronger (2 filters were added, not 1), [{"instructions":null,"instructions_unreadable":"why not"}] unobservable (filter 0: why not)
			requested seccomp.armed: true equal, false weaker (do not go through seccomp)`},
		"the mode is not known": {seen: `{"seccomp":{"mode":{"unreadable":"x"}}}`, lines: `
			kept seccomp.armed: true unobservable (the mode was not read)`},
		"on top of the caller's": {
			ask:    `{"linux":{"seccomp":` + filter + `},"holdshort":{"seccomp":[` + filter + `,` + filter + `]}}`,
			caller: `{"seccomp":{"mode":2,"filter_count":1,"filters":[` + caller + `],"armed":true}}`, lines: `
			requested seccomp.mode: 2 equal, 0 weaker
			requested seccomp.filter_count: 4 equal, 1 ignored, 3 weaker, 5 stronger
			requested seccomp.filters: [` + one + `,` + one + `,` + one + `,` + caller + `] equal, [` + caller + `] ignored, [] weaker (0 filters, the caller has 1), [` + one + `,` + caller + `] weaker (1 of 3 filters were added), [` + one + `,` + one + `,` + one + `,` + one + `] leaked (beneath)`,
		},
		"the caller's were not read": {
			ask:    `{"linux":{"seccomp":` + filter + `}}`,
			caller: `{"seccomp":{"filter_count":1,"filters":{"unreadable":"x"}}}`, lines: `
			requested seccomp.filter_count: 2 equal
			requested seccomp.filters: [` + one + `,` + caller + `] unobservable (the caller's filters are not known)`,
		},
		"the caller has none to be read": {
			ask:    `{"linux":{"seccomp":` + filter + `}}`,
			caller: `{"seccomp":{"filters":{"unreadable":"x"}}}`, lines: `
			requested seccomp.filters: [` + one + `] equal, [] ignored`,
		},
		"the caller's were not counted": {
			ask:    `{"linux":{"seccomp":` + filter + `}}`,
			caller: `{"seccomp":{"filter_count":{"unreadable":"x"},"filters":{"unreadable":"x"}}}`, lines: `
			requested seccomp.filter_count: 1 unobservable (were not counted)
			requested seccomp.filters: [` + one + `] unobservable (the caller's filters are not known)`,
		},
		"no judge": {
			ask: `{"linux":{"seccomp":` + filter + `}}`, feat: `{"Seccomp":null}`, lines: `
			requested seccomp.filters: [` + one + `] unobservable (no judge), [] ignored`,
		},
	})
	for ask, want := range map[string]string{
		`{"linux":{"seccomp":` + filter + `},"holdshort":{"seccomp":[` + filter + `]}}`: "linux.seccomp",
		`{"holdshort":{"seccomp":[` + filter + `]}}`:                                    "holdshort.seccomp",
	} {
		if got := (launch{ask: ask}).expectation(t).Source(SeccompFilters); got != want {
			t.Errorf("%s: from %s", ask, got)
		}
	}
}

func TestCgroups(t *testing.T) {
	const (
		moved = `[{"controller":"cpu","id":11},{"controller":"memory","id":99}]`
		here  = `[{"controller":"cpu","id":11},{"controller":"memory","id":12}]`
	)
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept cgroup.v2: 100 equal, 4711 leaked
			kept cgroup.v1: ` + here + ` equal, ` + moved + ` leaked
			promised cgroup.frozen: false equal, true leaked`},
		"version 2": {ask: `{"holdshort":{"cgroup":{"v2":"/sys/fs/cgroup/x"}}}`, lines: `
			requested cgroup.v2: 4711 equal, 100 ignored, 1 weaker
			kept cgroup.v1: ` + here + ` equal, ` + moved + ` leaked`},
		"version 1": {ask: `{"holdshort":{"cgroup":{"v1":{"memory":"/sys/fs/cgroup/memory/x"}}}}`, lines: `
			kept cgroup.v2: 100 equal, 4711 leaked
			requested cgroup.v1: ` + moved + ` equal, ` + here + ` ignored, [] weaker`},
		"version 1, the first of the caller's": {
			ask: `{"holdshort":{"cgroup":{"v1":{"cpu":"/sys/fs/cgroup/cpu/x"}}}}`, facts: `{"CgroupV1":[{"controller":"cpu","id":99}]}`, lines: `
			requested cgroup.v1: [{"controller":"cpu","id":99},{"controller":"memory","id":12}] equal, ` + here + ` ignored`,
		},
		"version 1, which the launch does not tell": {
			ask: `{"holdshort":{"cgroup":{"v1":{"memory":"/sys/fs/cgroup/memory/x"}}}}`, facts: `{"CgroupV1":[]}`, lines: `
			requested cgroup.v1: ` + here + ` unobservable (only the launch can tell)`,
		},
		"version 1, a controller that the caller does not have": {
			ask: `{"holdshort":{"cgroup":{"v1":{"memory":"/sys/fs/cgroup/memory/x"}}}}`, facts: `{"CgroupV1":[{"controller":"pids","id":3}]}`, lines: `
			requested cgroup.v1: ` + here + ` unobservable (only the launch can tell)`,
		},
		"version 1, of a caller that was not read": {
			ask: `{"holdshort":{"cgroup":{"v1":{"memory":"/sys/fs/cgroup/memory/x"}}}}`, caller: `{"cgroup":{"v1":{"unreadable":"x"}}}`, lines: `
			requested cgroup.v1: ` + here + ` unobservable (only the launch can tell)`,
		},
		"both": {ask: `{"holdshort":{"cgroup":{"v2":"/sys/fs/cgroup/x","v1":{"memory":"/sys/fs/cgroup/memory/x"}}}}`, lines: `
			requested cgroup.v2: 4711 equal, 100 ignored
			requested cgroup.v1: ` + moved + ` equal, ` + here + ` ignored`},
		"a path on version 2": {ask: `{"linux":{"cgroupsPath":"/x"}}`, feat: `{"CgroupV2":true}`, lines: `
			requested cgroup.v2: 4711 equal, 100 ignored
			kept cgroup.v1: ` + here + ` equal`},
		"a path on version 1": {ask: `{"linux":{"cgroupsPath":"/x"}}`, feat: `{"CgroupV1":["memory"]}`, lines: `
			kept cgroup.v2: 100 equal
			requested cgroup.v1: ` + moved + ` equal, ` + here + ` ignored`},
	})
}

func TestRlimits(t *testing.T) {
	const secure = `{"Program":{"SetUID":33}}`
	stack := func(soft string) string {
		return `{"process":{"rlimits":[{"type":"RLIMIT_STACK","soft":` + soft + `,"hard":16777216}]}}`
	}
	judge(t, map[string]launch{
		"one": {ask: `{"process":{"rlimits":[{"type":"RLIMIT_NOFILE","soft":64,"hard":128}]}}`, lines: `
			requested rlimits.nofile: {"soft":64,"hard":128} equal, {"soft":8192,"hard":1048576} ignored, {"soft":65,"hard":128} weaker, {"soft":64,"hard":129} weaker, {"soft":63,"hard":128} stronger, {"soft":64,"hard":127} stronger, {"soft":63,"hard":129} weaker, {"soft":65,"hard":127} weaker
			kept rlimits.cpu: {"soft":1024,"hard":1048576} equal, {"soft":1023,"hard":1048576} leaked
			kept rlimits.rttime: {"soft":16384,"hard":1048576} equal, {"soft":0,"hard":0} leaked`},
		"the caller's are not known": {
			ask:    `{"process":{"rlimits":[{"type":"RLIMIT_FSIZE","soft":64,"hard":128},{"type":"RLIMIT_RTTIME","soft":4,"hard":5}]}}`,
			caller: `{"rlimits":{"unreadable":"x"}}`, lines: `
			requested rlimits.fsize: {"soft":64,"hard":128} equal, {"soft":65,"hard":128} weaker
			requested rlimits.rttime: {"soft":4,"hard":5} equal, {"soft":5,"hard":5} weaker
			kept rlimits.cpu: {"soft":0,"hard":0} unobservable (the caller's limits were not read), {"soft":7,"hard":7} unobservable
			kept rlimits.data: {"soft":0,"hard":0} unobservable (the caller's limits were not read)
			kept rlimits.rtprio: {"soft":0,"hard":0} unobservable (the caller's limits were not read)
			promised cgroup.frozen: false equal, true leaked
			kept oom.score_adj: 0 equal, 1 leaked
			kept namespaces.user: {"inode":4026531837} equal`,
		},
		"the first one, and the caller's are not known": {
			ask:    `{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":64,"hard":128}]}}`,
			caller: `{"rlimits":{"unreadable":"x"}}`, lines: `
			requested rlimits.cpu: {"soft":64,"hard":128} equal, {"soft":65,"hard":128} weaker
			kept rlimits.rttime: {"soft":0,"hard":0} unobservable (the caller's limits were not read)`,
		},
		"none, and the caller's are not known": {caller: `{"rlimits":{"unreadable":"x"}}`, lines: `
			kept rlimits.cpu: {"soft":0,"hard":0} unobservable (the caller's is not known)`},
		"a large stack": {ask: stack("8388609"), lines: `
			requested rlimits.stack: {"soft":8388609,"hard":16777216} equal, {"soft":8388608,"hard":16777216} stronger`},
		"a large stack of a secure program": {ask: stack("8388609"), feat: secure, lines: `
			requested rlimits.stack: {"soft":8388608,"hard":16777216} equal, {"soft":8388609,"hard":16777216} weaker`},
		"the usual stack of a secure program": {ask: stack("8388608"), feat: secure, lines: `
			requested rlimits.stack: {"soft":8388608,"hard":16777216} equal`},
		"a small stack of a secure program": {ask: stack("4096"), feat: secure, lines: `
			requested rlimits.stack: {"soft":4096,"hard":16777216} equal, {"soft":8388608,"hard":16777216} weaker`},
	})
	var all []string
	for _, name := range []string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"} {
		all = append(all, `{"type":"RLIMIT_`+name+`","soft":1,"hard":2}`)
	}
	launch{ask: `{"process":{"rlimits":[` + strings.Join(all, ",") + `]}}`, caller: `{"rlimits":{"unreadable":"x"}}`, lines: `
		requested rlimits.cpu: {"soft":1,"hard":2} equal, {"soft":2,"hard":2} weaker
		requested rlimits.rttime: {"soft":1,"hard":2} equal`}.judge(t)
}

func TestOOM(t *testing.T) {
	const ask = `{"process":{"oomScoreAdj":100}}`
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept oom.score_adj: 0 equal, 100 leaked
			kept oom.score_adj_min: 0 equal, 100 leaked`},
		"with CAP_SYS_RESOURCE": {ask: ask, lines: `
			requested oom.score_adj: 100 equal, 0 ignored, 99 weaker, 101 stronger
			implied oom.score_adj_min: 100 equal, 0 inherited, 99 leaked`},
		"without": {ask: ask, caller: `{"capabilities":{"effective":2199006478335}}`, lines: `
			requested oom.score_adj: 100 equal
			implied oom.score_adj_min: 0 equal, 100 leaked`},
		"in a user namespace": {ask: ask, caller: `{"user_namespace":{"parent":4026531837}}`, lines: `
			implied oom.score_adj_min: 0 equal, 100 leaked`},
		"in a new user namespace": {ask: `{"process":{"oomScoreAdj":100},"linux":{"namespaces":[{"type":"user"}]}}`, lines: `
			implied oom.score_adj_min: 0 equal, 100 leaked`},
		"the caller's capabilities are not known": {ask: ask, caller: `{"capabilities":{"effective":{"unreadable":"x"}}}`, lines: `
			implied oom.score_adj_min: 0 unobservable (of the caller were not read)`},
		"the caller's user namespace is not known": {ask: ask, caller: `{"user_namespace":{"parent":{"unreadable":"x"}}}`, lines: `
			implied oom.score_adj_min: 0 unobservable (of the caller were not read)`},
	})
}

func TestSched(t *testing.T) {
	const reset = `"reset_on_fork":true`
	judge(t, map[string]launch{
		"nothing": {caller: `{"sched":{"policy":1,"rt_priority":7,"nice":-3,"ioprio":8}}`, lines: `
			kept sched.policy: 1 equal, 0 leaked
			kept sched.nice: -3 equal, 0 leaked
			kept sched.rt_priority: 7 equal, 0 leaked
			kept sched.reset_on_fork: false equal, true leaked
			kept sched.affinity: [15] equal, [15,0] equal, [7] leaked, [15,1] leaked
			kept sched.ioprio: 8 equal, 0 leaked
			kept sched.timer_slack_ns: 50000 equal, 0 leaked
			kept sched.autogroup: 12 equal, 13 leaked
			kept sched.autogroup_nice: 0 equal, 1 leaked
			promised sched.deadline_runtime_ns: 0 equal, 1 leaked
			promised sched.deadline_ns: 0 equal, 1 leaked
			promised sched.deadline_period_ns: 0 equal, 1 leaked
			kept sched.uclamp_min: {"value":0} equal, {"value":1} leaked
			kept sched.uclamp_max: {"value":1024} equal, {"value":1024,"user":true} leaked`},
		"nice": {ask: `{"holdshort":{"nice":5}}`, lines: `
			requested sched.nice: 5 equal, 0 ignored, 4 weaker, 6 stronger
			kept sched.policy: 0 equal`},
		"batch": {ask: `{"process":{"scheduler":{"policy":"SCHED_BATCH","nice":5}}}`, lines: `
			requested sched.policy: 3 equal, 0 ignored, 1 weaker
			requested sched.nice: 5 equal, 0 ignored
			requested sched.rt_priority: 0 equal, 1 weaker
			requested sched.reset_on_fork: false equal, true stronger`},
		"other, of a caller that is nice": {ask: `{"process":{"scheduler":{"policy":"SCHED_OTHER"}}}`, caller: `{"sched":{"nice":3}}`, lines: `
			requested sched.policy: 0 equal
			requested sched.nice: 0 equal, 3 ignored`},
		"batch, and nice by another name": {ask: `{"process":{"scheduler":{"policy":"SCHED_BATCH"}},"holdshort":{"nice":4}}`, lines: `
			requested sched.nice: 4 equal, 0 ignored`},
		"idle": {ask: `{"process":{"scheduler":{"policy":"SCHED_IDLE"}}}`, caller: `{"sched":{"nice":3}}`, lines: `
			requested sched.policy: 5 equal
			kept sched.nice: 3 equal, 0 leaked`},
		"fifo": {ask: `{"process":{"scheduler":{"policy":"SCHED_FIFO","priority":10,"flags":["SCHED_FLAG_RESET_ON_FORK"]}}}`, lines: `
			requested sched.policy: 1 equal
			requested sched.rt_priority: 10 equal, 0 ignored, 11 weaker, 9 stronger
			requested sched.reset_on_fork: true equal, false ignored
			kept sched.nice: 0 equal
			kept sched.timer_slack_ns: 50000 equal, 0 leaked`},
		"two flags": {ask: `{"process":{"scheduler":{"policy":"SCHED_DEADLINE","runtime":10,"deadline":20,"period":30,"flags":["SCHED_FLAG_RESET_ON_FORK","SCHED_FLAG_RECLAIM"]}}}`, lines: `
			requested sched.reset_on_fork: true equal, false ignored`},
		"another flag": {ask: `{"process":{"scheduler":{"policy":"SCHED_DEADLINE","runtime":10,"deadline":20,"period":30,"flags":["SCHED_FLAG_RECLAIM"]}}}`, lines: `
			requested sched.reset_on_fork: false equal, true stronger`},
		"no timer slack for realtime": {
			ask: `{"process":{"scheduler":{"policy":"SCHED_RR","priority":10}}}`, feat: `{"SlackFollowsPolicy":true}`, lines: `
			requested sched.policy: 2 equal
			kept sched.timer_slack_ns: 0 equal, 50000 leaked`,
		},
		"no timer slack for fifo, asked for": {
			ask: `{"process":{"scheduler":{"policy":"SCHED_FIFO","priority":10}},"holdshort":{"timerSlackNS":9}}`, feat: `{"SlackFollowsPolicy":true}`, lines: `
			requested sched.timer_slack_ns: 0 equal, 9 weaker`,
		},
		"no timer slack for the caller's deadline": {caller: `{"sched":{"policy":6}}`, feat: `{"SlackFollowsPolicy":true}`, lines: `
			kept sched.timer_slack_ns: 0 equal`},
		"timer slack for batch": {
			ask: `{"process":{"scheduler":{"policy":"SCHED_BATCH"}}}`, feat: `{"SlackFollowsPolicy":true}`, lines: `
			kept sched.timer_slack_ns: 50000 equal, 0 leaked`,
		},
		"timer slack where the policy is not known": {caller: `{"sched":{"policy":{"unreadable":"x"}}}`, feat: `{"SlackFollowsPolicy":true}`, lines: `
			kept sched.timer_slack_ns: 50000 equal`},
		"timer slack": {ask: `{"holdshort":{"timerSlackNS":1000}}`, lines: `
			requested sched.timer_slack_ns: 1000 equal, 50000 ignored, 999 weaker`},
		"timer slack, the default": {ask: `{"holdshort":{"timerSlackNS":0}}`, lines: `
			requested sched.timer_slack_ns: 50000 equal, 0 weaker`},
		"the caller's is reset on fork: fifo": {caller: `{"sched":{"policy":1,"rt_priority":7,"nice":3,` + reset + `}}`, lines: `
			implied sched.reset_on_fork: false equal, true inherited
			implied sched.policy: 0 equal, 1 inherited
			implied sched.rt_priority: 0 equal, 7 inherited
			implied sched.nice: 0 equal, 3 inherited`},
		"the caller's is reset on fork: rr":       {caller: `{"sched":{"policy":2,` + reset + `}}`, lines: `implied sched.policy: 0 equal, 2 inherited`},
		"the caller's is reset on fork: deadline": {caller: `{"sched":{"policy":6,` + reset + `}}`, lines: `implied sched.policy: 0 equal, 6 inherited`},
		"the caller's is reset on fork: not nice": {caller: `{"sched":{"policy":3,"nice":-1,` + reset + `}}`, lines: `
			kept sched.policy: 3 equal, 0 leaked
			implied sched.nice: 0 equal, -1 inherited`},
		"the caller's is reset on fork: nice": {caller: `{"sched":{"policy":3,"nice":1,` + reset + `}}`, lines: `
			kept sched.policy: 3 equal
			kept sched.nice: 1 equal, 0 leaked`},
		"the caller's is reset on fork: as nice as others": {caller: `{"sched":{"policy":3,` + reset + `}}`, lines: `
			kept sched.nice: 0 equal, 1 leaked`},
		"a cookie": {ask: `{"holdshort":{"coreSched":true}}`, lines: `
			requested sched.core_cookie: 5 equal, 0 ignored`},
		"the caller's is reset on fork, and not known": {caller: `{"sched":{"policy":1,"nice":{"unreadable":"x"},` + reset + `}}`, lines: `
			implied sched.policy: 1 unobservable (policy or nice), 0 unobservable
			implied sched.rt_priority: 0 unobservable
			implied sched.nice: 0 unobservable`},
		"the caller's is reset on fork, and not known either": {caller: `{"sched":{"policy":{"unreadable":"x"},"nice":-4,` + reset + `}}`, lines: `
			implied sched.policy: 1 unobservable (policy or nice)
			implied sched.nice: -4 unobservable`},
		"whether the caller's is reset on fork is not known": {caller: `{"sched":{"policy":1,"reset_on_fork":{"unreadable":"x"}}}`, lines: `
			kept sched.policy: 1 equal`},
		"input and output": {ask: `{"process":{"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":6}}}`, lines: `
			requested sched.ioprio: 16390 equal, 0 ignored, 6 weaker, 16384 weaker`},
		"deadline": {ask: `{"process":{"scheduler":{"policy":"SCHED_DEADLINE","runtime":10,"deadline":20,"period":30}}}`, lines: `
			requested sched.policy: 6 equal
			requested sched.deadline_runtime_ns: 10 equal, 0 ignored, 11 weaker, 9 stronger
			requested sched.deadline_ns: 20 equal, 0 ignored, 21 weaker
			requested sched.deadline_period_ns: 30 equal, 0 ignored, 31 weaker
			implied sched.uclamp_min: {"value":0} equal, {"value":1} leaked`},
	})
}

func TestAffinity(t *testing.T) {
	const cpuset = `"linux":{"cgroupsPath":"/x","resources":`
	judge(t, map[string]launch{
		"asked for": {ask: `{"holdshort":{"affinity":[0,1]}}`, lines: `
			requested sched.affinity: [3] equal, [15] ignored, [1] stronger, [7] weaker, [3,1] weaker`},
		"asked for, within a cpuset": {ask: `{"holdshort":{"affinity":[0,1]}}`, feat: `{"CPUs":[6]}`, lines: `
			requested sched.affinity: [2] equal, [3] weaker, [15] ignored`},
		"asked for, within a smaller cpuset": {ask: `{"holdshort":{"affinity":[0,65]}}`, feat: `{"CPUs":[3]}`, lines: `
			requested sched.affinity: [1] equal, [1,2] weaker`},
		"asked for, within a larger cpuset": {ask: `{"holdshort":{"affinity":[0,65]}}`, feat: `{"CPUs":[3,3,3]}`, lines: `
			requested sched.affinity: [1,2] equal, [1] stronger`},
		"of the process": {ask: `{"process":{"execCPUAffinity":{"final":"1-2"}}}`, lines: `
			requested sched.affinity: [6] equal, [15] ignored, [7] weaker, [2] stronger`},
		"of the process, within a cpuset": {ask: `{"process":{"execCPUAffinity":{"final":"1-2"}}}`, feat: `{"CPUs":[3]}`, lines: `
			requested sched.affinity: [2] equal, [6] weaker`},
		"of the process, and the last word": {ask: `{"process":{"execCPUAffinity":{"final":"1-2"}},"holdshort":{"affinity":[0]}}`, lines: `
			requested sched.affinity: [1] equal, [6] weaker`},
		"moved by version 1": {ask: `{"holdshort":{"cgroup":{"v1":{"cpuset":"/c"}}}}`, feat: `{"CPUs":[6]}`, lines: `
			requested sched.affinity: [6] equal, [2] equal, [7] weaker, [15] ignored`},
		"moved by version 1, within what is not known": {ask: `{"holdshort":{"cgroup":{"v1":{"cpuset":"/c"}}}}`, lines: `
			implied sched.affinity: [6] unobservable (are not known)`},
		"not moved": {ask: `{"holdshort":{"cgroup":{"v1":{"memory":"/c"}}}}`, feat: `{"CPUs":[6]}`, lines: `
			kept sched.affinity: [15] equal, [6] leaked`},
		"moved by a path": {ask: `{"linux":{"cgroupsPath":"/x"}}`, feat: `{"CPUs":[6],"CgroupV1":["cpuset"]}`, lines: `
			requested sched.affinity: [6] equal, [15] ignored`},
		"not moved by a path": {ask: `{"linux":{"cgroupsPath":"/x"}}`, feat: `{"CPUs":[6],"CgroupV1":["memory"]}`, lines: `
			kept sched.affinity: [15] equal, [6] leaked`},
		"not moved by a path that nobody asked for": {feat: `{"CPUs":[6],"CgroupV1":["cpuset"]}`, lines: `
			kept sched.affinity: [15] equal, [6] leaked`},
		"moved by a limit": {ask: `{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"cpuset.mems","value":"0"}]}}}`, feat: `{"CPUs":[6]}`, lines: `
			requested sched.affinity: [6] equal, [15] ignored`},
		"not moved by another limit": {ask: `{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"cpu.max","value":"0"}]}}}`, feat: `{"CPUs":[6]}`, lines: `
			kept sched.affinity: [15] equal`},
		"moved by memory nodes": {ask: `{` + cpuset + `{"cpu":{"mems":"0"}}}}`, feat: `{"CPUs":[6],"CgroupV2":true}`, lines: `
			requested sched.affinity: [6] equal, [15] ignored`},
		"not moved by shares": {ask: `{` + cpuset + `{"cpu":{"shares":7}}}}`, feat: `{"CPUs":[6],"CgroupV2":true}`, lines: `
			kept sched.affinity: [15] equal, [6] leaked`},
		"not moved by memory": {ask: `{` + cpuset + `{"memory":{"limit":7}}}}`, feat: `{"CPUs":[6],"CgroupV2":true}`, lines: `
			kept sched.affinity: [15] equal, [6] leaked`},
		"moved by a file": {ask: `{` + cpuset + `{"unified":{"cpuset.mems":"0"}}}}`, feat: `{"CPUs":[6],"CgroupV2":true}`, lines: `
			requested sched.affinity: [6] equal, [15] ignored`},
		"not moved by another file": {ask: `{` + cpuset + `{"unified":{"cpu.weight":"7"}}}}`, feat: `{"CPUs":[6],"CgroupV2":true}`, lines: `
			kept sched.affinity: [15] equal, [6] leaked`},
		"the list of CPUs": {ask: `{` + cpuset + `{"cpu":{"cpus":"1-2"}}}}`, feat: `{"CPUs":[5],"CgroupV2":true}`, lines: `
			requested sched.affinity: [4] equal, [6] weaker, [15] ignored`},
		"the list of CPUs, and nothing is known": {ask: `{` + cpuset + `{"cpu":{"cpus":"1-2"}}}}`, feat: `{"CgroupV2":true}`, lines: `
			requested sched.affinity: [6] equal, [2] equal, [15] ignored`},
		"the list of CPUs twice": { // the file is written last
			ask: `{` + cpuset + `{"cpu":{"cpus":"1-2"},"unified":{"cpuset.cpus":"0"}}}}`, feat: `{"CgroupV2":true}`, lines: `
			requested sched.affinity: [1] equal, [6] weaker`,
		},
		"the list of CPUs is empty": {ask: `{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"cpuset.cpus","value":""}]}}}`, feat: `{"CPUs":[6]}`, lines: `
			requested sched.affinity: [6] equal, [15] ignored`},
		"no list of CPUs in other files": {ask: `{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"cpuset.mems","value":"1"}]}}}`, feat: `{"CPUs":[6]}`, lines: `
			requested sched.affinity: [6] equal, [4] equal`},
	})
	for ask, want := range map[string]string{
		`{"holdshort":{"affinity":[0]}}`:                                                     "holdshort.affinity",
		`{"holdshort":{"cgroup":{"v1":{"cpuset":"/c"}}}}`:                                    "holdshort.cgroup",
		`{` + cpuset + `{"cpu":{"mems":"0"}}}}`:                                              "linux.resources.cpu",
		`{` + cpuset + `{"cpu":{"cpus":"0"}}}}`:                                              "linux.resources.cpu.cpus",
		`{` + cpuset + `{"unified":{"cpuset.cpus":"0"}}}}`:                                   "linux.resources.unified",
		`{` + cpuset + `{"unified":{"cpuset.mems":"0"}}}}`:                                   "linux.resources.unified",
		`{"linux":{"cgroupsPath":"/x"}}`:                                                     "linux.cgroupsPath",
		`{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"cpuset.mems","value":"1"}]}}}`: "holdshort.cgroup",
		`{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"cpuset.cpus","value":"1"}]}}}`: "holdshort.cgroup.limits",
	} {
		if got := (launch{ask: ask, feat: `{"CPUs":[6],"CgroupV2":true,"CgroupV1":["cpuset"]}`}).expectation(t).Source(SchedAffinity); got != want {
			t.Errorf("%s: from %s, want %s", ask, got, want)
		}
	}
}

func TestSignals(t *testing.T) {
	judge(t, map[string]launch{
		"nothing": {lines: `
			promised signals.blocked: 0 equal, 65536 inherited, 1 leaked
			promised signals.ignored: 0 equal, 4096 inherited, 1 leaked
			promised signals.pending: 0 equal, 1 leaked`},
		"asked for": {ask: `{"holdshort":{"blockSignals":["USR1","SIGHUP"],"ignoreSignals":[64]}}`, lines: `
			requested signals.blocked: 513 equal, 65536 ignored, 1 stronger, 515 weaker
			requested signals.ignored: 9223372036854775808 equal, 4096 ignored, 0 stronger, 9223372036854775809 weaker`},
		"those of the harness may be pending": {facts: `{"Signals":16384}`, lines: `
			promised signals.pending: 0 equal, 16384 equal, 16385 leaked`},
		"some may be ignored": {ask: `{"holdshort":{"ignoreSignals":["HUP"]}}`, facts: `{"Ignorable":8192}`, lines: `
			requested signals.ignored: 1 equal, 8193 equal, 3 weaker, 0 stronger
			promised signals.blocked: 0 equal, 8192 leaked`},
		"some may be ignored, and are asked for": {ask: `{"holdshort":{"ignoreSignals":["HUP"]}}`, facts: `{"Ignorable":1}`, lines: `
			requested signals.ignored: 1 equal, 0 equal, 2 weaker`},
	})
}

func TestProcess(t *testing.T) {
	judge(t, map[string]launch{
		"nothing": {lines: `
			implied process.pid: 1234 equal, 900 inherited, 17 leaked
			implied process.pid_inside: 1234 equal, 900 inherited, 17 leaked
			implied process.parent: 900 equal, 800 inherited, 1 leaked
			promised process.tracer: 0 equal, 5 leaked
			kept process.session: 700 equal, 1234 leaked
			kept process.process_group: 701 equal, 1234 leaked
			promised process.session_leader: false equal, true inherited
			kept process.tty: {"major":136,"minor":3} equal, {"major":0,"minor":0} leaked
			promised process.child_subreaper: false equal, true inherited
			promised process.threads: 1 equal, 9 inherited, 2 leaked
			promised process.syscall_user_dispatch: false equal, true leaked
			promised process.shadow_stack: 0 equal, 1 leaked
			promised process.io_uring: false equal, true leaked
			kept process.io_uring_restricted: false equal, true leaked
			kept process.mce_kill: "default" equal, "early" leaked
			kept process.io_flusher: false equal, true leaked`},
		"the launch does not tell": {facts: `{"PID":{"unreadable":"x"},"PIDInside":{"unreadable":"y"},"Parent":{"unreadable":"z"}}`, lines: `
			implied process.pid: 1234 unobservable (x)
			implied process.pid_inside: 1234 unobservable (x)
			implied process.parent: 900 unobservable (z)`},
		"in a pid namespace": {caller: `{"namespaces":{"pid_for_children":{"inode":4,"level":1}}}`, lines: `
			implied process.pid_inside: 17 equal, 1234 leaked`},
		"a caller with two numbers": {caller: `{"process":{"pid_inside":3}}`, lines: `
			implied process.pid_inside: 17 equal, 1234 leaked`},
		"a caller whose number is not known": {caller: `{"process":{"pid":{"unreadable":"x"},"pid_inside":0}}`, lines: `
			implied process.pid_inside: 17 equal, 1234 leaked`},
		"a caller whose number inside is not known": {caller: `{"process":{"pid":0,"pid_inside":{"unreadable":"x"}}}`, lines: `
			implied process.pid_inside: 17 equal, 1234 leaked`},
		"a caller whose namespace is not known": {caller: `{"namespaces":{"pid_for_children":{"unreadable":"x"}}}`, lines: `
			implied process.pid_inside: 17 equal, 1234 leaked`},
		"a new pid namespace": {ask: `{"linux":{"namespaces":[{"type":"pid"}]}}`, lines: `
			requested process.pid_inside: 1 equal, 900 ignored, 2 weaker`},
		"a new pid namespace with an init": {ask: `{"linux":{"namespaces":[{"type":"pid"}]},"holdshort":{"init":true}}`, lines: `
			requested process.pid_inside: 2 equal, 900 ignored, 1 weaker`},
		"a joined pid namespace": {ask: `{"linux":{"namespaces":[{"type":"pid","path":"/n"}]}}`, lines: `
			implied process.pid_inside: 17 equal, 900 inherited, 1234 leaked`},
		"a process group": {ask: `{"holdshort":{"processGroup":true}}`, lines: `
			kept process.session: 700 equal, 1234 leaked
			requested process.process_group: 1234 equal, 701 ignored, 5 weaker
			promised process.session_leader: false equal`},
		"a session": {ask: `{"holdshort":{"session":true}}`, caller: `{"sched":{"autogroup_nice":4}}`, lines: `
			requested process.session: 1234 equal, 700 ignored, 5 weaker
			requested process.process_group: 1234 equal, 701 ignored, 5 weaker
			requested process.session_leader: true equal, false weaker
			implied process.tty: {"major":0,"minor":0} equal, {"major":136,"minor":3} inherited, {"major":136,"minor":9} leaked
			implied sched.autogroup: 13 equal, 12 inherited
			implied sched.autogroup_nice: 0 equal, 4 inherited`},
		"a session, the caller's group of tasks is not known": {ask: `{"holdshort":{"session":true}}`, caller: `{"sched":{"autogroup":{"unreadable":"x"}}}`, lines: `
			implied sched.autogroup: 13 unobservable (cannot be told apart)`},
		"a terminal": {ask: `{"process":{"terminal":true}}`, lines: `
			requested process.session: 1234 equal, 700 ignored
			requested process.process_group: 1234 equal, 701 ignored
			requested process.session_leader: true equal, false weaker
			requested process.tty: {"major":136,"minor":9} equal, {"major":136,"minor":3} ignored, {"major":0,"minor":0} weaker
			implied sched.autogroup: 13 equal, 12 inherited`},
		"a subreaper": {ask: `{"holdshort":{"subreaper":true}}`, caller: `{"process":{"child_subreaper":false}}`, lines: `
			requested process.child_subreaper: true equal, false ignored`},
	})
	for ask, want := range map[string]string{`{"process":{"terminal":true}}`: "process.terminal", `{"holdshort":{"session":true}}`: "holdshort.session"} {
		if got := (launch{ask: ask}).expectation(t).Source(SchedAutogroup); got != want {
			t.Errorf("%s: from %s, want %s", ask, got, want)
		}
	}
}

func TestFS(t *testing.T) {
	const mnt = `"linux":{"namespaces":[{"type":"mount"}]}`
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept fs.umask: 18 equal, 0 leaked
			kept fs.root: {"dev":1,"ino":2} equal, {"dev":5,"ino":6} leaked
			kept fs.cwd: {"dev":1,"ino":3} equal, {"dev":5,"ino":7} leaked
			kept fs.cwd_under_root: true equal, false leaked
			kept fs.root_is_mount_root: true equal, false leaked
			kept fs.root_read_only: false equal, true leaked
			kept fs.root_propagation: "private" equal, "shared" leaked`},
		"umask": {ask: `{"process":{"user":{"umask":63}}}`, lines: `
			requested fs.umask: 63 equal, 18 ignored, 0 weaker, 62 weaker, 127 stronger`},
		"umask of 0": {ask: `{"process":{"user":{"umask":0}}}`, lines: `
			requested fs.umask: 0 equal, 18 ignored, 2 stronger`},
		"cwd": {ask: `{"process":{"cwd":"/tmp"}}`, caller: `{"fs":{"cwd_under_root":false}}`, lines: `
			requested fs.cwd: {"dev":5,"ino":7} equal, {"dev":1,"ino":3} ignored, {"dev":5,"ino":6} weaker
			requested fs.cwd_under_root: true equal, false ignored
			kept fs.root: {"dev":1,"ino":2} equal`},
		"cwd, which the launch does not tell": {ask: `{"process":{"cwd":"/tmp"}}`, facts: `{"Cwd":{"unreadable":"x"}}`, lines: `
			requested fs.cwd: {"dev":5,"ino":6} unobservable (x)`},
		"a root": {ask: `{"root":{"path":"/r"},` + mnt + `}`, caller: `{"fs":{"root_is_mount_root":false}}`, facts: `{"Cwd":{"unreadable":"x"}}`, lines: `
			requested fs.root: {"dev":5,"ino":6} equal, {"dev":1,"ino":2} ignored, {"dev":5,"ino":7} weaker
			requested fs.root_is_mount_root: true equal, false ignored
			implied fs.root_read_only: false unobservable (not determined), true unobservable
			implied fs.cwd: {"dev":5,"ino":6} equal, {"dev":1,"ino":3} inherited
			implied fs.cwd_under_root: true equal, false leaked`},
		"a root, and a cwd that is told": {ask: `{"root":{"path":"/r"},` + mnt + `}`, lines: `
			implied fs.cwd: {"dev":5,"ino":7} equal, {"dev":5,"ino":6} leaked`},
		"a root, and a cwd": {ask: `{"root":{"path":"/r"},"process":{"cwd":"/tmp"},` + mnt + `}`, facts: `{"Cwd":{"unreadable":"x"}}`, lines: `
			requested fs.cwd: {"dev":5,"ino":6} unobservable (x)`},
		"a root on a read-only mount": {ask: `{"root":{"path":"/r"},` + mnt + `}`, facts: `{"RootReadOnly":true}`, lines: `
			implied fs.root_read_only: true equal, false inherited`},
		"a read-only root": {ask: `{"root":{"path":"/r","readonly":true},` + mnt + `}`, facts: `{"RootReadOnly":false}`, lines: `
			requested fs.root_read_only: true equal, false ignored`},
		"a read-only root of a caller that has one": {ask: `{"root":{"path":"/r","readonly":true},` + mnt + `}`, caller: `{"fs":{"root_read_only":true}}`, lines: `
			requested fs.root_read_only: true equal, false weaker`},
		"a joined mount namespace": {ask: `{"linux":{"namespaces":[{"type":"mount","path":"/n"}]}}`, facts: `{"Cwd":{"unreadable":"x"},"RootReadOnly":true}`, lines: `
			implied fs.root: {"dev":5,"ino":6} equal, {"dev":1,"ino":2} inherited
			implied fs.root_is_mount_root: true unobservable (only the launch can tell)
			implied fs.root_read_only: true unobservable (only the launch can tell)
			implied fs.cwd: {"dev":5,"ino":6} equal
			implied fs.cwd_under_root: true equal, false leaked
			implied fs.root_propagation: "private" unobservable (not determined)`},
		"a root in a joined mount namespace": {ask: `{"root":{"path":"/r","readonly":true},"linux":{"namespaces":[{"type":"mount","path":"/n"}]}}`, lines: `
			requested fs.root: {"dev":5,"ino":6} equal
			requested fs.root_read_only: true equal, false ignored
			implied fs.root_propagation: "private" unobservable (not determined)`},
	})
}

// TestRootPropagation: see mount_namespaces(7).
func TestRootPropagation(t *testing.T) {
	ask := func(word string) string {
		return `{"linux":{"namespaces":[{"type":"mount"}],"rootfsPropagation":"` + word + `"}}`
	}
	const root = `{"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"}],"rootfsPropagation":"rslave"}}`
	caller := func(word string) string { return `{"fs":{"root_propagation":"` + word + `"}}` }
	judge(t, map[string]launch{
		"private, unasked": {ask: `{"linux":{"namespaces":[{"type":"mount"}]}}`, caller: caller("shared"), lines: `
			requested fs.root_propagation: "private" equal, "shared" ignored, "slave" weaker, "shared and slave" weaker, "unbindable" stronger`},
		"private": {ask: ask("rprivate"), caller: caller("shared"), lines: `
			requested fs.root_propagation: "private" equal, "shared" ignored, "slave" weaker`},
		"unbindable": {ask: ask("unbindable"), lines: `
			requested fs.root_propagation: "unbindable" equal, "private" ignored, "slave" weaker`},
		"shared": {ask: ask("rshared"), lines: `
			requested fs.root_propagation: "shared" equal, "shared and slave" equal, "private" ignored, "slave" stronger, "unbindable" stronger`},
		"slave of a shared one": {ask: ask("rslave"), caller: caller("shared"), lines: `
			requested fs.root_propagation: "slave" equal, "shared" ignored, "private" stronger, "shared and slave" weaker`},
		"slave of a slave": {ask: ask("rslave"), caller: caller("slave"), lines: `
			requested fs.root_propagation: "slave" equal, "private" stronger, "shared" weaker`},
		"slave of a private one": {ask: ask("rslave"), caller: caller("private"), lines: `
			requested fs.root_propagation: "private" equal, "slave" weaker, "shared" weaker`},
		"slave of an unbindable one": {ask: ask("slave"), caller: caller("unbindable"), lines: `
			requested fs.root_propagation: "private" equal, "slave" weaker, "unbindable" ignored`},
		"slave of what is not known": {ask: ask("rslave"), caller: `{"fs":{"root_propagation":{"unreadable":"x"}}}`, lines: `
			requested fs.root_propagation: "slave" equal, "private" equal, "shared" weaker, "shared and slave" weaker, "unbindable" stronger`},
		"slave of another root": {ask: root, caller: caller("shared"), lines: `
			requested fs.root_propagation: "slave" equal, "private" equal, "shared" ignored, "shared and slave" weaker`},
		"slave of another root, of a private one": {ask: root, caller: caller("private"), lines: `
			requested fs.root_propagation: "slave" equal, "private" equal, "shared" weaker`},
	})
	for ask, want := range map[string]string{ask("shared"): "linux.rootfsPropagation", `{"linux":{"namespaces":[{"type":"mount"}]}}`: "linux.namespaces: mount, private unless asked otherwise"} {
		if got := (launch{ask: ask}).expectation(t).Source(FSRootPropagation); got != want {
			t.Errorf("%s: from %s, want %s", ask, got, want)
		}
	}
}

func TestFilesAndKeyrings(t *testing.T) {
	file := func(fds ...string) string {
		var list []string
		for _, fd := range fds {
			list = append(list, `{"fd":`+fd+`,"inode":{"dev":9,"ino":1`+fd+`}}`)
		}
		return `[` + strings.Join(list, ",") + `]`
	}
	open := func(fds ...string) string { return `{"open":` + file(fds...) + `}` }
	judge(t, map[string]launch{
		"nothing": {lines: `
			promised files: ` + open("0", "1", "2") + ` equal, ` + open("0", "1") + ` leaked, ` + open("0", "1", "2", "3") + ` leaked, ` + open("0", "1", "3") + ` leaked, {"open":` + file("0", "1") + `,"truncated":1} unobservable (1 descriptors were not listed), {"open":` + file("0", "1", "2") + `,"truncated":1} leaked (4 descriptors, 1 of them not listed)
			kept keyrings.session: 4660 equal, 9 leaked
			promised keyrings.process: 0 equal, 5 inherited, 7 leaked
			promised keyrings.thread: 0 equal, 6 inherited, 7 leaked
			kept keyrings.session_owner: 0 equal, 1 leaked`},
		"passed": {ask: `{"holdshort":{"passFDs":2}}`, lines: `
			requested files: ` + open("0", "1", "2", "3", "4") + ` equal, ` + open("0", "1", "2") + ` stronger, ` + open("0", "1", "2", "3", "5") + ` weaker, ` + open("0", "1", "2", "3", "4", "5") + ` weaker`},
		"the program": {ask: `{"holdshort":{"program":{"host":"/bin/prog","number":9}}}`, lines: `
			promised files: ` + open("0", "1", "2", "9") + ` equal, ` + open("0", "1", "2") + ` leaked`},
		"told by the launch": {facts: `{"Files":[{"fd":0},{"fd":1,"inode":{"dev":9,"ino":11}},{"fd":2}]}`, lines: `
			promised files: ` + open("0", "1", "2") + ` equal, {"open":[{"fd":0},{"fd":1,"inode":{"dev":9,"ino":77}},{"fd":2}]} leaked, {"open":[{"fd":0},{"fd":1,"inode":{"dev":9,"ino":11},"close_on_exec":true},{"fd":2}]} leaked`},
		"the program, closed": {ask: `{"holdshort":{"program":{"host":"/bin/prog"}}}`, lines: `
			promised files: ` + open("0", "1", "2") + ` equal, ` + open("0", "1", "2", "9") + ` leaked`},
		"a keyring": {ask: `{"holdshort":{"newKeyring":true}}`, lines: `
			requested keyrings.session: 9 equal, 4660 ignored (the caller's), 0 weaker (there is none)
			implied keyrings.session_owner: 0 unobservable (not determined)`},
		"a keyring with a name": {ask: `{"holdshort":{"keyring":{"name":"k"}}}`, lines: `
			requested keyrings.session: 9 equal, 4660 ignored, 0 weaker`},
		"a keyring, the caller's is not known": {ask: `{"holdshort":{"newKeyring":true}}`, caller: `{"keyrings":{"session":{"unreadable":"x"}}}`, lines: `
			requested keyrings.session: 9 unobservable (cannot be told apart)`},
	})
	for ask, want := range map[string]string{`{"holdshort":{"newKeyring":true}}`: "holdshort.newKeyring", `{"holdshort":{"keyring":{"name":"k"}}}`: "holdshort.keyring"} {
		if got := (launch{ask: ask}).expectation(t).Source(KeyringSession); got != want {
			t.Errorf("%s: from %s, want %s", ask, got, want)
		}
	}
}

func TestExec(t *testing.T) {
	judge(t, map[string]launch{
		"nothing": {ask: `{"process":{"args":["/bin/prog","a"]}}`, lines: `
			implied exec.exe: {"dev":5,"ino":8} equal, {"dev":1,"ino":99} inherited, {"dev":5,"ino":9} leaked
			implied exec.exe_nlink: 1 equal, 0 inherited, 2 leaked
			implied exec.comm: "prog" equal, "agent" inherited, "/bin/prog" leaked
			requested exec.args: ["/bin/prog","a"] equal, ["agent"] ignored, ["/bin/prog"] weaker, ["/bin/prog","b"] weaker
			promised exec.env: [] equal, ["SECRET=1"] inherited, ["A=1"] leaked
			promised exec.fork_no_exec: false equal, true leaked`},
		"environment": {ask: `{"process":{"env":["A=1","B=2"]}}`, lines: `
			requested exec.env: ["A=1","B=2"] equal, ["SECRET=1"] ignored, ["A=1"] weaker, ["B=2","A=1"] weaker, ["A=1","B=2","SECRET=1"] weaker`},
		"a name of 15 bytes": {ask: `{"process":{"args":["/bin/abcdefghijklmno"]}}`, lines: `
			implied exec.comm: "abcdefghijklmno" equal`},
		"a longer name": {ask: `{"process":{"args":["/bin/abcdefghijklmnop"]}}`, lines: `
			implied exec.comm: "abcdefghijklmno" equal, "abcdefghijklmnop" leaked`},
		"a name without a path": {ask: `{"process":{"args":["prog"]}}`, lines: `
			implied exec.comm: "prog" equal`},
		"a path of its own": {ask: `{"holdshort":{"path":"/usr/bin/other"}}`, lines: `
			implied exec.comm: "other" equal, "prog" leaked
			requested exec.args: ["/bin/prog"] equal, ["/usr/bin/other"] weaker`},
		"a script": {
			ask: `{"process":{"args":["prog","a"]}}`, feat: `{"Program":{"Path":"/opt/script","Interpreter":["/bin/sh","-e"]}}`, lines: `
			implied exec.comm: "script" equal, "sh" leaked
			requested exec.args: ["/bin/sh","-e","/opt/script","a"] equal, ["prog","a"] weaker`,
		},
		"by descriptor": {ask: `{"holdshort":{"program":{"host":"/bin/prog","number":9}}}`, lines: `
			requested exec.exe: {"dev":5,"ino":8} equal, {"dev":1,"ino":99} ignored, {"dev":5,"ino":9} weaker
			requested exec.exe_nlink: 1 equal, 0 ignored
			implied exec.comm: "9" unobservable (the file's name)`},
		"a name that leads out of the root": {
			ask: `{"hostname":"box","linux":{"namespaces":[{"type":"uts"}]}}`, facts: `{"Exe":{"dev":0,"ino":0}}`, lines: `
			implied exec.exe: {"dev":5,"ino":8} leaked (no file of the root), {"dev":1,"ino":99} leaked (no file of the root)
			requested uts.hostname: "other" weaker`,
		},
		"the launch does not tell": {facts: `{"Exe":{"unreadable":"x"},"ExeNlink":{"unreadable":"y"}}`, lines: `
			implied exec.exe: {"dev":5,"ino":8} unobservable (x)
			implied exec.exe_nlink: 1 unobservable (y)`},
	})
}

func TestMemory(t *testing.T) {
	const moved = `"holdshort":{"cgroup":{"v1":{"cpuset":"/c"}}}`
	judge(t, map[string]launch{
		"nothing": {caller: `{"memory":{"policy":2,"nodes":[1],"thp_disabled":1,"coredump_filter":7}}`, lines: `
			kept memory.policy: 2 equal, 0 leaked
			kept memory.nodes: [1] equal, [1,0] equal, [3] leaked
			kept memory.mems_allowed: [1] equal, [3] leaked
			kept memory.mdwe: 0 equal, 1 leaked
			kept memory.thp_disabled: 1 equal, 0 leaked
			kept memory.merge_any: false equal, true leaked
			kept memory.coredump_filter: 7 equal, 51 leaked
			kept memory.randomized: true equal, false leaked`},
		"moved": {ask: `{` + moved + `}`, lines: `
			implied memory.mems_allowed: [1] unobservable (not determined)
			kept memory.nodes: [] equal, [1] leaked`},
		"moved, with a policy": {ask: `{` + moved + `}`, caller: `{"memory":{"policy":2,"nodes":[1]}}`, lines: `
			implied memory.nodes: [1] unobservable (not determined)`},
		"moved, with a policy that is not known": {ask: `{` + moved + `}`, caller: `{"memory":{"policy":{"unreadable":"x"}}}`, lines: `
			implied memory.nodes: [1] unobservable (not determined)`},
		"executable memory, inherited":     {caller: `{"memory":{"mdwe":1}}`, lines: `kept memory.mdwe: 1 equal, 0 leaked`},
		"executable memory, not inherited": {caller: `{"memory":{"mdwe":3}}`, lines: `implied memory.mdwe: 0 equal, 3 inherited, 1 leaked`},
		"executable memory, not known":     {caller: `{"memory":{"mdwe":{"unreadable":"x"}}}`, lines: `kept memory.mdwe: 0 unobservable (the caller's is not known)`},
		"merged":                           {caller: `{"memory":{"merge_any":true}}`, lines: `implied memory.merge_any: true unobservable (not determined), false unobservable`},
		"merging is not known":             {caller: `{"memory":{"merge_any":{"unreadable":"x"}}}`, lines: `implied memory.merge_any: true unobservable (not determined)`},
		"asked for": {
			ask: `{"holdshort":{"memory":{"thpDisable":true,"merge":true,"denyWriteExec":true}}}`, lines: `
			requested memory.thp_disabled: 1 equal, 0 ignored, 3 weaker
			requested memory.merge_any: true equal, false ignored
			requested memory.mdwe: 1 equal, 0 ignored, 3 stronger`,
		},
		"asked not to be": {
			ask: `{"holdshort":{"memory":{"thpDisable":false,"merge":false}}}`, caller: `{"memory":{"thp_disabled":1,"merge_any":true}}`, lines: `
			requested memory.thp_disabled: 0 equal, 1 ignored
			requested memory.merge_any: false equal, true ignored`,
		},
		"not at random": {ask: `{"holdshort":{"personality":262144}}`, lines: `
			implied memory.randomized: false equal, true inherited`},
		"not at random, as the caller": {caller: `{"privilege":{"personality":262144},"memory":{"randomized":false}}`, lines: `
			kept memory.randomized: false equal, true leaked`},
		"at random, asked for": {ask: `{"holdshort":{"personality":0}}`, lines: `
			implied memory.randomized: true equal, false leaked`},
		"at random, unlike the caller": { // what the kernel would do is not known
			ask: `{"holdshort":{"personality":0}}`, caller: `{"privilege":{"personality":262144},"memory":{"randomized":false}}`, lines: `
			implied memory.randomized: true unobservable (is not known), false unobservable`,
		},
		"at random, as the caller was": {
			ask: `{"holdshort":{"personality":0}}`, caller: `{"privilege":{"personality":262144}}`, lines: `
			implied memory.randomized: true equal, false leaked`,
		},
		"the kernel is not to":                     {caller: `{"memory":{"randomized":false}}`, lines: `kept memory.randomized: false equal, true leaked`},
		"the caller's is not known":                {caller: `{"memory":{"randomized":{"unreadable":"x"}}}`, lines: `kept memory.randomized: true unobservable (the caller's is not known)`},
		"the caller's personality is not known":    {caller: `{"privilege":{"personality":{"unreadable":"x"}}}`, lines: `kept memory.randomized: true unobservable (the caller's is not known)`},
		"the caller's is not known, nor matters":   {ask: `{"holdshort":{"personality":262144}}`, caller: `{"memory":{"randomized":{"unreadable":"x"}},"privilege":{"personality":{"unreadable":"x"}}}`, lines: `implied memory.randomized: false equal, true leaked`},
		"the caller's personality was not known":   {ask: `{"holdshort":{"personality":8}}`, caller: `{"privilege":{"personality":{"unreadable":"x"}}}`, lines: `implied memory.randomized: true unobservable (is not known)`},
		"bits of a caller whose ids are not known": {caller: `{"ids":{"uid":{"unreadable":"x"}},"privilege":{"personality":262144},"memory":{"randomized":false}}`, lines: `kept memory.randomized: false unobservable (the caller's is not known)`},
	})
}

func TestTuning(t *testing.T) {
	const cpuset = `"cgroup":{"v1":{"cpuset":"/c"}}`
	policy := func(mode, nodes, more string) string {
		return `{"linux":{"memoryPolicy":{"mode":"` + mode + `","nodes":"` + nodes + `"` + more + `}}}`
	}
	judge(t, map[string]launch{
		"utilisation": {ask: `{"holdshort":{"uclamp":{"min":100,"max":1000}}}`, lines: `
			requested sched.uclamp_min: {"value":100,"user":true} equal, {"value":0} ignored, {"value":101,"user":true} weaker, {"value":99,"user":true} stronger, {"value":100} weaker
			requested sched.uclamp_max: {"value":1000,"user":true} equal, {"value":1024} ignored, {"value":1001,"user":true} weaker, {"value":999,"user":true} stronger`},
		"utilisation of 0": {ask: `{"holdshort":{"uclamp":{"min":0}}}`, lines: `
			requested sched.uclamp_min: {"value":0,"user":true} equal, {"value":0} ignored
			kept sched.uclamp_max: {"value":1024} equal`},
		"utilisation, reset on fork": {caller: `{"sched":{"reset_on_fork":true,"uclamp_min":{"value":5,"user":true},"uclamp_max":{"value":6,"user":true}}}`, lines: `
			implied sched.uclamp_min: {"value":0} equal, {"value":5,"user":true} inherited
			implied sched.uclamp_max: {"value":1024} equal, {"value":6,"user":true} inherited`},
		"utilisation, not reset on fork": {caller: `{"sched":{"uclamp_min":{"value":5,"user":true},"uclamp_max":{"value":6,"user":true}}}`, lines: `
			kept sched.uclamp_min: {"value":5,"user":true} equal, {"value":0} leaked
			kept sched.uclamp_max: {"value":6,"user":true} equal, {"value":1024} leaked`},
		"utilisation is not known, reset on fork": {caller: `{"sched":{"reset_on_fork":true,"uclamp_min":{"unreadable":"x"},"uclamp_max":{"unreadable":"x"}}}`, lines: `
			kept sched.uclamp_min: {"value":0} unobservable (the caller's is not known)
			kept sched.uclamp_max: {"value":1024} unobservable (the caller's is not known)`},
		"utilisation, and a scheduler": {ask: `{"process":{"scheduler":{"policy":"SCHED_BATCH"}}}`, caller: `{"sched":{"uclamp_min":{"value":5},"uclamp_max":{"value":6}}}`, lines: `
			implied sched.uclamp_min: {"value":0} equal, {"value":5} inherited
			implied sched.uclamp_max: {"value":1024} equal, {"value":6} inherited`},
		"utilisation of the user, and a scheduler": {ask: `{"process":{"scheduler":{"policy":"SCHED_BATCH"}}}`, caller: `{"sched":{"uclamp_min":{"value":5,"user":true},"uclamp_max":{"value":6,"user":true}}}`, lines: `
			kept sched.uclamp_min: {"value":5,"user":true} equal, {"value":0} leaked
			kept sched.uclamp_max: {"value":6,"user":true} equal, {"value":1024} leaked`},
		"utilisation is not known, and a scheduler": {ask: `{"process":{"scheduler":{"policy":"SCHED_BATCH"}}}`, caller: `{"sched":{"uclamp_min":{"unreadable":"x"},"uclamp_max":{"unreadable":"x"}}}`, lines: `
			kept sched.uclamp_min: {"value":0} unobservable (the caller's is not known)
			kept sched.uclamp_max: {"value":1024} unobservable (the caller's is not known)`},
		"utilisation, fifo": {ask: `{"process":{"scheduler":{"policy":"SCHED_FIFO","priority":1}}}`, lines: `
			implied sched.uclamp_min: {"value":0} unobservable (not determined)
			implied sched.uclamp_max: {"value":1024} equal, {"value":0} leaked`},
		"utilisation, rr":               {ask: `{"process":{"scheduler":{"policy":"SCHED_RR","priority":1}}}`, lines: `implied sched.uclamp_min: {"value":0} unobservable (not determined)`},
		"the group of tasks":            {ask: `{"holdshort":{"session":true,"autogroupNice":5}}`, lines: `requested sched.autogroup_nice: 5 equal, 0 ignored, 4 weaker, 6 stronger`},
		"the group of tasks, as it was": {ask: `{"holdshort":{"session":true,"autogroupNice":0}}`, lines: `requested sched.autogroup_nice: 0 equal, 1 stronger, -1 weaker`},
		"a flusher":                     {ask: `{"holdshort":{"ioFlusher":true}}`, lines: `requested process.io_flusher: true equal, false ignored`},
		"nodes": {ask: policy("MPOL_BIND", "0-1", ""), caller: `{"memory":{"mems_allowed":[7]}}`, lines: `
			requested memory.policy: 2 equal, 0 ignored, 3 weaker
			requested memory.nodes: [3] equal, [] ignored, [7] weaker, [1] stronger`},
		"nodes within the cpuset's": {ask: policy("MPOL_INTERLEAVE", "0-1", `,"flags":["MPOL_F_STATIC_NODES"]`), lines: `
			requested memory.policy: 32771 equal, 3 weaker
			requested memory.nodes: [1] equal, [3] weaker`},
		"the first of the nodes":               {ask: policy("MPOL_PREFERRED", "1-2", ""), caller: `{"memory":{"mems_allowed":[7]}}`, lines: `requested memory.nodes: [2] equal, [6] weaker`},
		"the first of the nodes is a high one": {ask: policy("MPOL_PREFERRED", "63-66", ""), caller: `{"memory":{"mems_allowed":[7,6]}}`, lines: `requested memory.nodes: [0,2] equal, [0,6] weaker`},
		"no nodes allowed":                     {ask: policy("MPOL_BIND", "0", ""), caller: `{"memory":{"mems_allowed":[]}}`, lines: `requested memory.nodes: [] equal, [1] weaker`},
		"none of the nodes":                    {ask: policy("MPOL_PREFERRED", "5", ""), lines: `requested memory.nodes: [] equal, [32] weaker`},
		"no nodes": {ask: policy("MPOL_PREFERRED", "", ""), caller: `{"memory":{"nodes":[1]}}`, lines: `
			requested memory.policy: 4 equal, 1 weaker
			requested memory.nodes: [] equal, [1] ignored`},
		"the default": {ask: policy("MPOL_DEFAULT", "", ""), caller: `{"memory":{"policy":2,"nodes":[1]}}`, lines: `
			requested memory.policy: 0 equal, 2 ignored
			requested memory.nodes: [] equal, [1] ignored`},
		"nodes that are relative": {ask: policy("MPOL_BIND", "0", `,"flags":["MPOL_F_RELATIVE_NODES"]`), lines: `
			requested memory.policy: 16386 equal
			implied memory.nodes: [1] unobservable (not determined)`},
		"nodes of a cpuset": {ask: `{"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"}},"holdshort":{` + cpuset + `}}`, lines: `
			implied memory.nodes: [1] unobservable (not determined)`},
		"nodes of a cpuset that is not known": {ask: policy("MPOL_BIND", "0", ""), caller: `{"memory":{"mems_allowed":{"unreadable":"x"}}}`, lines: `
			implied memory.nodes: [1] unobservable (not determined)`},
	})
}

func TestLandlockExpected(t *testing.T) {
	ask := func(more string) string {
		return `{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{` + more + `"layers":[{"handledAccessFS":["write_file","truncate"],"handledAccessNet":["bind_tcp"],"scoped":["signal"]},{"handledAccessNet":["connect_tcp"]}]}}}`
	}
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept landlock.layers: 0 equal, 1 leaked
			kept landlock.handled: [] equal, [{"fs":1}] leaked
			kept landlock.rules: 0 equal, 1 leaked
			kept landlock.rule_list: [] equal, [{"layer":1,"kind":"port","port":1,"access":1}] leaked`},
		"two": {ask: ask(""), lines: `
			requested landlock.layers: 2 equal, 0 ignored, 1 weaker, 3 stronger
			requested landlock.handled: [{"fs":24578,"net":1,"scope":2},{"fs":0,"net":2}] equal, [] ignored, [{"fs":24578,"net":1,"scope":2}] weaker, [{"fs":24578,"net":1},{"fs":0,"net":2}] weaker, [{"fs":24578,"scope":2},{"fs":0,"net":2}] weaker, [{"fs":8194,"net":1,"scope":2},{"fs":0,"net":2}] weaker, [{"fs":24579,"net":1,"scope":2},{"fs":0,"net":2}] stronger, [{"fs":24578,"net":1,"scope":2},{"fs":0,"net":2},{"fs":1}] stronger
			implied landlock.rules: 0 equal, 1 leaked
			implied landlock.rule_list: [] equal`},
		"on top of the caller's": {ask: ask(""), caller: `{"landlock":{"layers":1,"handled":[{"fs":8193}]}}`, lines: `
			requested landlock.layers: 3 equal, 1 ignored, 2 weaker
			requested landlock.handled: [{"fs":8193},{"fs":24578,"net":1,"scope":2},{"fs":0,"net":2}] equal, [{"fs":8193}] ignored`},
		"the caller's are not known": {ask: ask(""), caller: `{"landlock":{"layers":{"unreadable":"x"},"handled":{"unreadable":"x"}}}`, lines: `
			requested landlock.layers: 2 unobservable (were not counted)
			requested landlock.handled: [] unobservable (were not read)`},
		"of an old kernel": {ask: ask(`"bestEffort":true,`), feat: `{"LandlockABI":2}`, lines: `
			requested landlock.layers (lacks truncate, bind_tcp, signal, connect_tcp): 1 equal, 2 stronger, 0 ignored
			requested landlock.handled (best effort): [{"fs":8194}] equal
			implied landlock.rule_list (best effort): [] equal`},
		"of a kernel without": {ask: ask(`"bestEffort":true,`), feat: `{"LandlockABI":0}`, lines: `
			requested landlock.layers (best effort): 0 equal, 1 stronger`},
		"of an old kernel that will not do": {ask: ask(``), feat: `{"LandlockABI":3}`, lines: `
			requested landlock.layers: 1 equal
			requested landlock.handled: [{"fs":24578}] equal, [{"fs":8194}] weaker`},
		"the best of a kernel that has all": {ask: ask(`"bestEffort":true,`), lines: `
			requested landlock.layers: 2 equal`},
		"rules of which an old kernel knows some": {
			ask: `{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"bestEffort":true,"layers":[{"handledAccessFS":["write_file","truncate"],"handledAccessNet":["bind_tcp","bind_udp"],
				"pathBeneath":[{"path":"/a","allowedAccess":["write_file","truncate"]},{"path":"/b","allowedAccess":["truncate"]}],
				"netPort":[{"port":80,"allowedAccess":["bind_tcp","bind_udp"]},{"port":81,"allowedAccess":["bind_udp"]}]}]}}}`,
			feat: `{"LandlockABI":4}`, facts: `{"LandlockPaths":{"/a":{"dev":5,"ino":9},"/b":{"dev":5,"ino":7}}}`, lines: `
			requested landlock.rules: 3 equal
			requested landlock.rule_list (lacks bind_udp): [{"layer":1,"kind":"path","inode":{"dev":5,"ino":7},"access":16384},{"layer":1,"kind":"path","inode":{"dev":5,"ino":9},"access":16386},{"layer":1,"kind":"port","port":80,"access":1}] equal`,
		},
		"rules of which an older kernel knows one": {
			ask: `{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"bestEffort":true,"layers":[{"handledAccessFS":["write_file","truncate"],
				"pathBeneath":[{"path":"/a","allowedAccess":["write_file","truncate"]},{"path":"/b","allowedAccess":["truncate"]}]}]}}}`,
			feat: `{"LandlockABI":2}`, facts: `{"LandlockPaths":{"/a":{"dev":5,"ino":9}}}`, lines: `
			requested landlock.rule_list (lacks truncate): [{"layer":1,"kind":"path","inode":{"dev":5,"ino":9},"access":2}] equal`,
		},
		"rules of which an old kernel knows none": {
			ask: `{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"bestEffort":true,"layers":[{"handledAccessFS":["write_file","truncate"],"handledAccessNet":["bind_tcp"],
				"pathBeneath":[{"path":"/b","allowedAccess":["truncate"]}],"netPort":[{"port":81,"allowedAccess":["bind_tcp"]}]}]}}}`,
			feat: `{"LandlockABI":2}`, lines: `
			implied landlock.rules: 0 equal, 1 leaked
			implied landlock.rule_list (lacks truncate, bind_tcp): [] equal`,
		},
		"a rule for a path, and one for a port": {
			ask: `{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"layers":[{"handledAccessFS":["write_file"],"handledAccessNet":["bind_tcp"],
				"pathBeneath":[{"path":"/a","allowedAccess":["write_file"]}],"netPort":[{"port":80,"allowedAccess":["bind_tcp"]}]}]}}}`,
			facts: `{"LandlockPaths":{"/a":{"dev":5,"ino":9}}}`, lines: `
			requested landlock.rules: 2 equal, 0 ignored, 3 weaker, 1 stronger
			requested landlock.rule_list: [{"layer":1,"kind":"path","inode":{"dev":5,"ino":9},"access":2},{"layer":1,"kind":"port","port":80,"access":1}] equal, [] ignored`,
		},
	})
}

// What the tables call equal is also what is reported as wanted.
func TestWant(t *testing.T) {
	const filter = `{"defaultAction":"SCMP_ACT_ALLOW"}`
	for name, tt := range map[string]struct {
		launch
		field Field
		want  string
	}{
		"a value":           {launch{ask: `{"hostname":"box","linux":{"namespaces":[{"type":"uts"}]}}`}, UTSHostname, `"box"`},
		"a limit":           {launch{ask: `{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":2}]}}`}, RlimitCPU, `{"soft":1,"hard":2}`},
		"a new namespace":   {launch{ask: `{"linux":{"namespaces":[{"type":"network"}]}}`}, NSNet, `{"new":true,"not":{"inode":4026531840,"owner":4026531837}}`},
		"that for children": {launch{ask: `{"linux":{"namespaces":[{"type":"pid"}]}}`}, NSPIDForChildren, `{"new":true,"not":{"inode":4026531836,"owner":4026531837}}`},
		"a filter":          {launch{ask: `{"linux":{"seccomp":` + filter + `}}`}, SeccompFilters, `{"on_top_of":null,"policy":` + filter + `}`},
		"filters":           {launch{ask: `{"linux":{"seccomp":` + filter + `},"holdshort":{"seccomp":[` + filter + `]}}`}, SeccompFilters, `{"on_top_of":null,"policies":[` + filter + `,` + filter + `]}`},
		"as another field":  {launch{}, SeccompArmed, `{"as":"seccomp.mode"}`},
		"within":            {launch{ask: `{"holdshort":{"cgroup":{"v1":{"cpuset":"/c"}}}}`, feat: `{"CPUs":[6]}`}, SchedAffinity, `{"within":[6]}`},
		"no CPUs":           {launch{ask: `{"holdshort":{"affinity":[65]}}`, feat: `{"CPUs":[3,1]}`}, SchedAffinity, `[]`},
		"at least":          {launch{ask: `{"linux":{"seccomp":` + filter + `}}`}, SpecFlags, `{"at_least":0}`},
		"what is not known": {launch{ask: `{"linux":{"namespaces":[{"type":"network","path":"/n"}]}}`}, NSNet, `{"unknown":"` + needsFact + `"}`},
		"limits not known":  {launch{ask: `{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":2}]}}`, caller: `{"rlimits":{"unreadable":"x"}}`}, RlimitAS, `{"unknown":"the caller's limits were not read"}`},
	} {
		got, err := json.Marshal(tt.expectation(t).Want(tt.field))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, tt.want)
		}
	}
	if sample.AllCaps != 2199023255551 {
		t.Error("the tables have another number for all capabilities")
	}
}
