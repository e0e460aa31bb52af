package oracle

import (
	"strings"
	"testing"
)

// distinct gives the caller eight ids that can be told apart.
const distinct = `{"ids":{"uid":1,"euid":2,"suid":3,"fsuid":4,"gid":5,"egid":6,"sgid":7,"fsgid":8}}`

// TestIDs: execve makes saved and file-system ids the effective ones.
func TestIDs(t *testing.T) {
	const (
		user   = `{"holdshort":{"keepIDs":null},"process":{"user":{"uid":10,"gid":20,"additionalGids":[7,3]}}}`
		inside = `{"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1000,"size":100}],"gidMappings":[{"containerID":0,"hostID":2000,"size":100}]}`
	)
	judge(t, map[string]launch{
		"kept": {caller: distinct, lines: `
			kept ids.uid: 1 equal, 2 leaked
			kept ids.euid: 2 equal, 0 leaked
			kept ids.suid: 2 equal, 3 leaked
			kept ids.fsuid: 2 equal, 4 leaked
			kept ids.gid: 5 equal, 6 leaked
			kept ids.egid: 6 equal, 5 leaked
			kept ids.sgid: 6 equal, 7 leaked
			kept ids.fsgid: 6 equal, 8 leaked
			kept ids.groups: [0,4] equal, [] leaked`},
		"process.user": {ask: user, caller: distinct, lines: `
			requested ids.uid: 10 equal, 1 ignored, 0 weaker, 11 weaker
			requested ids.euid: 10 equal, 2 ignored, 0 weaker
			requested ids.suid: 10 equal, 3 ignored
			requested ids.fsuid: 10 equal, 4 ignored
			requested ids.gid: 20 equal, 5 ignored, 0 weaker, 10 weaker
			requested ids.egid: 20 equal, 6 ignored
			requested ids.sgid: 20 equal, 7 ignored
			requested ids.fsgid: 20 equal, 8 ignored
			requested ids.groups: [3,7] equal, [0,4] ignored, [3] stronger, [3,7,9] weaker, [7,3] stronger`},
		"user 0": {ask: `{"holdshort":{"keepIDs":null}}`, caller: distinct, lines: `
			requested ids.uid: 0 equal, 1 ignored, 9 stronger
			requested ids.groups: [] equal, [0,4] ignored, [9] weaker`},
		"of a caller with a map": {
			ask: user, caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":11}],"gid_map":[{"inside":3,"host":200,"count":18}]}}`, lines: `
			requested ids.uid: 110 equal, 10 weaker
			requested ids.gid: 217 equal, 20 weaker
			requested ids.groups: [200,204] equal, [3,7] weaker`,
		},
		"without an id in the caller's map": {
			ask: user, caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":10}],"gid_map":[{"inside":4,"host":200,"count":16}]}}`, lines: `
			requested ids.uid: 0 unobservable (the caller's id map)
			requested ids.euid: 0 unobservable (the caller's id map)
			requested ids.gid: 0 unobservable (the caller's id map)
			requested ids.egid: 0 unobservable (the caller's id map)
			requested ids.groups: [] unobservable (the caller's id map)
			requested capabilities.effective: 0 unobservable (of the caller were not read)`,
		},
		"the caller's maps are not known": {
			ask: user, caller: `{"user_namespace":{"uid_map":{"unreadable":"x"},"gid_map":{"unreadable":"x"}}}`, lines: `
			requested ids.uid: 0 unobservable (the caller's id map)
			requested ids.gid: 0 unobservable (the caller's id map)
			requested ids.groups: [] unobservable (the caller's id map)`,
		},
		"one of the maps is not known": {
			ask: `{"holdshort":{"keepIDs":null}}`, caller: `{"user_namespace":{"uid_map":{"unreadable":"x"}}}`, lines: `
			requested ids.uid: 0 unobservable (the caller's id map)
			requested ids.suid: 0 unobservable (the caller's id map)
			requested ids.gid: 0 equal
			requested ids.groups: [] equal`,
		},
		"the other of the maps is not known": {
			ask: `{"holdshort":{"keepIDs":null}}`, caller: `{"user_namespace":{"gid_map":{"unreadable":"x"}}}`, lines: `
			requested ids.uid: 0 equal
			requested ids.gid: 0 unobservable (the caller's id map)
			requested ids.sgid: 0 unobservable (the caller's id map)
			requested ids.groups: [] unobservable (the caller's id map)`,
		},
		"setgroups denied": {
			ask: inside + `,"holdshort":{"denySetgroups":true,"keepIDs":null}}`, lines: `
			requested ids.uid: 1000 equal
			implied ids.groups: [0,4] equal, [] leaked`,
		},
		"a new user namespace": { // the launcher becomes its user 0
			ask: inside + `}`, caller: distinct, lines: `
			implied ids.uid: 1000 equal, 1 inherited, 0 leaked
			implied ids.euid: 1000 equal, 2 inherited
			implied ids.suid: 1000 equal, 3 inherited
			implied ids.fsuid: 1000 equal, 4 inherited
			implied ids.gid: 2000 equal, 5 inherited
			implied ids.egid: 2000 equal, 6 inherited
			implied ids.sgid: 2000 equal, 7 inherited
			implied ids.fsgid: 2000 equal, 8 inherited
			kept ids.groups: [0,4] equal, [] leaked`,
		},
		"a new user namespace without a user 0": {
			ask: `{"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":1,"hostID":1000,"size":100}],"gidMappings":[{"containerID":0,"hostID":2000,"size":100}]}}`, caller: distinct, lines: `
			implied ids.uid: 1 equal, 1000 leaked
			implied ids.gid: 5 equal, 2000 leaked`,
		},
		"a new user namespace without a group 0": {
			ask: `{"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1000,"size":100}],"gidMappings":[{"containerID":1,"hostID":2000,"size":100}]}}`, caller: distinct, lines: `
			implied ids.uid: 1 equal, 1000 leaked
			implied ids.gid: 5 equal, 2000 leaked`,
		},
		"a user of a new user namespace": {
			ask: inside + `,"process":{"user":{"uid":10,"gid":20,"additionalGids":[7,3]}},"holdshort":{"keepIDs":null}}`, lines: `
			requested ids.uid: 1010 equal, 0 ignored, 1000 weaker
			requested ids.gid: 2020 equal, 0 ignored
			requested ids.groups: [2003,2007] equal, [0,4] ignored`,
		},
		"a program with setuid bit": {caller: distinct, feat: `{"Program":{"SetUID":33}}`, lines: `
			kept ids.uid: 1 equal
			kept ids.euid: 33 equal, 2 leaked
			kept ids.suid: 33 equal, 2 leaked
			kept ids.fsuid: 33 equal, 2 leaked
			kept ids.gid: 5 equal
			kept ids.egid: 6 equal`},
		"a program with setgid bit": {caller: distinct, feat: `{"Program":{"SetGID":44}}`, lines: `
			kept ids.uid: 1 equal
			kept ids.euid: 2 equal
			kept ids.gid: 5 equal
			kept ids.egid: 44 equal, 6 leaked
			kept ids.sgid: 44 equal, 6 leaked
			kept ids.fsgid: 44 equal, 6 leaked`},
		"no new privileges": {
			ask: `{"process":{"noNewPrivileges":true}}`, feat: `{"Program":{"SetUID":33,"SetGID":44}}`, lines: `
			kept ids.euid: 0 equal, 33 leaked
			kept ids.egid: 0 equal, 44 leaked`,
		},
		"the caller's no new privileges": {
			caller: `{"privilege":{"no_new_privs":true}}`, feat: `{"Program":{"SetUID":33,"SetGID":44}}`, lines: `
			kept ids.euid: 0 equal, 33 leaked
			kept ids.egid: 0 equal, 44 leaked`,
		},
		"a caller with two users, and no new privileges": {
			ask: `{"process":{"noNewPrivileges":true}}`, caller: `{"ids":{"uid":5,"gid":6}}`, lines: `
			kept ids.uid: 5 equal
			kept ids.euid: 0 unobservable (the caller's)
			kept ids.suid: 0 unobservable (the caller's)
			kept ids.gid: 6 equal
			kept ids.egid: 0 unobservable (the caller's)`,
		},
		"a caller with two groups, and no new privileges": {
			ask: `{"process":{"noNewPrivileges":true}}`, caller: `{"ids":{"gid":6}}`, lines: `
			kept ids.euid: 0 equal
			kept ids.fsuid: 0 equal
			kept ids.egid: 0 unobservable (the caller's)`,
		},
		"two users and two groups in a new user namespace without root, and no new privileges": {
			ask: `{"process":{"noNewPrivileges":true},"linux":{"namespaces":[{"type":"user"}]}}`, caller: distinct, lines: `
			implied ids.uid: 1 equal
			implied ids.euid: 2 unobservable (kernels differ)
			implied ids.egid: 6 unobservable (kernels differ)`,
		},
		"two groups in a new user namespace without root, and no new privileges": {
			ask: `{"process":{"noNewPrivileges":true},"linux":{"namespaces":[{"type":"user"}]}}`, caller: `{"ids":{"gid":6}}`, lines: `
			implied ids.euid: 0 equal
			implied ids.egid: 0 unobservable (kernels differ)`,
		},
		"a user, and no new privileges": {
			ask: `{"process":{"noNewPrivileges":true,"user":{"uid":7,"gid":8}},"holdshort":{"keepIDs":null}}`, caller: distinct, lines: `
			requested ids.euid: 7 equal
			requested ids.egid: 8 equal`,
		},
		"a program with both bits, of a caller of whom little is known": {
			caller: `{"privilege":{"no_new_privs":{"unreadable":"x"}}}`, feat: `{"Program":{"SetUID":33,"SetGID":44}}`, lines: `
			kept ids.uid: 0 equal
			kept ids.euid: 33 unobservable (the caller's)
			kept ids.gid: 0 equal
			kept ids.egid: 44 unobservable (the caller's)`,
		},
		"a program without bits, of a caller of whom little is known": {
			caller: `{"privilege":{"no_new_privs":{"unreadable":"x"}}}`, lines: `
			kept ids.euid: 0 equal
			kept ids.egid: 0 equal`,
		},
		"a program with both bits, of a caller of whom the capabilities are not known": {
			caller: `{"capabilities":{"bounding":{"unreadable":"x"}}}`, feat: `{"Program":{"SetUID":33,"SetGID":44}}`, lines: `
			kept ids.uid: 0 equal
			kept ids.euid: 33 equal, 0 leaked
			kept ids.egid: 44 equal, 0 leaked`,
		},
		"a program with both bits, in a joined user namespace": {
			ask:   `{"process":{"user":{"uid":3,"gid":4}},"holdshort":{"keepIDs":null},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`,
			feat:  `{"Program":{"SetUID":33,"SetGID":44}}`,
			facts: `{"Joined":{"UserNS":{"uid_map":[{"inside":0,"host":1000,"count":4}],"gid_map":[{"inside":4,"host":2000,"count":6}]}}}`, lines: `
			requested ids.uid: 1003 equal
			requested ids.euid: 33 equal, 1003 weaker
			requested ids.suid: 33 equal
			requested ids.fsuid: 33 equal
			requested ids.gid: 2000 equal
			requested ids.egid: 44 equal, 2000 weaker
			requested ids.sgid: 44 equal
			requested ids.fsgid: 44 equal`,
		},
		"no new privileges, in a joined user namespace": {
			ask:   `{"process":{"noNewPrivileges":true,"user":{"uid":3,"gid":4}},"holdshort":{"keepIDs":null},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`,
			feat:  `{"Program":{"SetUID":33,"SetGID":44}}`,
			facts: `{"Joined":{"UserNS":{"uid_map":[{"inside":0,"host":1000,"count":4}],"gid_map":[{"inside":4,"host":2000,"count":6}]}}}`, lines: `
			requested ids.euid: 1003 equal, 33 weaker
			requested ids.egid: 2000 equal, 44 weaker`,
		},
		"a joined user namespace": {
			ask:   `{"process":{"user":{"uid":3,"gid":4,"additionalGids":[9,5]}},"holdshort":{"keepIDs":null},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`,
			facts: `{"Joined":{"UserNS":{"uid_map":[{"inside":0,"host":1000,"count":4}],"gid_map":[{"inside":4,"host":2000,"count":6}]}}}`, lines: `
			requested ids.uid: 1003 equal, 0 ignored, 3 weaker
			requested ids.euid: 1003 equal, 0 ignored
			requested ids.suid: 1003 equal, 0 ignored
			requested ids.fsuid: 1003 equal, 0 ignored
			requested ids.gid: 2000 equal, 0 ignored
			requested ids.egid: 2000 equal, 0 ignored
			requested ids.sgid: 2000 equal, 0 ignored
			requested ids.fsgid: 2000 equal, 0 ignored
			requested ids.groups: [2001,2005] equal, [0,4] ignored`,
		},
		"a joined user namespace without the ids": {
			ask:   `{"process":{"user":{"uid":3,"gid":4,"additionalGids":[9,5]}},"holdshort":{"keepIDs":null},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`,
			facts: `{"Joined":{"UserNS":{"uid_map":[{"inside":0,"host":1000,"count":3}],"gid_map":[{"inside":5,"host":2000,"count":4}]}}}`, lines: `
			requested ids.uid: 0 unobservable (only the launch can tell)
			requested ids.gid: 0 unobservable (only the launch can tell)
			requested ids.groups: [0,4] unobservable (only the launch can tell)`,
		},
		"a joined user namespace of which nothing is known": {
			ask: `{"holdshort":{"keepIDs":null},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`, lines: `
			requested ids.uid: 0 unobservable (only the launch can tell)
			requested ids.fsgid: 0 unobservable (only the launch can tell)
			requested ids.groups: [0,4] unobservable (only the launch can tell)`,
		},
		"a joined user namespace, and the ids kept": {
			ask: `{"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`, caller: distinct,
			facts: `{"Joined":{"UserNS":{"uid_map":[{"inside":0,"host":1000,"count":4}],"gid_map":[{"inside":4,"host":2000,"count":6}]}}}`, lines: `
			kept ids.uid: 1 equal, 1000 leaked
			kept ids.gid: 5 equal, 2000 leaked
			kept ids.groups: [0,4] equal`,
		},
		"the caller's are not known": {
			caller: `{"ids":{"uid":{"unreadable":"x"},"egid":{"unreadable":"x"}}}`, lines: `
			kept ids.uid: 0 unobservable (the caller's)
			kept ids.gid: 0 equal
			kept ids.egid: 0 unobservable (the caller's)
			kept ids.sgid: 0 unobservable (the caller's)`,
		},
		"another of the caller's is not known": {
			caller: `{"ids":{"euid":{"unreadable":"x"},"gid":{"unreadable":"x"}}}`, lines: `
			kept ids.euid: 0 unobservable (the caller's)
			kept ids.suid: 0 unobservable (the caller's)
			kept ids.gid: 0 unobservable (the caller's)
			kept ids.egid: 0 equal`,
		},
	})
}

// Bits of capabilities(7): 0 chown, 1 dac_override, 5 kill.
func TestCapabilities(t *testing.T) {
	const caps = `"capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL"],"effective":["CAP_KILL"],"inheritable":["CAP_CHOWN","CAP_KILL"],"ambient":["CAP_KILL"]}`
	judge(t, map[string]launch{
		"nothing": {lines: `
			implied capabilities.bounding: 2199023255551 equal, 1 leaked
			implied capabilities.permitted: 2199023255551 equal, 0 leaked
			implied capabilities.effective: 2199023255551 equal, 0 leaked
			implied capabilities.inheritable: 0 equal, 1 leaked
			implied capabilities.ambient: 0 equal, 1 leaked`},
		"of a user": {ask: `{"process":{"noNewPrivileges":true,"user":{"uid":9},` + caps + `},"holdshort":{"keepIDs":null}}`, lines: `
			requested capabilities.bounding: 33 equal, 2199023255551 ignored, 32 stronger, 35 weaker
			requested capabilities.permitted: 32 equal, 2199023255551 ignored, 0 stronger, 33 weaker
			requested capabilities.effective: 32 equal, 2199023255551 ignored, 0 stronger, 33 weaker
			requested capabilities.inheritable: 33 equal, 0 ignored, 32 stronger, 35 weaker
			requested capabilities.ambient: 32 equal, 0 ignored, 33 weaker`},
		"of root": {ask: `{"process":{` + caps + `}}`, lines: `
			requested capabilities.bounding: 33 equal
			requested capabilities.permitted (execve makes another set): 33 equal, 32 stronger
			requested capabilities.effective (execve makes another set): 33 equal, 32 stronger`},
		"permitted, and not effective": {ask: `{"process":{"noNewPrivileges":true,"capabilities":{"permitted":["CAP_KILL"]}}}`, lines: `
			requested capabilities.bounding: 0 equal
			requested capabilities.permitted (execve makes another set): 0 equal
			requested capabilities.effective: 0 equal`},
		"ambient without inheritable": {ask: `{"process":{"capabilities":{"permitted":["CAP_KILL"],"ambient":["CAP_KILL"]}}}`, lines: `
			requested capabilities.ambient (cannot become ambient): 0 equal, 32 weaker`},
		"ambient without permitted": {ask: `{"process":{"capabilities":{"inheritable":["CAP_KILL"],"ambient":["CAP_KILL"]}}}`, lines: `
			requested capabilities.ambient (cannot become ambient): 0 equal, 32 weaker`},
		"beyond the caller's bounding set": {
			ask: `{"process":{"noNewPrivileges":true,` + caps + `}}`, caller: `{"capabilities":{"bounding":34}}`, lines: `
			requested capabilities.bounding (has not all that was asked for): 32 equal, 33 weaker, 34 ignored`,
		},
		"root that is not privileged": {ask: `{"holdshort":{"securebits":1}}`, lines: `
			requested capabilities.permitted: 0 equal, 2199023255551 ignored`},
		"another user": {ask: `{"process":{"user":{"uid":9}},"holdshort":{"keepIDs":null}}`, lines: `
			requested capabilities.permitted: 0 equal, 2199023255551 ignored, 1 weaker
			requested capabilities.bounding: 2199023255551 equal`},
		"a new user namespace": {ask: `{"linux":{"namespaces":[{"type":"user"}]}}`, caller: `{"capabilities":{"bounding":1,"inheritable":4}}`, lines: `
			requested capabilities.bounding: 2199023255551 equal, 1 ignored
			requested capabilities.inheritable: 0 equal, 4 ignored
			requested capabilities.permitted: 0 equal`},
		"no new privileges": {ask: `{"process":{"noNewPrivileges":true}}`, caller: `{"capabilities":{"permitted":3,"effective":1}}`, lines: `
			requested capabilities.permitted: 3 equal, 2199023255551 weaker, 1 stronger
			requested capabilities.effective: 3 equal, 1 ignored`},
		"in a user namespace whose root is another": { // user 0 of the host is nobody there
			caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":5}]}}`, lines: `
			implied capabilities.permitted: 0 equal, 2199023255551 inherited`,
		},
		"in a user namespace, of which it is root": {
			caller: `{"ids":{"uid":100,"euid":100,"suid":100},"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":5}]}}`, lines: `
			implied capabilities.permitted: 2199023255551 equal, 0 leaked`,
		},
		"a joined user namespace": { // all that it has, and nothing of the past
			ask: `{"linux":{"namespaces":[{"type":"user","path":"/n"}]},"holdshort":{"keepIDs":null}}`, caller: `{"capabilities":{"bounding":3,"inheritable":4,"ambient":4},"privilege":{"securebits":2}}`, lines: `
			requested capabilities.bounding: 2199023255551 equal, 3 ignored
			requested capabilities.inheritable: 0 equal, 4 ignored
			requested capabilities.ambient: 0 equal, 4 ignored
			requested capabilities.effective: 2199023255551 equal`,
		},
		"a joined user namespace whose map is not known": {
			ask: `{"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`, caller: `{"privilege":{"securebits":2}}`, lines: `
			implied privilege.securebits: 0 equal, 2 inherited`,
		},
		"a new user namespace below one": {
			ask:    `{"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":3,"size":2}],"gidMappings":[{"containerID":0,"hostID":3,"size":2}]}}`,
			caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":5}],"gid_map":[{"inside":0,"host":100,"count":5}]}}`, lines: `
			implied ids.uid: 103 equal, 3 leaked
			requested capabilities.permitted: 2199023255551 equal, 0 stronger`,
		},
	})
}

// TestCredentialsOfTheCallerNotKnown: what execve makes of credentials is known
// only if all of them are.
func TestCredentialsOfTheCallerNotKnown(t *testing.T) {
	const rows = `
		CLASS capabilities.bounding: 0 unobservable (of the caller were not read)
		CLASS capabilities.permitted: 0 unobservable (of the caller were not read)
		CLASS capabilities.effective: 0 unobservable (of the caller were not read)
		CLASS capabilities.inheritable: 0 unobservable (of the caller were not read)
		CLASS capabilities.ambient: 0 unobservable (of the caller were not read)
		implied privilege.dumpable: 1 unobservable (of the caller were not read)
		implied exec.secure: false unobservable (of the caller were not read)
		requested privilege.pdeathsig: 9 unobservable (of the caller were not read)
		requested privilege.personality: 0 unobservable (of the caller were not read)`
	for _, f := range []Field{
		UID, EUID, SUID, CapBounding, CapPermitted, CapEffective, CapInheritable, CapAmbient, Securebits, NoNewPrivs, UserUIDMap,
	} {
		t.Run(f.String(), func(t *testing.T) {
			outer, inner, _ := strings.Cut(f.String(), ".")
			launch{
				ask:    `{"holdshort":{"pdeathsig":"KILL","personality":262144}}`,
				caller: `{"` + outer + `":{"` + inner + `":{"unreadable":"x"}}}`,
				lines:  strings.ReplaceAll(rows, "CLASS", "implied"),
			}.judge(t)
		})
	}
	judge(t, map[string]launch{
		"a map for a new user namespace": {
			ask:    `{"holdshort":{"pdeathsig":"KILL","personality":262144},"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":50,"size":2}],"gidMappings":[{"containerID":0,"hostID":50,"size":2}]}}`,
			caller: `{"user_namespace":{"uid_map":[{"inside":0,"host":100,"count":5}]}}`,
			lines:  strings.ReplaceAll(rows, "CLASS", "requested"),
		},
		"ids kept in a joined user namespace": {
			ask:   `{"holdshort":{"pdeathsig":"KILL","personality":262144},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`,
			lines: strings.ReplaceAll(rows, "CLASS", "requested"),
		},
		"ids kept in a joined user namespace, of a caller without ids": {
			ask:    `{"holdshort":{"pdeathsig":"KILL","personality":262144},"linux":{"namespaces":[{"type":"user","path":"/n"}]}}`,
			caller: `{"ids":{"suid":{"unreadable":"x"}}}`,
			facts:  `{"Joined":{"UserNS":{"uid_map":[{"inside":0,"host":0,"count":4}]}}}`,
			lines:  strings.ReplaceAll(rows, "CLASS", "requested"),
		},
	})
}

// TestPrivilege has what execve and the request make of the rest of credentials.
func TestPrivilege(t *testing.T) {
	const gains = `"process":{"capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL"]}}`
	judge(t, map[string]launch{
		"nothing": {lines: `
			kept privilege.no_new_privs: false equal, true leaked
			kept privilege.securebits: 0 equal, 16 leaked
			implied privilege.dumpable: 1 equal, 0 leaked
			promised privilege.pdeathsig: 0 equal, 9 leaked
			kept privilege.personality: 0 equal, 8 leaked
			kept privilege.spec_flags: 0 equal, 8 leaked
			kept privilege.loginuid: 4294967295 equal, 0 leaked
			kept privilege.sessionid: 4294967295 equal, 1 leaked
			implied exec.secure: false equal, true leaked`},
		"the caller's": {
			caller: `{"privilege":{"no_new_privs":true,"securebits":48,"dumpable":0,"pdeathsig":9,"personality":4194312,"spec_flags":136}}`, lines: `
			kept privilege.no_new_privs: true equal, false leaked
			kept privilege.securebits: 32 equal, 48 leaked
			implied privilege.dumpable: 1 equal, 0 inherited
			promised privilege.pdeathsig: 0 equal, 9 inherited, 15 leaked
			kept privilege.personality: 8 equal, 4194312 leaked
			kept privilege.spec_flags: 0 equal, 136 leaked, 8 leaked`,
		},
		"the caller's are not known": {
			caller: `{"privilege":{"securebits":{"unreadable":"x"},"personality":{"unreadable":"x"},"spec_flags":{"unreadable":"x"}}}`, lines: `
			kept privilege.securebits: 0 unobservable (the caller's)
			kept privilege.personality: 0 unobservable (the caller's)
			kept privilege.spec_flags: 0 unobservable (the caller's)`,
		},
		"asked for": {
			ask: `{"process":{"noNewPrivileges":true},"linux":{"personality":{"domain":"LINUX32"}},
				"holdshort":{"securebits":47,"pdeathsig":"TERM","speculation":{"storeBypass":"disable"}}}`, lines: `
			requested privilege.no_new_privs: true equal, false ignored
			requested privilege.securebits: 47 equal, 0 ignored, 15 weaker, 111 stronger, 63 weaker
			requested privilege.pdeathsig: 15 equal, 0 ignored, 9 weaker
			requested privilege.personality: 8 equal, 0 ignored, 262152 weaker
			requested privilege.spec_flags: 8 equal, 0 ignored, 24 stronger, 16 weaker`,
		},
		"asked for, the caller's are not known": {
			ask:    `{"linux":{"personality":{"domain":"LINUX32"}},"holdshort":{"securebits":47,"speculation":{"storeBypass":"disable"}}}`,
			caller: `{"privilege":{"securebits":{"unreadable":"x"},"personality":{"unreadable":"x"},"spec_flags":{"unreadable":"x"}}}`, lines: `
			requested privilege.securebits: 47 equal, 0 weaker
			requested privilege.personality: 8 equal, 0 weaker
			requested privilege.spec_flags: 8 unobservable (the caller's flags were not read)`,
		},
		"the death signal of the caller, asked for again": {
			ask: `{"holdshort":{"pdeathsig":0}}`, caller: `{"privilege":{"pdeathsig":9}}`, lines: `
			requested privilege.pdeathsig: 0 equal, 9 ignored, 15 stronger`,
		},
		"bits that execve clears": {
			ask: `{"holdshort":{"securebits":16,"personality":4194312}}`, lines: `
			requested privilege.securebits (execve clears SECBIT_KEEP_CAPS): 0 equal, 16 weaker
			requested privilege.personality (execve clears bits): 8 equal, 4194312 weaker`,
		},
		"a new user namespace": {
			ask: `{"linux":{"namespaces":[{"type":"user"}]}}`, caller: `{"privilege":{"securebits":47}}`, lines: `
			implied privilege.securebits: 0 equal, 47 inherited`,
		},
		"a new user namespace, and bits": {
			ask: `{"linux":{"namespaces":[{"type":"user"}]},"holdshort":{"securebits":3}}`, caller: `{"privilege":{"securebits":47}}`, lines: `
			requested privilege.securebits: 3 equal, 47 ignored, 0 weaker`,
		},
		"an execve that gives privileges": {
			ask: `{` + gains + `,"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"SuidDumpable":2}`, lines: `
			implied privilege.dumpable: 2 equal, 1 inherited, 0 leaked
			requested privilege.pdeathsig (execve clears the death signal): 0 equal, 15 stronger
			requested privilege.personality (execve clears bits): 8 equal, 262152 weaker`,
		},
		"privileges that are the caller's": {
			ask: `{"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"SuidDumpable":2}`, lines: `
			implied privilege.dumpable: 1 equal, 2 leaked
			requested privilege.pdeathsig: 15 equal
			requested privilege.personality: 262152 equal, 8 weaker`,
		},
		"a program that cannot be read": {feat: `{"SuidDumpable":2,"Program":{"Unreadable":true}}`, lines: `
			implied privilege.dumpable: 2 equal, 1 inherited`},
		"a process of two users": {caller: `{"ids":{"uid":5,"euid":0,"suid":0}}`, feat: `{"SuidDumpable":2}`, lines: `
			implied privilege.dumpable: 2 equal, 1 inherited
			implied exec.secure: true equal, false inherited`},
		"a secure execve clears the death signal, even without more privileges": {
			ask: `{"holdshort":{"pdeathsig":"TERM"}}`, caller: `{"ids":{"uid":5,"euid":0,"suid":0}}`, lines: `
			requested privilege.pdeathsig (execve clears the death signal): 0 equal, 15 stronger`,
		},
		"a program of another user": {
			ask: `{"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"SuidDumpable":2,"Program":{"SetUID":33}}`, lines: `
			implied privilege.dumpable: 2 equal
			requested privilege.pdeathsig (execve clears the death signal): 0 equal
			requested privilege.personality (execve clears bits): 8 equal
			implied exec.secure: true equal, false inherited`,
		},
		"a profile of AppArmor": {
			ask: `{"process":{"apparmorProfile":"box"},"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"Labels":{"AppArmor":"unconfined"}}`, lines: `
			requested privilege.pdeathsig (it changes the label): 0 equal, 15 stronger
			requested privilege.personality (execve clears bits): 8 equal
			implied exec.secure: false equal, true leaked`,
		},
		"a profile of AppArmor for a caller that has one": {
			ask: `{"process":{"apparmorProfile":"box"},"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"Labels":{"AppArmor":"cage"}}`, lines: `
			requested privilege.pdeathsig (it changes the label): 0 equal
			implied exec.secure: false equal, true equal`,
		},
		"the profile of AppArmor that the caller has": {
			ask: `{"process":{"apparmorProfile":"box"},"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"Labels":{"AppArmor":"box"}}`, lines: `
			requested privilege.pdeathsig: 15 equal
			requested privilege.personality: 262152 equal
			implied exec.secure: false equal, true leaked`,
		},
		"out of a profile of AppArmor": {
			ask: `{"process":{"apparmorProfile":"unconfined"},"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"Labels":{"AppArmor":"cage"}}`, lines: `
			requested privilege.pdeathsig: 15 equal, 0 ignored
			requested privilege.personality (execve clears bits): 8 equal
			implied exec.secure: false equal, true equal`,
		},
		"a context of SELinux": {
			ask: `{"process":{"selinuxLabel":"a:b:c"},"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"Labels":{"SELinux":"u"}}`, lines: `
			requested privilege.pdeathsig (it changes the label): 0 equal
			requested privilege.personality (execve clears bits): 8 equal
			implied exec.secure: false equal, true equal`,
		},
		"the context of SELinux that the caller has": {
			ask: `{"process":{"selinuxLabel":"u"},"holdshort":{"pdeathsig":"TERM","personality":262152}}`, feat: `{"Labels":{"SELinux":"u"}}`, lines: `
			requested privilege.pdeathsig: 15 equal
			requested privilege.personality: 262152 equal`,
		},
		"no death signal, and a label": {
			ask: `{"process":{"selinuxLabel":"a:b:c"}}`, lines: `
			promised privilege.pdeathsig: 0 equal, 9 leaked`,
		},
		"bits of the personality of a caller without ids": {
			caller: `{"ids":{"uid":{"unreadable":"x"}},"privilege":{"personality":262144}}`, lines: `
			kept privilege.personality: 262144 unobservable (the caller's)`,
		},
		"no bits of the personality of a caller without ids": {
			caller: `{"ids":{"uid":{"unreadable":"x"}},"privilege":{"personality":8}}`, lines: `
			kept privilege.personality: 8 equal, 0 leaked`,
		},
	})
}

// TestSpeculation: a filter may switch mitigations on.
func TestSpeculation(t *testing.T) {
	const filter = `{"defaultAction":"SCMP_ACT_ALLOW"}`
	judge(t, map[string]launch{
		"a filter": {ask: `{"linux":{"seccomp":` + filter + `}}`, caller: `{"privilege":{"spec_flags":8}}`, lines: `
			kept privilege.spec_flags: 8 equal, 40 equal, 0 leaked, 32 leaked`},
		"a filter that is not to": {
			ask: `{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}}}`, caller: `{"privilege":{"spec_flags":8}}`, lines: `
			kept privilege.spec_flags: 8 equal, 40 leaked, 0 leaked`,
		},
		"two filters, one of which may": {
			ask: `{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}},"holdshort":{"seccomp":[` + filter + `]}}`, lines: `
			kept privilege.spec_flags: 0 equal, 40 equal`,
		},
		"asked for, and a filter": {
			ask: `{"linux":{"seccomp":` + filter + `},"holdshort":{"speculation":{"indirectBranch":"force-disable"}}}`, lines: `
			requested privilege.spec_flags: 96 equal, 104 equal, 32 weaker, 0 ignored`,
		},
		"until execve": {caller: `{"privilege":{"spec_flags":168}}`, lines: `kept privilege.spec_flags: 32 equal, 168 leaked`},
		"until execve, and asked for": {
			ask: `{"holdshort":{"speculation":{"storeBypass":"enable"}}}`, caller: `{"privilege":{"spec_flags":136}}`, lines: `
			requested privilege.spec_flags: 0 equal, 136 ignored`,
		},
		"the cache": {ask: `{"holdshort":{"speculation":{"l1dFlush":"enable"}}}`, caller: `{"privilege":{"spec_flags":{"unreadable":"x"}}}`, lines: `
			kept privilege.spec_flags: 0 unobservable (the caller's is not known)`},
	})
}

// A class says where it came from.
func TestSource(t *testing.T) {
	for ask, sources := range map[string]map[Field]string{
		``:                                     {CapEffective: "execve", UID: "not asked for", Securebits: "not asked for", ExecArgs: "process.args"},
		`{"process":{"noNewPrivileges":true}}`: {CapEffective: "process.noNewPrivileges, through execve"},
		`{"linux":{"namespaces":[{"type":"user"}]},"process":{"noNewPrivileges":true}}`: {CapEffective: "linux.namespaces: user, through execve", UID: "linux.namespaces: user"},
		`{"linux":{"namespaces":[{"type":"user"}]},"holdshort":{"keepIDs":null}}`:       {CapEffective: "process.user, through execve", UID: "process.user"},
		`{"holdshort":{"keepIDs":null,"securebits":1}}`:                                 {CapEffective: "holdshort.securebits, through execve", Securebits: "holdshort.securebits"},
		`{"process":{"capabilities":{}},"holdshort":{"securebits":1}}`:                  {CapEffective: "process.capabilities, through execve"},
	} {
		e := launch{ask: ask}.expectation(t)
		for f, want := range sources {
			if got := e.Source(f); got != want {
				t.Errorf("%s: %s comes from %q, want %q", ask, f, got, want)
			}
		}
	}
}
