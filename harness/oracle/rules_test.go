package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/probes/posture"
)

// mutations has, for every field, a change that makes a met expectation
// unmet. A field without one would never be seen to fail.
var mutations = [NumFields]func(p *posture.Posture){}

func init() {
	ns := func(at func(*posture.Posture) *posture.Value[posture.Namespace]) func(*posture.Posture) {
		caller := rootCaller()
		return func(p *posture.Posture) {
			now, _ := at(p).Get()
			before, _ := at(caller).Get()
			if now == before {
				before.Inode += 77
			}
			*at(p) = posture.Known(before)
		}
	}
	u := func(at func(*posture.Posture) *posture.Value[uint32]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v ^ 64) }
	}
	i := func(at func(*posture.Posture) *posture.Value[int32]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v + 3) }
	}
	l := func(at func(*posture.Posture) *posture.Value[uint64]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v ^ 1<<7) }
	}
	b := func(at func(*posture.Posture) *posture.Value[bool]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(!v) }
	}
	c := func(at func(*posture.Posture) *posture.Value[posture.CapSet]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v ^ 1<<12) }
	}
	s := func(at func(*posture.Posture) *posture.Value[string]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); *at(p) = posture.Known(v + "!") }
	}
	n := func(at func(*posture.Posture) *posture.Value[posture.Inode]) func(*posture.Posture) {
		return func(p *posture.Posture) { v, _ := at(p).Get(); v.Ino++; *at(p) = posture.Known(v) }
	}
	m := func(at func(*posture.Posture) *posture.Value[[]posture.IDExtent]) func(*posture.Posture) {
		return func(p *posture.Posture) {
			v, _ := at(p).Get()
			*at(p) = posture.Known(append([]posture.IDExtent{{Inside: 1 << 31, Host: 3, Count: 1}}, v...))
		}
	}
	type P = posture.Posture
	mutations = [NumFields]func(*P){
		NSUser:            ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.User }),
		NSMount:           ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Mount }),
		NSPID:             ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.PID }),
		NSNet:             ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Net }),
		NSUTS:             ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.UTS }),
		NSIPC:             ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.IPC }),
		NSCgroup:          ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Cgroup }),
		NSTime:            ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.Time }),
		NSPIDForChildren:  ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.PIDForChildren }),
		NSTimeForChildren: ns(func(p *P) *posture.Value[posture.Namespace] { return &p.Namespaces.TimeForChildren }),
		UserParent:        u(func(p *P) *posture.Value[uint32] { return &p.UserNS.Parent }),
		UserUIDMap:        m(func(p *P) *posture.Value[[]posture.IDExtent] { return &p.UserNS.UIDMap }),
		UserGIDMap:        m(func(p *P) *posture.Value[[]posture.IDExtent] { return &p.UserNS.GIDMap }),
		UserSetgroups:     b(func(p *P) *posture.Value[bool] { return &p.UserNS.Setgroups }),
		UserOwnerUID:      u(func(p *P) *posture.Value[uint32] { return &p.UserNS.OwnerUID }),
		UTSHostname:       s(func(p *P) *posture.Value[string] { return &p.UTS.Hostname }),
		UTSDomainname:     s(func(p *P) *posture.Value[string] { return &p.UTS.Domainname }),
		TimeMonotonic:     func(p *P) { v, _ := p.Time.Monotonic.Get(); p.Time.Monotonic = posture.Known(v + 1) },
		TimeBoottime:      func(p *P) { v, _ := p.Time.Boottime.Get(); p.Time.Boottime = posture.Known(v + 1) },
		UID:               u(func(p *P) *posture.Value[uint32] { return &p.IDs.UID }),
		EUID:              u(func(p *P) *posture.Value[uint32] { return &p.IDs.EUID }),
		SUID:              u(func(p *P) *posture.Value[uint32] { return &p.IDs.SUID }),
		FSUID:             u(func(p *P) *posture.Value[uint32] { return &p.IDs.FSUID }),
		GID:               u(func(p *P) *posture.Value[uint32] { return &p.IDs.GID }),
		EGID:              u(func(p *P) *posture.Value[uint32] { return &p.IDs.EGID }),
		SGID:              u(func(p *P) *posture.Value[uint32] { return &p.IDs.SGID }),
		FSGID:             u(func(p *P) *posture.Value[uint32] { return &p.IDs.FSGID }),
		Groups: func(p *P) {
			v, _ := p.IDs.Groups.Get()
			p.IDs.Groups = posture.Known(append([]uint32{1}, v...))
		},
		CapBounding:    c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Bounding }),
		CapPermitted:   c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Permitted }),
		CapEffective:   c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Effective }),
		CapInheritable: c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Inheritable }),
		CapAmbient:     c(func(p *P) *posture.Value[posture.CapSet] { return &p.Capabilities.Ambient }),
		NoNewPrivs:     b(func(p *P) *posture.Value[bool] { return &p.Privilege.NoNewPrivs }),
		Securebits:     u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Securebits }),
		Dumpable:       u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Dumpable }),
		Pdeathsig:      u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Pdeathsig }),
		Personality:    u(func(p *P) *posture.Value[uint32] { return &p.Privilege.Personality }),
		LoginUID:       u(func(p *P) *posture.Value[uint32] { return &p.Privilege.LoginUID }),
		AuditSession:   u(func(p *P) *posture.Value[uint32] { return &p.Privilege.SessionID }),
		SpecFlags:      u(func(p *P) *posture.Value[uint32] { return &p.Privilege.SpecFlags }),
		SeccompMode:    u(func(p *P) *posture.Value[uint32] { return &p.Seccomp.Mode }),
		SeccompCount:   u(func(p *P) *posture.Value[uint32] { return &p.Seccomp.Count }),
		SeccompFilters: func(p *P) {
			v, _ := p.Seccomp.Filters.Get()
			p.Seccomp.Filters = posture.Known(append([]posture.Filter{{Log: true, Instructions: []posture.Instruction{{Code: 6}}}}, v...))
		},
		LandlockLayers: u(func(p *P) *posture.Value[uint32] { return &p.Landlock.Layers }),
		CgroupV2:       l(func(p *P) *posture.Value[uint64] { return &p.Cgroup.V2 }),
		CgroupV1: func(p *P) {
			v, _ := p.Cgroup.V1.Get()
			w := append([]posture.CgroupV1(nil), v...)
			w[0].ID++
			p.Cgroup.V1 = posture.Known(w)
		},
		OOMScoreAdj:      i(func(p *P) *posture.Value[int32] { return &p.OOM.ScoreAdj }),
		OOMScoreAdjMin:   i(func(p *P) *posture.Value[int32] { return &p.OOM.ScoreAdjMin }),
		SchedPolicy:      u(func(p *P) *posture.Value[uint32] { return &p.Sched.Policy }),
		SchedNice:        i(func(p *P) *posture.Value[int32] { return &p.Sched.Nice }),
		SchedRTPriority:  u(func(p *P) *posture.Value[uint32] { return &p.Sched.RTPriority }),
		SchedResetOnFork: b(func(p *P) *posture.Value[bool] { return &p.Sched.ResetOnFork }),
		SchedAffinity: func(p *P) {
			v, _ := p.Sched.Affinity.Get()
			p.Sched.Affinity = posture.Known([]uint64{v[0] | 1<<9})
		},
		SchedIOPrio:          u(func(p *P) *posture.Value[uint32] { return &p.Sched.IOPrio }),
		SchedTimerSlack:      l(func(p *P) *posture.Value[uint64] { return &p.Sched.TimerSlack }),
		SchedCoreCookie:      l(func(p *P) *posture.Value[uint64] { return &p.Sched.CoreCookie }),
		SignalsBlocked:       l(func(p *P) *posture.Value[uint64] { return &p.Signals.Blocked }),
		SignalsIgnored:       l(func(p *P) *posture.Value[uint64] { return &p.Signals.Ignored }),
		SignalsPending:       l(func(p *P) *posture.Value[uint64] { return &p.Signals.Pending }),
		ProcessPID:           u(func(p *P) *posture.Value[uint32] { return &p.Process.PID }),
		ProcessPIDInside:     u(func(p *P) *posture.Value[uint32] { return &p.Process.PIDInside }),
		ProcessParent:        u(func(p *P) *posture.Value[uint32] { return &p.Process.Parent }),
		ProcessTracer:        u(func(p *P) *posture.Value[uint32] { return &p.Process.Tracer }),
		ProcessSession:       u(func(p *P) *posture.Value[uint32] { return &p.Process.Session }),
		ProcessGroup:         u(func(p *P) *posture.Value[uint32] { return &p.Process.Group }),
		ProcessSessionLeader: b(func(p *P) *posture.Value[bool] { return &p.Process.SessionLeader }),
		ProcessTTY: func(p *P) {
			v, _ := p.Process.TTY.Get()
			v.Minor++
			p.Process.TTY = posture.Known(v)
		},
		ProcessSubreaper:  b(func(p *P) *posture.Value[bool] { return &p.Process.Subreaper }),
		ProcessThreads:    u(func(p *P) *posture.Value[uint32] { return &p.Process.Threads }),
		FSUmask:           u(func(p *P) *posture.Value[uint32] { return &p.FS.Umask }),
		FSRoot:            n(func(p *P) *posture.Value[posture.Inode] { return &p.FS.Root }),
		FSCwd:             n(func(p *P) *posture.Value[posture.Inode] { return &p.FS.Cwd }),
		FSCwdUnderRoot:    b(func(p *P) *posture.Value[bool] { return &p.FS.CwdUnderRoot }),
		FSRootIsMountRoot: b(func(p *P) *posture.Value[bool] { return &p.FS.RootIsMountRoot }),
		FSRootReadOnly:    b(func(p *P) *posture.Value[bool] { return &p.FS.RootReadOnly }),
		OpenFiles: func(p *P) {
			v, _ := p.Files.Get()
			p.Files = posture.Known(posture.Files{Open: append(append([]posture.File(nil), v.Open...), posture.File{FD: 99})})
		},
		KeyringSession: func(p *P) {
			v, _ := p.Keyrings.Session.Get()
			if before, _ := rootCaller().Keyrings.Session.Get(); v == before {
				before++
				p.Keyrings.Session = posture.Known(before)
			} else {
				p.Keyrings.Session = posture.Known(before)
			}
		},
		KeyringProcess: i(func(p *P) *posture.Value[int32] { return &p.Keyrings.Process }),
		KeyringThread:  i(func(p *P) *posture.Value[int32] { return &p.Keyrings.Thread }),
		ExecExe:        n(func(p *P) *posture.Value[posture.Inode] { return &p.Exec.Exe }),
		ExecExeNlink:   u(func(p *P) *posture.Value[uint32] { return &p.Exec.ExeNlink }),
		ExecComm:       s(func(p *P) *posture.Value[string] { return &p.Exec.Comm }),
		ExecArgs: func(p *P) {
			v, _ := p.Exec.Args.Get()
			p.Exec.Args = posture.Known(append(append([]string(nil), v...), ""))
		},
		ExecEnv: func(p *P) {
			v, _ := p.Exec.Env.Get()
			p.Exec.Env = posture.Known(append(append([]string(nil), v...), "SECRET=1"))
		},
		ExecSecure:     b(func(p *P) *posture.Value[bool] { return &p.Exec.Secure }),
		ExecForkNoExec: b(func(p *P) *posture.Value[bool] { return &p.Exec.ForkNoExec }),
	}
	for r := range 16 {
		mutations[RlimitCPU+Field(r)] = func(p *P) {
			v, _ := p.Rlimits.Get()
			v[r].Soft++
			p.Rlimits = posture.Known(v)
		}
	}
}

// TestEveryFieldHolds: a posture that is as expected has no finding, and
// nothing that was asked for is left without evidence.
func TestEveryFieldHolds(t *testing.T) {
	for name, text := range requests {
		t.Run(name, func(t *testing.T) {
			e := Expect(mustParse(t, text), rootCaller(), testFeatures).With(facts(name))
			got := e.Sample()
			for f := range NumFields {
				switch o, why := e.Compare(f, got); {
				case o.Finding():
					t.Errorf("%s: %s (%s), want %v, got %v", f, o, why, e.Want(f), f.Value(got))
				case o == Unobservable && f != FSRootReadOnly:
					t.Errorf("%s: unobservable: %s", f, why)
				}
			}
		})
	}
}

// TestEveryFieldCanFail: a difference in one field is a finding of that field,
// and of no other.
func TestEveryFieldCanFail(t *testing.T) {
	for name, text := range requests {
		t.Run(name, func(t *testing.T) {
			e := Expect(mustParse(t, text), rootCaller(), testFeatures).With(facts(name))
			for f := range NumFields {
				if mutations[f] == nil {
					t.Errorf("%s has no mutation", f)
					continue
				}
				if o, _ := e.Compare(f, e.Sample()); o == Unobservable {
					continue
				}
				got := e.Sample()
				mutations[f](got)
				for g := range NumFields {
					o, why := e.Compare(g, got)
					if (g == f) != o.Finding() {
						t.Errorf("after a change of %s, %s is %s (%s): want %v, got %v", f, g, o, why, e.Want(g), g.Value(got))
					}
				}
			}
		})
	}
}

// TestEveryFieldCanBeMissing: what was not read is never called equal.
func TestEveryFieldCanBeMissing(t *testing.T) {
	for name, text := range requests {
		e := Expect(mustParse(t, text), rootCaller(), testFeatures).With(facts(name))
		for f := range NumFields {
			got := e.Sample()
			f.forget(got, "gone")
			if o, why := e.Compare(f, got); o != Unobservable || why != "gone" {
				t.Errorf("%s: %s: %s (%s), want unobservable (gone)", name, f, o, why)
			}
		}
	}
}

func facts(name string) *Facts {
	f := testFacts()
	if name == "joined" {
		f.Joined.Namespaces.PID = posture.Known(posture.Namespace{Inode: 4026532900, Owner: 4026531837, Level: 1})
		f.Joined.Namespaces.Net = posture.Known(posture.Namespace{Inode: 4026532901, Owner: 4026531837})
	}
	return f
}

func TestFieldNames(t *testing.T) {
	seen := map[string]bool{}
	for f := range NumFields {
		n := f.String()
		if n == "" || seen[n] || table[f].ops == nil {
			t.Errorf("field %d: name %q", f, n)
		}
		seen[n] = true
		if g, ok := FieldByName(n); !ok || g != f {
			t.Errorf("FieldByName(%q) = %d, %v; want %d", n, g, ok, f)
		}
	}
}
