package oracle

import "testing"

// TestProfile: what another engine may choose, and what not.
func TestProfile(t *testing.T) {
	const (
		some   = `{"Profile":{"Name":"x"}}`
		user   = `{"linux":{"namespaces":[{"type":"user"},{"type":"network"},{"type":"pid"}]}}`
		nested = `{"Profile":{"Name":"x","NestedUserNS":true}}`
		deep   = `{"namespaces":{"user":{"inode":5,"level":2},"pid":{"inode":7,"owner":6,"level":1}}}`
		term   = `{"process":{"terminal":true}}`
		caps   = `{"process":{"noNewPrivileges":true,"capabilities":{"bounding":["CAP_KILL"]}}}`
		cannot = `{"Profile":{"Name":"x","NoBounding":true}}`
		own    = `{"Profile":{"Name":"x","AlwaysFilters":true}}`
		filter = `[{"instructions":[{"code":6,"jt":0,"jf":0,"k":5}]}]`
		init   = `{"Profile":{"Name":"x","Init":true}}`
	)
	judge(t, map[string]launch{
		"nothing": {feat: some, lines: `
			implied process.parent: 900 equal, 1 equal (the engine's matter), {"unreadable":"x"} unobservable (x)
			kept process.session: 700 equal, 5 equal, {"unreadable":"x"} unobservable (x)
			promised process.session_leader: true equal, false equal
			kept process.process_group: 701 equal, 5 equal
			kept process.tty: {"major":136,"minor":3} equal, {"major":0,"minor":0} equal, {"major":136,"minor":4} leaked
			kept sched.autogroup: 12 equal, 13 equal
			kept sched.autogroup_nice: 0 equal, 5 equal
			kept keyrings.session: 4660 equal, 9 equal
			kept keyrings.session_owner: 0 equal, 9 equal
			kept cgroup.v2: 100 equal, 1 equal
			kept cgroup.v1: [] equal
			kept memory.mems_allowed: [1] equal, [3] equal
			kept privilege.no_new_privs: false equal, true stronger (nobody asked for it)
			kept fs.umask: 18 equal, 63 stronger (nobody asked for it), 0 leaked
			implied privilege.dumpable: 1 equal, 0 leaked
			implied capabilities.bounding: 2199023255551 equal, 1 equal (less than the caller)
			implied capabilities.permitted: 2199023255551 equal, 0 equal
			implied capabilities.effective: 2199023255551 equal, 0 equal
			implied capabilities.inheritable: 0 equal, 1 leaked
			implied capabilities.ambient: 0 equal, 1 leaked
			kept fs.root_propagation: "private" equal, "shared" leaked
			implied process.pid_inside: 1234 equal, 3 leaked
			promised exec.env: [] equal, ["HOME=/"] leaked, ["SECRET=1"] inherited, ["SECRET=1","A=1"] leaked`},
		"capabilities of a caller that has few": {feat: some, caller: `{"capabilities":{"bounding":2,"permitted":2,"effective":2,"inheritable":1}}`, lines: `
			implied capabilities.bounding: 2 equal, 0 equal, 3 leaked
			implied capabilities.inheritable: 1 equal, 0 equal, 3 leaked`},
		"capabilities of a caller that was not read": {feat: some, caller: `{"capabilities":{"bounding":{"unreadable":"x"}}}`, lines: `
			implied capabilities.bounding: 0 unobservable (were not read)
			implied capabilities.effective: 0 unobservable (were not read)`},
		"capabilities that are asked for": {ask: `{"process":{"noNewPrivileges":true,"capabilities":{"bounding":["CAP_KILL"],"permitted":["CAP_KILL"]}}}`, feat: some, lines: `
			requested capabilities.bounding: 32 equal, 0 stronger
			requested capabilities.permitted: 32 equal, 0 stronger, 33 weaker`},
		"a session": {ask: `{"holdshort":{"session":true}}`, feat: some, lines: `
			requested process.session: 1234 equal, 700 ignored, 5 weaker
			requested process.process_group: 5 weaker
			requested process.session_leader: false weaker
			implied process.tty: {"major":136,"minor":3} inherited
			implied sched.autogroup: 12 inherited
			implied sched.autogroup_nice: 5 leaked`},
		"a process group": {ask: `{"holdshort":{"processGroup":true}}`, feat: some, lines: `
			kept process.session: 5 equal
			requested process.process_group: 1234 equal, 701 ignored, 5 weaker`},
		"a keyring": {ask: `{"holdshort":{"newKeyring":true}}`, feat: some, lines: `
			requested keyrings.session: 9 equal, 4660 ignored
			implied keyrings.session_owner: 9 unobservable`},
		"a terminal": {ask: term, feat: some, facts: `{"TTY":{"unreadable":"x"},"PID":{"unreadable":"y"}}`, lines: `
			requested process.tty: {"major":136,"minor":9} equal, {"major":143,"minor":1} equal, {"major":136,"minor":3} ignored (the caller's), {"major":0,"minor":0} weaker (no controlling terminal), {"major":4,"minor":1} weaker (no pseudo-terminal), {"major":135,"minor":1} weaker, {"major":144,"minor":1} weaker
			requested process.session: 5 equal, 700 ignored (the caller's session), {"unreadable":"x"} unobservable (x)
			requested process.process_group: 5 equal, 701 equal
			requested process.session_leader: true equal
			implied sched.autogroup: 12 equal
			implied sched.autogroup_nice: 5 equal`},
		"a terminal, in a session of its own": {ask: term, feat: some, seen: `{"process":{"session":5}}`, lines: `
			requested process.session_leader: true equal, false equal`},
		"a terminal, in the caller's session": {ask: term, feat: some, lines: `
			requested process.session_leader: true equal, false weaker (the caller's session)`},
		"a terminal, the caller's are not known": {
			ask: term, feat: some, facts: `{"TTY":{"unreadable":"x"},"PID":{"unreadable":"y"}}`, caller: `{"process":{"tty":{"unreadable":"x"},"session":{"unreadable":"x"}}}`, lines: `
			requested process.tty: {"major":136,"minor":3} equal, {"major":0,"minor":0} weaker
			requested process.session: 5 unobservable (y)`,
		},
		"a terminal, the caller has none": {
			ask: term, feat: some, facts: `{"TTY":{"unreadable":"x"}}`, caller: `{"process":{"tty":{"major":0,"minor":0}}}`, lines: `
			requested process.tty: {"major":0,"minor":0} ignored (no controlling terminal)`,
		},
		"a cgroup": {ask: `{"linux":{"cgroupsPath":"/x"}}`, feat: `{"Profile":{"Name":"x"},"CgroupV2":true,"CgroupV1":["memory"]}`, lines: `
			requested cgroup.v2: 4711 equal, 100 ignored, 1 weaker
			requested cgroup.v1: [] weaker
			kept memory.mems_allowed: [3] leaked`},
		"a relative cgroup": {ask: `{"linux":{"cgroupsPath":"x"}}`, feat: `{"Profile":{"Name":"x"},"CgroupV2":true,"CgroupV1":["memory"]}`, lines: `
			kept cgroup.v2: 4711 equal, 100 equal (a relative linux.cgroupsPath)
			kept cgroup.v1: [] equal
			kept memory.mems_allowed: [3] equal`},
		"a directory of version 2": {ask: `{"holdshort":{"cgroup":{"v2":"/x"}}}`, feat: some, lines: `
			requested cgroup.v2: 4711 equal, 1 weaker
			kept memory.mems_allowed: [3] leaked`},
		"a directory of version 1": {ask: `{"holdshort":{"cgroup":{"v1":{"memory":"/x"}}}}`, feat: some, lines: `
			requested cgroup.v1: [] weaker`},
		"nodes": {ask: `{"linux":{"resources":{"cpu":{"mems":"0"}}}}`, feat: some, lines: `
			kept cgroup.v2: 1 equal
			implied memory.mems_allowed: [3] unobservable (not determined)`},
		"CPUs": {ask: `{"linux":{"resources":{"cpu":{"shares":3}}}}`, feat: some, lines: `
			kept memory.mems_allowed: [3] equal (follows from the cgroup)`},
		"memory": {ask: `{"linux":{"resources":{"memory":{"limit":3}}}}`, feat: some, lines: `
			kept memory.mems_allowed: [3] equal`},
		"a root": {ask: `{"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"}]}}`, feat: some, lines: `
			requested fs.root_propagation: "private" equal, "slave" equal (the engine's own way)`},
		"a root with a propagation": {ask: `{"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"}],"rootfsPropagation":"private"}}`, feat: some, lines: `
			requested fs.root_propagation: "private" equal, "slave" weaker`},
		"no root": {ask: `{"linux":{"namespaces":[{"type":"mount"}]}}`, feat: some, lines: `
			requested fs.root_propagation: "private" equal, "slave" weaker`},
		"an init": {ask: `{"linux":{"namespaces":[{"type":"pid"}]}}`, feat: init, lines: `
			requested process.pid_inside: 1 equal, 2 equal, 16 equal, 17 weaker (not among the first), 0 weaker, 900 ignored (not among the first)`},
		"an init that was asked for": {ask: `{"linux":{"namespaces":[{"type":"pid"}]},"holdshort":{"init":true}}`, feat: init, lines: `
			requested process.pid_inside: 2 equal, 1 weaker, 3 weaker`},
		"no init": {ask: `{"linux":{"namespaces":[{"type":"pid"}]}}`, feat: some, lines: `
			requested process.pid_inside: 1 equal, 2 weaker`},
		"an init without a namespace": {feat: init, lines: `
			implied process.pid_inside: 1234 equal, 2 leaked`},
		"environment": {
			ask: `{"process":{"env":["PATH=/bin","HOME=","LANG="]}}`, feat: `{"Profile":{"Name":"x","EnvAdds":["HOME","TERM"]}}`, lines: `
			requested exec.env: ["PATH=/bin","HOME=","LANG="] equal, ["LANG=","TERM=a","PATH=/bin","HOME="] equal (x adds HOME, TERM), ["PATH=/bin","HOME=/root","LANG="] equal, ["PATH=/bin","HOME=","LANG=C"] weaker (LANG= is not there), ["HOME=","LANG="] weaker (PATH=/bin is not there), ["PATH=/bin","LANG="] weaker (HOME= is not there), ["PATH=/bin","HOME=","LANG=","A=1"] weaker (A=1 was not asked for), ["PATH=/bin","PATH=/sbin","HOME=","LANG="] weaker (PATH=/sbin was not asked for), ["PATH=/bin","HOME=","LANG=","HOME=/x"] weaker (HOME=/x was not asked for), ["SECRET=1"] ignored (PATH=/bin is not there), ["PATH=/bin","HOME=","LANG=","SECRET=1"] inherited (the caller's), ["PATH=/bin","HOME=","LANG=","SECRET=1","TERM=a"] weaker, ["SECRET=1","A=2"] weaker`,
		},
		"environment, the first of it": { // that of the list counts, wherever it stands
			ask: `{"process":{"env":["A=1"]}}`, feat: `{"Profile":{"Name":"x","EnvAdds":["A"]}}`, lines: `
			requested exec.env: ["A=1"] equal, ["A=2"] weaker (A=1 is not there), ["A=1","A=2"] weaker (A=2 was not asked for)`,
		},
		"environment without additions": {ask: `{"process":{"env":["A=1"]}}`, feat: some, lines: `
			requested exec.env: ["A=1"] equal, ["A=1","HOME=/"] weaker, ["SECRET=1","A=1"] inherited`},
		"environment of the caller, in which all is": {ask: `{"process":{"env":["A=1"]}}`, feat: some, caller: `{"exec":{"env":["SECRET=1","A=1"]}}`, lines: `
			requested exec.env: ["SECRET=1","A=1"] inherited`},
		"environment of a caller that was not read": {ask: `{"process":{"env":["A=1"]}}`, feat: some, caller: `{"exec":{"env":{"unreadable":"x"}}}`, lines: `
			requested exec.env: ["A=1","SECRET=1"] weaker`},
		"without a bounding set": {ask: caps, feat: cannot, lines: `
			kept capabilities.bounding: 2199023255551 equal, 1 equal (x has no option for it)
			requested capabilities.effective: 0 equal, 32 weaker`},
		"without a bounding set, more than the caller": {ask: caps, feat: cannot, caller: `{"capabilities":{"bounding":3}}`, lines: `
			kept capabilities.bounding (has not all): 3 equal, 1 equal, 4 leaked (more than the caller)`},
		"without a bounding set, the caller's is not known": {ask: caps, feat: cannot, caller: `{"capabilities":{"bounding":{"unreadable":"x"}}}`, lines: `
			requested capabilities.effective: 0 unobservable`},
		"without a bounding set, in a user namespace": {
			ask: `{"linux":{"namespaces":[{"type":"user"}]},"process":{"capabilities":{"bounding":["CAP_KILL"]}}}`, feat: cannot, caller: `{"capabilities":{"bounding":3}}`, lines: `
			kept capabilities.bounding: 2199023255551 equal, 4 equal, 3 equal`,
		},
		"without a bounding set, of which nothing is asked": {feat: cannot, lines: `
			implied capabilities.bounding: 2199023255551 equal, 0 equal (less than the caller)`},
		"with a bounding set": {ask: caps, feat: some, lines: `
			requested capabilities.bounding: 32 equal, 2199023255551 ignored`},
		"always without new privileges": {feat: `{"Profile":{"Name":"x","AlwaysNoNewPrivs":true}}`, caller: `{"capabilities":{"permitted":3,"effective":3}}`, lines: `
			kept privilege.no_new_privs: true equal (x always sets it), false equal
			implied capabilities.permitted: 3 equal, 7 leaked`},
		"always without new privileges, asked for": {ask: `{"process":{"noNewPrivileges":true}}`, feat: `{"Profile":{"Name":"x","AlwaysNoNewPrivs":true}}`, lines: `
			requested privilege.no_new_privs: true equal, false ignored`},
		"filters of its own": {feat: own, seen: `{"seccomp":{"mode":2,"filter_count":1}}`, lines: `
			kept seccomp.mode: 2 equal (filters of its own), 1 stronger (nobody asked for it)
			kept seccomp.filter_count: 0 equal, 1 equal, 2 equal
			kept seccomp.filters: ` + filter + ` equal, [] equal`},
		"filters of its own, which are none": {feat: own, seen: `{"seccomp":{"mode":2}}`, lines: `
			kept seccomp.mode: 2 stronger (nobody asked for it)
			kept seccomp.filters: ` + filter + ` stronger (nobody asked for it)`},
		"filters of its own, which do nothing": {feat: own, seen: `{"seccomp":{"filter_count":1}}`, lines: `
			kept seccomp.filter_count: 1 stronger (nobody asked for it)
			kept seccomp.filters: ` + filter + ` stronger`},
		"filters of its own, on top of what was not read": {feat: own, caller: `{"seccomp":{"filter_count":{"unreadable":"x"}}}`, seen: `{"seccomp":{"filter_count":1}}`, lines: `
			kept seccomp.mode: 2 stronger`},
		"filters of its own, which were not counted": {feat: own, seen: `{"seccomp":{"mode":2,"filter_count":{"unreadable":"x"}}}`, lines: `
			kept seccomp.filters: ` + filter + ` stronger`},
		"filters of its own, unread mode": {feat: own, seen: `{"seccomp":{"mode":{"unreadable":"x"},"filter_count":1}}`, lines: `
			kept seccomp.filter_count: 1 stronger`},
		"filters of its own, and of the request": {
			ask: `{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}`, feat: own, seen: `{"seccomp":{"mode":2}}`, lines: `
			requested seccomp.filter_count: 1 equal, 2 stronger`,
		},
		"one more user namespace": {ask: user, feat: nested, seen: deep, lines: `
			requested namespaces.user: {"inode":5,"level":1} equal, {"inode":5,"level":2} equal (one more user namespace), {"inode":5,"level":3} weaker (not just below), {"inode":5,"level":0} weaker (not just below), {"inode":4026531837} ignored, {"inode":4026531837,"level":2} ignored
			implied user_namespace.parent: 4026531837 equal, 77 equal
			implied user_namespace.owner_uid: 0 equal, 9 equal
			requested namespaces.net: {"inode":9,"owner":5} equal, {"inode":9,"owner":6} equal (not the owner), {"inode":9,"owner":4026531837} weaker (the caller's user namespace owns it), {"inode":4026531840,"owner":6} ignored, {"inode":0,"owner":6} weaker
			requested namespaces.pid: {"inode":9,"owner":6,"level":1} equal, {"inode":9,"owner":6,"level":2} weaker (2 levels deep)
			implied namespaces.pid_for_children: {"inode":7,"owner":6,"level":1} equal, {"inode":8,"owner":6,"level":1} leaked (children would be in 8), {"inode":4026531836,"owner":4026531837} inherited
			kept namespaces.ipc: {"inode":9,"owner":6} leaked`},
		"one more user namespace, which is the caller's": {ask: user, feat: nested, lines: `
			implied user_namespace.parent: 4026531837 equal, 77 leaked
			implied user_namespace.owner_uid: 0 equal, 9 leaked`},
		"one more user namespace, the caller's is not known": {ask: user, feat: nested, caller: `{"namespaces":{"user":{"unreadable":"x"},"net":{"unreadable":"x"}}}`, seen: deep, lines: `
			requested namespaces.user: {"inode":5,"level":2} unobservable (cannot be told apart)
			implied user_namespace.parent: 5 unobservable
			requested namespaces.net: {"inode":9,"owner":6} unobservable (cannot be told apart)`},
		"one more user namespace, which was not seen": {ask: user, feat: nested, seen: `{"namespaces":{"user":{"unreadable":"x"}}}`, lines: `
			implied user_namespace.parent: 4026531837 equal, 77 leaked`},
		"no more user namespaces": {ask: user, feat: some, seen: deep, lines: `
			requested namespaces.user: {"inode":5,"level":2} weaker
			implied user_namespace.parent: 77 leaked`},
		"one more user namespace, unasked": {feat: nested, lines: `
			kept namespaces.user: {"inode":5,"level":2} leaked`},
		"more files, of the caller": {feat: some, caller: `{"files":{"open":[{"fd":0},{"fd":7,"inode":{"dev":1,"ino":2}},{"fd":8}]}}`, lines: `
			promised files: {"open":[{"fd":0},{"fd":1},{"fd":2}]} equal, {"open":[{"fd":0},{"fd":1},{"fd":2},{"fd":7,"inode":{"dev":1,"ino":2}}]} inherited, {"open":[{"fd":0},{"fd":1},{"fd":2},{"fd":7,"inode":{"dev":1,"ino":3}}]} leaked, {"open":[{"fd":0},{"fd":1},{"fd":2},{"fd":9}]} leaked, {"open":[{"fd":0},{"fd":1},{"fd":2},{"fd":8},{"fd":9}]} leaked, {"open":[{"fd":0},{"fd":2},{"fd":8}]} leaked, {"open":[{"fd":0},{"fd":1},{"fd":2},{"fd":8}],"truncated":1} leaked, {"open":[{"fd":0},{"fd":1}]} leaked, {"open":[{"fd":0},{"fd":1},{"fd":2,"close_on_exec":true}]} leaked`},
		"more files, of a caller that was not read": {feat: some, caller: `{"files":{"unreadable":"x"}}`, lines: `
			promised files: {"open":[{"fd":0},{"fd":1},{"fd":2},{"fd":8}]} leaked`},
		"more signals, of the caller": {ask: `{"holdshort":{"ignoreSignals":["HUP"],"blockSignals":["HUP"]}}`, feat: some, lines: `
			requested signals.ignored: 1 equal, 4097 inherited, 4096 ignored, 4099 weaker, 0 stronger, 3 weaker
			requested signals.blocked: 1 equal, 65537 inherited, 65536 ignored, 65539 weaker, 0 stronger`},
		"more signals, of a caller that was not read": {
			ask: `{"holdshort":{"ignoreSignals":["HUP"],"blockSignals":["HUP"]}}`, feat: some, caller: `{"signals":{"ignored":{"unreadable":"x"},"blocked":{"unreadable":"x"}}}`, lines: `
			requested signals.ignored: 1 equal, 4097 weaker
			requested signals.blocked: 1 equal, 65537 weaker`,
		},
		"more signals, by our own launcher": {ask: `{"holdshort":{"ignoreSignals":["HUP"]}}`, lines: `
			requested signals.ignored: 4097 weaker`},
	})
}

// TestProfile_Free: what may be anything may also change.
func TestProfile_Free(t *testing.T) {
	e := launch{feat: `{"Profile":{"Name":"x","EnvAdds":["HOME"]}}`}.expectation(t)
	for f, want := range map[Field]bool{ProcessParent: true, CgroupV2: true, ExecEnv: false, UID: false} {
		if e.Free(f) != want {
			t.Errorf("%s: %v", f, !want)
		}
	}
	if (launch{}).expectation(t).Free(ProcessParent) {
		t.Error("our own launcher is free")
	}
	for f, want := range map[Field]string{
		ProcessParent: "whose child it is, is the engine's matter", CgroupV2: "without linux.cgroupsPath the engine chooses", MemoryMemsAllowed: "it follows from the cgroup, which the engine chooses",
	} {
		if got := e.Source(f); got != want {
			t.Errorf("%s: from %q", f, got)
		}
	}
	root := launch{ask: `{"root":{"path":"/r"},"linux":{"cgroupsPath":"x","namespaces":[{"type":"mount"}]}}`, feat: `{"Profile":{"Name":"x"}}`}.expectation(t)
	if got := root.Source(FSRootPropagation); got != "linux.namespaces: mount, private unless asked otherwise" {
		t.Errorf("what is asked for comes from %q", got)
	}
	if got := root.Source(CgroupV2); got != "a relative linux.cgroupsPath is below what the engine chooses" {
		t.Errorf("a relative path: %q", got)
	}
	// What an engine has no option for is not owed.
	bound := launch{ask: `{"process":{"capabilities":{}}}`, feat: `{"Profile":{"Name":"x","NoBounding":true}}`}.expectation(t)
	if got := bound.Source(CapBounding); got != "x has no option for it" {
		t.Errorf("the bounding set comes from %q", got)
	}
}
