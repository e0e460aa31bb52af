package oracle

import "testing"

// TestNamespaces: what is asked for is new or that which was named; what is not
// asked for is where the caller's children are.
func TestNamespaces(t *testing.T) {
	const (
		fresh = `{"linux":{"namespaces":[{"type":"mount"},{"type":"network"},{"type":"uts"},{"type":"ipc"},{"type":"cgroup"},{"type":"time"},{"type":"pid"}]}}`
		user  = `{"linux":{"namespaces":[{"type":"user"},{"type":"network"}]}}`
	)
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept namespaces.user: {"inode":4026531837} equal, {"inode":9,"level":1} leaked
			kept namespaces.mnt: {"inode":4026531841,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.pid: {"inode":4026531836,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.pid_for_children: {"inode":4026531836,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.net: {"inode":4026531840,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.uts: {"inode":4026531838,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.ipc: {"inode":4026531839,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.cgroup: {"inode":4026531835,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.time: {"inode":4026531834,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked
			kept namespaces.time_for_children: {"inode":4026531834,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked`},
		"the caller's children are elsewhere": {
			caller: `{"namespaces":{"pid_for_children":{"inode":8,"level":3},"time_for_children":{"inode":9}}}`,
			lines: `
			kept namespaces.pid: {"inode":8,"level":3} equal, {"inode":4026531836,"owner":4026531837} leaked
			kept namespaces.pid_for_children: {"inode":8,"level":3} equal, {"inode":4026531836,"owner":4026531837} leaked
			kept namespaces.time: {"inode":9} equal, {"inode":4026531834,"owner":4026531837} leaked
			kept namespaces.time_for_children: {"inode":9} equal, {"inode":4026531834,"owner":4026531837} leaked`,
		},
		"the caller's children are deep": {
			ask: `{"linux":{"namespaces":[{"type":"pid"}]}}`, caller: `{"namespaces":{"pid_for_children":{"inode":8,"level":3}}}`,
			lines: `requested namespaces.pid: {"inode":9,"owner":4026531837,"level":4} equal, {"inode":9,"owner":4026531837,"level":1} weaker (1 levels deep, not 4)`,
		},
		"new": {ask: fresh, seen: `{"namespaces":{"pid":{"inode":7,"owner":4026531837,"level":1},"time":{"inode":6,"owner":4026531837}}}`, lines: `
			requested namespaces.mnt: {"inode":9,"owner":4026531837} equal, {"inode":4026531841,"owner":4026531837} ignored (the caller's), {"inode":0} weaker (no number), {"inode":9,"owner":5} weaker (5 owns it)
			requested namespaces.net: {"inode":9,"owner":4026531837} equal, {"inode":4026531840,"owner":4026531837} ignored, {"inode":9,"owner":5} weaker
			requested namespaces.uts: {"inode":9,"owner":4026531837} equal, {"inode":4026531838,"owner":4026531837} ignored
			requested namespaces.ipc: {"inode":9,"owner":4026531837} equal, {"inode":4026531839,"owner":4026531837} ignored
			requested namespaces.cgroup: {"inode":9,"owner":4026531837} equal, {"inode":4026531835,"owner":4026531837} ignored
			requested namespaces.time: {"inode":9,"owner":4026531837} equal, {"inode":4026531834,"owner":4026531837} ignored
			requested namespaces.pid: {"inode":9,"owner":4026531837,"level":1} equal, {"inode":4026531836,"owner":4026531837} ignored, {"inode":9,"owner":4026531837,"level":2} weaker (2 levels deep), {"inode":9,"owner":4026531837} weaker (0 levels deep), {"inode":9,"owner":5,"level":1} weaker
			implied namespaces.pid_for_children: {"inode":7,"owner":4026531837,"level":1} equal, {"inode":9,"owner":4026531837,"level":1} leaked (children would be in 9), {"inode":4026531836,"owner":4026531837} inherited, {"inode":7,"owner":4026531837,"level":2} weaker
			implied namespaces.time_for_children: {"inode":6,"owner":4026531837} equal, {"inode":9,"owner":4026531837} leaked, {"inode":4026531834,"owner":4026531837} inherited
			kept namespaces.user: {"inode":4026531837} equal, {"inode":9,"level":1} leaked
			kept user_namespace.parent: 0 equal, 4 leaked`},
		"new, and the caller's after all": { // children that are elsewhere are no finding of their own then
			ask: fresh, lines: `implied namespaces.pid_for_children: {"inode":9,"owner":4026531837,"level":1} equal, {"inode":4026531836,"owner":4026531837} inherited`,
		},
		"new, the caller's are not known": {
			ask: fresh, caller: `{"namespaces":{"net":{"unreadable":"x"},"user":{"unreadable":"x"},"uts":{"unreadable":"x"}}}`,
			seen: `{"namespaces":{"user":{"inode":5}}}`,
			lines: `
			requested namespaces.net: {"inode":9,"owner":4026531837} unobservable (cannot be told apart)
			requested namespaces.ipc: {"inode":9,"owner":77} equal
			kept namespaces.user: {"inode":9} unobservable (the caller's is not known)`,
		},
		"user": {ask: user, caller: `{"ids":{"euid":7}}`, seen: `{"namespaces":{"user":{"inode":5,"level":1}}}`, lines: `
			requested namespaces.user: {"inode":5,"level":1} equal, {"inode":4026531837} ignored, {"inode":5,"level":2} weaker (2 levels deep), {"inode":0,"level":1} weaker
			requested namespaces.net: {"inode":9,"owner":5} equal, {"inode":9,"owner":4026531837} weaker (4026531837 owns it, not 5)
			implied user_namespace.parent: 4026531837 equal, 0 inherited, 5 leaked
			requested user_namespace.uid_map: [] equal, [{"inside":0,"host":0,"count":1}] weaker, [{"inside":0,"host":0,"count":4294967295}] ignored
			requested user_namespace.gid_map: [] equal, [{"inside":0,"host":0,"count":4294967295}] ignored
			kept user_namespace.setgroups: true equal, false leaked
			implied user_namespace.owner_uid: 7 equal, 0 inherited, 8 leaked`},
		"user, which is the caller's after all": {ask: user, lines: `requested namespaces.net: {"inode":9,"owner":5} equal`},
		"user, and the caller's are not known": {
			ask: user, caller: `{"namespaces":{"user":{"unreadable":"x"}},"ids":{"euid":{"unreadable":"x"}}}`,
			lines: `
			requested namespaces.user: {"inode":5,"level":1} unobservable (cannot be told apart)
			requested namespaces.net: {"inode":9,"owner":5} equal
			implied user_namespace.parent: 5 unobservable (of the caller were not read)
			implied user_namespace.owner_uid: 0 unobservable (of the caller were not read)`,
		},
		"joined": {
			ask:   `{"linux":{"namespaces":[{"type":"network","path":"/n"},{"type":"pid","path":"/n"},{"type":"time","path":"/n"},{"type":"mount","path":"/n"},{"type":"uts","path":"/n"},{"type":"ipc","path":"/n"},{"type":"cgroup","path":"/n"}]}}`,
			facts: `{"Joined":{"Namespaces":{"net":{"inode":1},"pid":{"inode":2,"level":1},"time":{"inode":3},"mnt":{"inode":4},"uts":{"inode":5},"ipc":{"inode":6},"cgroup":{"unreadable":"gone"}}}}`,
			lines: `
			requested namespaces.net: {"inode":1} equal, {"inode":9} weaker, {"inode":4026531840,"owner":4026531837} ignored
			requested namespaces.pid: {"inode":2,"level":1} equal, {"inode":9,"level":1} weaker, {"inode":4026531836,"owner":4026531837} ignored
			implied namespaces.pid_for_children: {"inode":2,"level":1} equal, {"inode":9,"level":1} leaked, {"inode":4026531836,"owner":4026531837} inherited
			requested namespaces.time: {"inode":3} equal, {"inode":9} weaker
			implied namespaces.time_for_children: {"inode":3} equal, {"inode":9} leaked
			requested namespaces.mnt: {"inode":4} equal, {"inode":9} weaker
			requested namespaces.uts: {"inode":5} equal, {"inode":9} weaker
			requested namespaces.ipc: {"inode":6} equal, {"inode":9} weaker
			requested namespaces.cgroup: {"inode":9} unobservable (gone)
			kept namespaces.user: {"inode":4026531837} equal, {"inode":9} leaked`,
		},
		"joined, and the launch does not tell": {
			ask: `{"linux":{"namespaces":[{"type":"network","path":"/n"},{"type":"pid","path":"/n"},{"type":"user","path":"/n"},{"type":"uts","path":"/n"},{"type":"time","path":"/n"}]}}`,
			lines: `
			requested namespaces.net: {"inode":4026531840,"owner":4026531837} unobservable (only the launch can tell)
			requested namespaces.pid: {"inode":4026531836,"owner":4026531837} unobservable (only the launch can tell)
			implied namespaces.pid_for_children: {"inode":4026531836,"owner":4026531837} unobservable (only the launch can tell)
			requested namespaces.user: {"inode":4026531837} unobservable (only the launch can tell)
			implied user_namespace.parent: 0 unobservable (only the launch can tell)
			implied user_namespace.uid_map: [] unobservable (only the launch can tell)
			implied user_namespace.gid_map: [] unobservable (only the launch can tell)
			implied user_namespace.setgroups: true unobservable (only the launch can tell)
			implied user_namespace.owner_uid: 0 unobservable (only the launch can tell)
			implied uts.hostname: "host" unobservable (only the launch can tell)
			implied uts.domainname: "(none)" unobservable (only the launch can tell)
			implied time.monotonic_ns: 0 unobservable (only the launch can tell)
			implied time.boottime_ns: 0 unobservable (only the launch can tell)`,
		},
		"joined user": {
			ask:   `{"linux":{"namespaces":[{"type":"user","path":"/n"},{"type":"network"}]}}`,
			facts: `{"Joined":{"Namespaces":{"user":{"inode":5,"level":1}},"UserNS":{"parent":6,"uid_map":[{"inside":0,"host":7,"count":1}],"gid_map":[],"setgroups":false,"owner_uid":8}}}`,
			seen:  `{"namespaces":{"user":{"inode":5,"level":1}}}`,
			lines: `
			requested namespaces.user: {"inode":5,"level":1} equal, {"inode":4026531837} ignored, {"inode":6,"level":1} weaker
			requested namespaces.net: {"inode":9,"owner":5} equal, {"inode":9,"owner":4026531837} weaker
			implied user_namespace.parent: 6 equal, 0 inherited, 7 leaked
			implied user_namespace.uid_map: [{"inside":0,"host":7,"count":1}] equal, [] leaked
			implied user_namespace.gid_map: [] equal, [{"inside":0,"host":7,"count":1}] leaked
			implied user_namespace.setgroups: false equal, true inherited
			implied user_namespace.owner_uid: 8 equal, 0 inherited`,
		},
	})
}

// TestUserNamespaceMaps: maps are written in terms of the caller's namespace, and
// seen in terms of the initial one.
func TestUserNamespaceMaps(t *testing.T) {
	const ask = `{"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":5,"size":10},{"containerID":20,"hostID":1,"size":1}],
		"gidMappings":[{"containerID":3,"hostID":4,"size":2}]},"holdshort":{"denySetgroups":true}}`
	judge(t, map[string]launch{
		"of the initial one": {ask: ask, lines: `
			requested user_namespace.uid_map: [{"inside":0,"host":5,"count":10},{"inside":20,"host":1,"count":1}] equal, [{"inside":20,"host":1,"count":1},{"inside":0,"host":5,"count":10}] equal, [{"inside":0,"host":5,"count":10}] stronger, [{"inside":0,"host":5,"count":10},{"inside":20,"host":1,"count":2}] weaker, [{"inside":0,"host":6,"count":10},{"inside":20,"host":1,"count":1}] weaker, [{"inside":0,"host":0,"count":4294967295}] ignored
			requested user_namespace.gid_map: [{"inside":3,"host":4,"count":2}] equal, [] stronger, [{"inside":3,"host":4,"count":3}] weaker
			requested user_namespace.setgroups: false equal, true ignored`},
		"of one with a map": {
			ask: ask, caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":5},{"inside":5,"host":1000,"count":10}],"gid_map":[{"inside":4,"host":200,"count":2}]}}`,
			lines: `
			requested user_namespace.uid_map: [{"inside":0,"host":1000,"count":10},{"inside":20,"host":101,"count":1}] equal, [{"inside":0,"host":5,"count":10},{"inside":20,"host":1,"count":1}] weaker
			requested user_namespace.gid_map: [{"inside":3,"host":200,"count":2}] equal`,
		},
		"a line that no line of the caller's holds": {
			ask: ask, caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":14},{"inside":14,"host":1000,"count":10}],"gid_map":[{"inside":5,"host":200,"count":2}]}}`,
			lines: `
			requested user_namespace.uid_map: [] unobservable (the caller's id map)
			requested user_namespace.gid_map: [] unobservable (the caller's id map)`,
		},
		"the caller's are not known": {
			ask: ask, caller: `{"user_namespace":{"uid_map":{"unreadable":"x"},"gid_map":{"unreadable":"x"}}}`,
			lines: `
			requested user_namespace.uid_map: [] unobservable (the caller's id map was not read)
			requested user_namespace.gid_map: [] unobservable (the caller's id map was not read)`,
		},
	})
}

// TestNamesAndOffsets: a new namespace begins with what the old one has.
func TestNamesAndOffsets(t *testing.T) {
	judge(t, map[string]launch{
		"not asked for": {ask: `{"linux":{"namespaces":[{"type":"uts"},{"type":"time"}]}}`, lines: `
			kept uts.hostname: "host" equal, "" leaked
			kept uts.domainname: "(none)" equal, "x" leaked
			kept time.monotonic_ns: 0 equal, 1 leaked
			kept time.boottime_ns: 0 equal, 1 leaked`},
		"both": {ask: `{"hostname":"box","domainname":"example","linux":{"namespaces":[{"type":"uts"},{"type":"time"}],"timeOffsets":{"monotonic":{"secs":5,"nanosecs":6},"boottime":{"secs":-7}}}}`, lines: `
			requested uts.hostname: "box" equal, "host" ignored, "bo" weaker
			requested uts.domainname: "example" equal, "(none)" ignored, "box" weaker
			requested time.monotonic_ns: 5000000006 equal, 0 ignored, 5000000000 weaker
			requested time.boottime_ns: -7000000000 equal, 0 ignored, 5000000006 weaker`},
		"one of two": {
			ask: `{"hostname":"box","linux":{"namespaces":[{"type":"uts"},{"type":"time"}],"timeOffsets":{"boottime":{"secs":7}}}}`, caller: `{"time":{"monotonic_ns":3}}`, lines: `
			requested uts.hostname: "box" equal, "host" ignored
			kept uts.domainname: "(none)" equal, "box" leaked
			kept time.monotonic_ns: 3 equal, 0 leaked
			requested time.boottime_ns: 7000000000 equal, 0 ignored`,
		},
		"the other of two": {
			ask: `{"domainname":"example","linux":{"namespaces":[{"type":"uts"},{"type":"time"}],"timeOffsets":{"monotonic":{"secs":7}}}}`, caller: `{"time":{"boottime_ns":3}}`, lines: `
			kept uts.hostname: "host" equal, "example" leaked
			requested uts.domainname: "example" equal
			requested time.monotonic_ns: 7000000000 equal, 0 ignored
			kept time.boottime_ns: 3 equal, 0 leaked`,
		},
		"joined": {
			ask:   `{"linux":{"namespaces":[{"type":"uts","path":"/n"},{"type":"time","path":"/n"}]}}`,
			facts: `{"Joined":{"UTS":{"hostname":"there","domainname":"far"},"Time":{"monotonic_ns":8,"boottime_ns":9}}}`, lines: `
			implied uts.hostname: "there" equal, "host" inherited, "x" leaked
			implied uts.domainname: "far" equal, "(none)" inherited
			implied time.monotonic_ns: 8 equal, 0 inherited, 9 leaked
			implied time.boottime_ns: 9 equal, 0 inherited`,
		},
		"joined, and one name asked for": {
			ask:   `{"hostname":"box","linux":{"namespaces":[{"type":"uts","path":"/n"}]}}`,
			facts: `{"Joined":{"UTS":{"hostname":"there","domainname":"far"}}}`, lines: `
			requested uts.hostname: "box" equal, "there" weaker
			implied uts.domainname: "far" equal`,
		},
	})
}
