//go:build mutants

package mutants

import (
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
)

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}

// seen is a fault in what the instruments say.
func seen(name, where, kind, when, want string, f func(s *harness.Sight)) Fault {
	return Fault{Name: name, Where: where, Kind: kind, When: when, Want: splitList(want), Plant: func(*Scene) *harness.Fault {
		return &harness.Fault{Sight: f}
	}}
}

func field(name string) oracle.Field {
	f, ok := oracle.FieldByName(name)
	if !ok {
		panic("no field " + name)
	}
	return f
}

// observers are faults of the observer, by what it tells.
func observers() []Fault {
	var all []Fault
	for _, z := range []struct{ name, when string }{
		{"seccomp.mode", "seccomp"},
		{"seccomp.filter_count", "seccomp, stacked"},
		{"capabilities.bounding", "capabilities=all"},
		{"capabilities.ambient", "capabilities=ambient"},
		{"landlock.layers", "landlock"},
		{"rlimits.nofile", "RLIMIT_NOFILE"},
		{"fs.umask", "umask=022"},
		{"ids.groups", "groups"},
		{"privilege.securebits", "securebits=noroot"},
		{"namespaces.net", "ns net"},
		{"signals.ignored", "ignored signals"},
		{"uts.hostname", "hostname"},
	} {
		f := field(z.name)
		all = append(all, seen(z.name+"/zeroed", Observer, Zeroed, z.when, z.name, func(s *harness.Sight) { s.Postures(f.Zero) }))
	}
	for _, z := range []struct{ name, when string }{
		{"namespaces.pid", "ns pid"},
		{"namespaces.uts", "ns uts"},
		{"user_namespace.uid_map", "ns user"},
		{"cgroup.v2", "cgroup v2"},
		{"cgroup.v1", "cgroup v1 pids"},
		{"ids.uid", "ids"},
		{"sched.policy", "scheduler=idle"},
		{"sched.affinity", "affinity"},
		{"oom.score_adj", "oom_score_adj"},
		{"keyrings.session", "keyring"},
		{"fs.root", "root"},
		{"time.boottime_ns", "time offsets"},
		{"exec.env", "env"},
		{"signals.blocked", "blocked signals"},
		{"process.session", "session"},
	} {
		f := field(z.name)
		want := z.name
		if z.name == "exec.env" {
			want = "unknown" // the caller's is not read
		}
		all = append(all, seen(z.name+"/the caller's", Observer, Stale, z.when, want, func(s *harness.Sight) {
			s.Postures(func(p *posture.Posture) { f.Take(p, s.Caller) })
		}))
	}
	for _, z := range []struct{ name, when string }{
		{"namespaces.mnt", "ns mnt"},
		{"privilege.no_new_privs", "no new privileges"},
		{"seccomp.filters", "seccomp"},
		{"landlock.rule_list", "landlock, rules for paths"},
		{"memory.policy", "memory policy"},
		{"sched.timer_slack_ns", "timer slack"},
	} {
		f := field(z.name)
		all = append(all, seen(z.name+"/not read", Observer, Unread, z.when, "unknown", func(s *harness.Sight) {
			s.Postures(func(p *posture.Posture) { f.Forget(p, "planted") })
		}))
	}
	for _, z := range []struct{ name, when, hides string }{
		{"process.child_subreaper", "nice", "subreaper/unasked"},
		{"fs.root_read_only", "root", "root/read-only unasked"},
		{"files", "passed descriptors", "passed descriptors/one more"},
		{"exec.exe", "program by descriptor=file", "program/another file"},
	} {
		f := field(z.name)
		all = append(all, seen(z.name+"/not read", Observer, Unread, z.when, z.name, func(s *harness.Sight) {
			s.Postures(func(p *posture.Posture) { f.Forget(p, "planted") })
		}))
		all[len(all)-1].Hides = z.hides
	}
	at := func(name, kind, want string, f func(s *harness.Sight, n *harness.Snapshot) (keep bool)) Fault {
		return seen(name, Observer, kind, "umask", want, func(s *harness.Sight) {
			var kept []harness.Snapshot
			for i := range s.Snapshots {
				if n := s.Snapshots[i]; f(s, &n) {
					kept = append(kept, n)
				}
			}
			s.Snapshots = kept
		})
	}
	return append(all,
		at("snapshots/none at exec", Missing, "unknown", func(_ *harness.Sight, n *harness.Snapshot) bool { return n.At != harness.AtExec }),
		at("snapshots/none after exec", Missing, "unknown", func(_ *harness.Sight, n *harness.Snapshot) bool { return n.At == harness.AtExec }),
		at("snapshots/not at the entry", Value, "unknown", func(_ *harness.Sight, n *harness.Snapshot) bool {
			n.IPIsEntry = posture.Known(false)
			return true
		}),
		seen("snapshots/twice", Observer, Extra, "umask", "unknown", func(s *harness.Sight) { s.Snapshots = append(s.Snapshots, s.Snapshots[0]) }),
		seen("records/one lost", Observer, Missing, "umask", "unknown", func(s *harness.Sight) { s.Lost++ }),
		at("snapshots/of the agent", Process, "process.pid", func(s *harness.Sight, n *harness.Snapshot) bool {
			own := *s.Caller
			n.Posture = &own
			return true
		}),
		at("snapshots/of the launch before", Stale, "process.pid", func(s *harness.Sight, n *harness.Snapshot) bool {
			for i := range s.Before {
				if b := &s.Before[i]; b.At == n.At && b.Posture != nil {
					own := *b.Posture
					n.Posture = &own
				}
			}
			return true
		}),
		hiding("snapshots/that at exec three times", Observer, Stale, "nice/after execve", func(s *harness.Sight) {
			for i := range s.Snapshots {
				if s.Snapshots[i].At == harness.AtExec {
					for j := range s.Snapshots {
						s.Snapshots[j].Posture = s.Snapshots[i].Posture
					}
				}
			}
		}),
		hiding("snapshots/only the last one", Observer, Late, "ioprio/after execve", func(s *harness.Sight) {
			if p := s.Latest(); p != nil {
				for i := range s.Snapshots {
					s.Snapshots[i].Posture = p
				}
			}
		}),
	)
}

// hiding is a fault that makes the instruments blind to another one.
func hiding(name, where, kind, hides string, f func(s *harness.Sight)) Fault {
	out := seen(name, where, kind, "", "", f)
	out.Hides = hides
	return out
}

// evidences are faults of what is read from /proc and elsewhere.
func evidences() []Fault {
	each := func(is string, f func(e *harness.Evidence)) func(s *harness.Sight) {
		return func(s *harness.Sight) {
			for i := range s.Evidence {
				if strings.HasPrefix(s.Evidence[i].Field, is) {
					f(&s.Evidence[i])
				}
			}
		}
	}
	holds := func(e *harness.Evidence) { e.Known, e.Holds = true, true }
	all := []Fault{
		seen("mounts/of the agent", Evidence, Process, "mount tmpfs", "mounts[, unknown", func(s *harness.Sight) { s.Evidence = s.EvidenceOf(s.Agent()) }),
		seen("mounts/of a process that is gone", Evidence, Process, "bind mount", "mounts[, unknown", func(s *harness.Sight) { s.Evidence = s.EvidenceOf(1 << 22) }),
		seen("sysctl/of the agent", Evidence, Process, "sysctl net", "linux.sysctl, unknown", func(s *harness.Sight) { s.Evidence = s.EvidenceOf(s.Agent()) }),
		seen("limits/not read", Evidence, Unread, "cgroup v1 pids", "unknown", each("", func(e *harness.Evidence) { e.Known, e.Holds = false, false })),
		seen("devices/nothing gathered", Evidence, Missing, "devices", "unknown", func(s *harness.Sight) { s.Evidence = nil }),
		seen("masked paths/read the wrong way round", Evidence, Value, "masked paths", "linux.maskedPaths", each("linux.maskedPaths", func(e *harness.Evidence) { e.Holds = !e.Holds })),
		seen("links/of the field next to it", Evidence, Value, "veth; routes", "unknown", each("holdshort.network.routes", func(e *harness.Evidence) {
			e.Field = strings.Replace(e.Field, "routes", "links", 1)
		})),
	}
	for _, b := range []struct{ is, hides string }{
		{"mounts", "mount tmpfs/an option missing"},
		{"linux.maskedPaths", "masked paths/skipped"},
		{"linux.readonlyPaths", "read-only paths/skipped"},
		{"linux.sysctl", "sysctl/of the network skipped"},
		{"holdshort.network", "veth/left down"},
		{"linux.resources", "device rules/skipped"},
		{"holdshort.cgroup", "cgroup delegate/skipped"},
		{"linux.devices", "devices/open to everybody"},
	} {
		all = append(all, hiding(b.is+"/always as wanted", Evidence, Blind, b.hides, each(b.is, holds)))
	}
	return all
}

// oracles are faults in what is expected.
func oracles() []Fault {
	var all []Fault
	for _, r := range []struct{ name, when string }{
		{"fs.umask", "umask=077"},
		{"uts.hostname", "hostname"},
		{"ids.groups", "groups"},
		{"capabilities.permitted", "capabilities=none"},
		{"namespaces.ipc", "ns ipc"},
		{"seccomp.mode", "seccomp"},
		{"landlock.layers", "landlock"},
		{"cgroup.v2", "cgroup v2"},
		{"rlimits.stack", "RLIMIT_STACK=least"},
		{"process.session", "session"},
		{"user_namespace.gid_map", "ns user"},
		{"signals.pending", "umask"},
	} {
		f := field(r.name)
		all = append(all, seen(r.name+"/rule dropped", Oracle, Skip, r.when, r.name, func(s *harness.Sight) { s.Expected = s.Expected.Forgetful(f) }))
		if r.name == "signals.pending" {
			all[len(all)-1].Equivalent = "nothing is pending in the caller, and the rule for what may be pending differs from \"as in the caller\" only if a signal comes from outside, which none does here"
		}
	}
	for _, r := range []struct{ name, when string }{
		{"rlimits.nofile", "RLIMIT_NOFILE"},
		{"time.monotonic_ns", "time offsets"},
		{"ids.fsgid", "ids"},
		{"capabilities.inheritable", "capabilities=some"},
		{"privilege.dumpable", "ids"},
		{"exec.args", "args"},
		{"exec.secure", "session"},
		{"fs.cwd", "cwd"},
		{"files", "passed descriptors"},
	} {
		change := harness.Changed(r.name)
		all = append(all, seen(r.name+"/another value", Oracle, Value, r.when, r.name, func(s *harness.Sight) { s.Expected = s.Expected.Wanting(change) }))
	}
	for _, r := range []struct{ name, when string }{{"namespaces.net", "ns net=fresh"}, {"keyrings.session", "keyring"}, {"seccomp.filters", "seccomp"}} {
		f := field(r.name)
		all = append(all, seen(r.name+"/compared for equality", Oracle, Value, r.when, r.name, func(s *harness.Sight) { s.Expected = s.Expected.Plain(f) }))
	}
	for _, r := range []struct {
		name, hides string
		class       oracle.Class
	}{
		{"fs.umask", "umask/skipped", oracle.Kept},
		{"sched.nice", "nice/one more", oracle.Kept},
		{"ids.groups", "groups/one more", oracle.Promised},
		{"namespaces.uts", "ns uts/skipped", oracle.Implied},
		{"capabilities.bounding", "capabilities/bounding kept", oracle.Implied},
	} {
		f := field(r.name)
		all = append(all, hiding(r.name+"/taken for "+r.class.String(), Oracle, Class, r.hides, func(s *harness.Sight) {
			s.Expected = s.Expected.Misclassed(f, r.class)
		}))
	}
	for _, r := range []struct{ name, hides string }{
		{"fs.umask", "umask/0"},
		{"uts.hostname", "hostname/skipped"},
		{"ids.uid", "ids/the user stays"},
		{"capabilities.effective", "capabilities/ambient skipped"},
		{"namespaces.net", "ns net/skipped"},
		{"seccomp.filters", "seccomp/everything allowed"},
		{"landlock.handled", "landlock/a right less handled"},
		{"cgroup.v1", "cgroup v1 memory/taken out while parked"},
		{"rlimits.core", "RLIMIT_CORE/only the soft one"},
		{"files", "passed descriptors/two swapped"},
		{"sched.policy", "scheduler/skipped"},
		{"privilege.no_new_privs", "no new privileges/unasked"},
	} {
		f := field(r.name)
		all = append(all, hiding(r.name+"/always as wanted", Oracle, Blind, r.hides, func(s *harness.Sight) {
			if p := s.Latest(); p != nil {
				s.Expected = s.Expected.Blind(f, p)
			}
		}))
		all[len(all)-1].Want = []string{r.name}
	}
	unasked := func(prefix, hides string) Fault {
		return hiding(prefix+"/not looked for", Oracle, Blind, hides, func(s *harness.Sight) {
			s.Expected = s.Expected.Unasked(func(f string) bool { return strings.HasPrefix(f, prefix) })
		})
	}
	result := func(name, kind, hides string, f func(r *harness.Result)) Fault {
		return Fault{Name: name, Where: Oracle, Kind: kind, Hides: hides, Plant: func(*Scene) *harness.Fault { return &harness.Fault{Result: f} }}
	}
	return append(all,
		unasked("mounts", "bind mount/skipped"),
		unasked("linux.rootfsPropagation", "propagation/shared left"),
		unasked("holdshort.network.nftables", "nftables/skipped"),
		unasked("holdshort.cgroup.freeze", "cgroup freeze/skipped"),
		hiding("namespaces.uts/any owner", Oracle, Blind, "ns uts/of another user namespace", func(s *harness.Sight) {
			s.Expected = s.Expected.Lenient(oracle.NSUTS)
		}),
		result("verdict/what leaks is no finding", Class, "umask/unasked", func(r *harness.Result) {
			r.Drop(func(c *harness.Check) bool { return c.Outcome == oracle.Leaked })
		}),
		result("verdict/what comes late is no finding", Class, "affinity/after execve", func(r *harness.Result) {
			r.Drop(func(c *harness.Check) bool { return c.Outcome == oracle.Late })
		}),
		result("verdict/violated is told as constrained", Blind, "gid map/that of the users", func(r *harness.Result) {
			r.Drop(func(c *harness.Check) bool { return c.Outcome.Finding() })
		}),
		result("verdict/unknown is told as constrained", Blind, "seccomp.filters/not read", func(r *harness.Result) {
			if r.Verdict == harness.Unknown {
				r.Verdict, r.Cause = harness.Constrained, harness.NoCause
			}
		}),
	)
}
