// Package sample has postures and requests for the tests of the harness.
package sample

import "github.com/holdshort/holdshort/probes/posture"

// AllCaps are the capabilities of the kernel that the samples are of.
const AllCaps = posture.CapSet(1<<41 - 1)

// Caller is the posture of a typical privileged caller, with every field
// known.
func Caller() *posture.Posture {
	ns := func(i uint32) posture.Value[posture.Namespace] {
		return posture.Known(posture.Namespace{Inode: 4026531800 + i, Owner: 4026531837})
	}
	whole := posture.Known([]posture.IDExtent{{Count: 1<<32 - 1}})
	zero := posture.Known[uint32](0)
	var limits posture.Rlimits
	for i := range limits {
		limits[i] = posture.Rlimit{Soft: 1024 * uint64(i+1), Hard: 1 << 20}
	}
	return &posture.Posture{
		Namespaces: posture.Namespaces{
			User:  posture.Known(posture.Namespace{Inode: 4026531837}),
			Mount: ns(41), PID: ns(36), PIDForChildren: ns(36), Net: ns(40), UTS: ns(38), IPC: ns(39),
			Cgroup: ns(35), Time: ns(34), TimeForChildren: ns(34),
		},
		UserNS: posture.UserNS{Parent: zero, UIDMap: whole, GIDMap: whole, Setgroups: posture.Known(true), OwnerUID: zero},
		UTS:    posture.UTS{Hostname: posture.Known("host"), Domainname: posture.Known("(none)")},
		Time:   posture.TimeOffsets{Monotonic: posture.Known[int64](0), Boottime: posture.Known[int64](0)},
		IDs: posture.IDs{
			UID: zero, EUID: zero, SUID: zero, FSUID: zero, GID: zero, EGID: zero, SGID: zero, FSGID: zero,
			Groups: posture.Known([]uint32{0, 4}),
		},
		Capabilities: posture.Capabilities{
			Bounding: posture.Known(AllCaps), Permitted: posture.Known(AllCaps),
			Effective: posture.Known(AllCaps), Inheritable: posture.Known[posture.CapSet](0), Ambient: posture.Known[posture.CapSet](0),
		},
		Privilege: posture.Privilege{
			NoNewPrivs: posture.Known(false), Securebits: zero, Dumpable: posture.Known[uint32](1),
			Pdeathsig: zero, Personality: zero, LoginUID: posture.Known(^uint32(0)), SessionID: posture.Known(^uint32(0)), SpecFlags: zero,
		},
		Seccomp:  posture.Seccomp{Mode: zero, Count: zero, Filters: posture.Known[[]posture.Filter](nil), Armed: posture.Known(false)},
		Landlock: posture.Landlock{Layers: zero, Handled: posture.Known[[]posture.LandlockLayer](nil), Rules: zero, RuleList: posture.Known[[]posture.LandlockRule](nil)},
		Cgroup: posture.Cgroup{
			V2:     posture.Known[uint64](100),
			V1:     posture.Known([]posture.CgroupV1{{Controller: "cpu", ID: 11}, {Controller: "memory", ID: 12}}),
			Frozen: posture.Known(false),
		},
		Rlimits: posture.Known(limits),
		OOM:     posture.OOM{ScoreAdj: posture.Known[int32](0), ScoreAdjMin: posture.Known[int32](0)},
		Sched: posture.Sched{
			Policy: zero, Nice: posture.Known[int32](0), RTPriority: zero, ResetOnFork: posture.Known(false),
			Affinity: posture.Known([]uint64{0xf}), IOPrio: zero, TimerSlack: posture.Known[uint64](50000), CoreCookie: posture.Known[uint64](0),
			DeadlineRuntime: posture.Known[uint64](0), Deadline: posture.Known[uint64](0), DeadlinePeriod: posture.Known[uint64](0),
			UclampMin: posture.Known(posture.Uclamp{}), UclampMax: posture.Known(posture.Uclamp{Value: 1024}),
			Autogroup: posture.Known[uint64](12), AutogroupNice: posture.Known[int32](0),
		},
		Memory: posture.Memory{
			Policy: zero, Nodes: posture.Known([]uint64{}), MemsAllowed: posture.Known([]uint64{1}), MDWE: zero, THPDisabled: zero,
			MergeAny: posture.Known(false), CoredumpFilter: posture.Known[uint32](0x33), Randomized: posture.Known(true),
		},
		Signals: posture.Signals{Blocked: posture.Known[uint64](1 << 16), Ignored: posture.Known[uint64](1 << 12), Pending: posture.Known[uint64](0)},
		Process: posture.Process{
			PID: posture.Known[uint32](900), PIDInside: posture.Known[uint32](900), Parent: posture.Known[uint32](800),
			Tracer: zero, Session: posture.Known[uint32](700), Group: posture.Known[uint32](701), SessionLeader: posture.Known(true),
			TTY: posture.Known(posture.TTY{Major: 136, Minor: 3}), Subreaper: posture.Known(true), Threads: posture.Known[uint32](9),
			SyscallDispatch: posture.Known(false), ShadowStack: posture.Known[uint64](0), IOUring: posture.Known(false), IOUringRestricted: posture.Known(false),
			MCEKill: posture.Known(posture.MCEKillDefault), IOFlusher: posture.Known(false),
		},
		FS: posture.FS{
			Umask: posture.Known[uint32](0o022), Root: posture.Known(posture.Inode{Dev: 1, Ino: 2}),
			Cwd: posture.Known(posture.Inode{Dev: 1, Ino: 3}), CwdUnderRoot: posture.Known(true),
			RootIsMountRoot: posture.Known(true), RootReadOnly: posture.Known(false),
			RootPropagation: posture.Known(posture.PropagationPrivate),
		},
		Files:    posture.Known(posture.Files{Open: []posture.File{{FD: 0}, {FD: 7}}}),
		Keyrings: posture.Keyrings{Session: posture.Known[int32](0x1234), Process: posture.Known[int32](5), Thread: posture.Known[int32](6), SessionOwner: zero},
		Exec: posture.Exec{
			Exe: posture.Known(posture.Inode{Dev: 1, Ino: 99}), ExeNlink: posture.Known[uint32](0), Comm: posture.Known("agent"),
			Args: posture.Known([]string{"agent"}), Env: posture.Known([]string{"SECRET=1"}), Secure: posture.Known(false), ForkNoExec: posture.Known(false),
		},
	}
}

// Requests are those that the tests of rules and of judging run through.
var Requests = map[string]string{
	"nothing": `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":""},"holdshort":{"keepIDs":true}}`,
	"typical": `{"ociVersion":"1.3.0","hostname":"box","root":{"path":"/srv/root","readonly":true},
		"process":{"user":{"uid":1000,"gid":1001,"additionalGids":[5,3],"umask":63},"args":["/bin/sh","-c","true"],"env":["PATH=/bin"],"cwd":"/tmp",
			"capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL"],"effective":["CAP_KILL"],"inheritable":["CAP_KILL"],"ambient":["CAP_KILL"]},
			"noNewPrivileges":true,"oomScoreAdj":100,"rlimits":[{"type":"RLIMIT_NOFILE","soft":64,"hard":128}],
			"scheduler":{"policy":"SCHED_BATCH","nice":5},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":6}},
		"linux":{"namespaces":[{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"network"},{"type":"uts"},{"type":"ipc"},{"type":"cgroup"},{"type":"time"}],
			"uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":200000,"size":65536}],
			"timeOffsets":{"monotonic":{"secs":5},"boottime":{"secs":7,"nanosecs":3}},
			"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]},"personality":{"domain":"LINUX32"}},
		"holdshort":{"cgroup":{"v2":"/sys/fs/cgroup/x","v1":{"memory":"/sys/fs/cgroup/memory/x"}},"session":true,"newKeyring":true,"securebits":47,
			"pdeathsig":"SIGTERM","affinity":[0,1],"timerSlackNS":1000,"ignoreSignals":["SIGHUP"],"blockSignals":["SIGUSR1"],"passFDs":2,"denySetgroups":false}}`,
	"identity": `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":""},
		"holdshort":{"keepIDs":true,"processGroup":true,"subreaper":true,"newKeyring":true,
			"speculation":{"storeBypass":"force-disable","indirectBranch":"disable"}}}`,
	"landlocked": `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"","noNewPrivileges":true},
		"holdshort":{"keepIDs":true,"landlock":{"layers":[
			{"handledAccessFS":["write_file","read_dir"],"handledAccessNet":["bind_tcp"],"netPort":[{"port":80,"allowedAccess":["bind_tcp"]}],
				"pathBeneath":[{"path":"/a","allowedAccess":["read_dir"]},{"path":"/b","allowedAccess":["read_dir"]},{"path":"/same","allowedAccess":["write_file"]}]},
			{"handledAccessFS":["read_dir"],"pathBeneath":[{"path":"/a","allowedAccess":["read_dir"]}]}]}}}`,
	"joined": `{"ociVersion":"1.3.0","process":{"user":{"uid":3,"gid":4},"args":["/bin/true"],"cwd":"/"},
		"linux":{"namespaces":[{"type":"pid","path":"/proc/1/ns/pid"},{"type":"network","path":"/proc/1/ns/net"},{"type":"uts"}]}}`,
}
