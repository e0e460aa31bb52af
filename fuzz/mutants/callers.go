//go:build mutants

package mutants

import (
	"os"
	"slices"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/probes/posture"
)

// callers are faults that show only if the launcher's caller is not as usual: what
// should have stayed with it reaches the workload, or what the launcher says that
// it passes on does not, since somebody took it for granted.
var callers = []Fault{
	// Engines that force a default do so unnoticed as long as the caller has it.
	changed("caller/umask 022 forced", Value, "caller: umask; umask=off", "fs.umask", func(c *config) { c.Umask = checkpoint.Some[uint32](0o22) }),
	changed("caller/niceness 0 forced", Value, "caller: nice; nice=off; scheduler=off", "sched.nice", func(c *config) { c.Nice = checkpoint.Some(0) }),
	changed("caller/all CPUs forced", Value, "caller: affinity; affinity=off", "sched.affinity", func(c *config) { c.Affinity = []int{0, 1} }),
	changed("caller/timer slack forced", Value, "caller: timer slack; timer slack=off; scheduler=off", "sched.timer_slack_ns", func(c *config) { c.TimerSlack = checkpoint.Some[uint64](50000) }),
	changed("caller/personality forced", Value, "caller: personality; personality=off", "privilege.personality, memory.randomized", func(c *config) { c.Personality = checkpoint.Some[uint32](0) }),
	changed("caller/policy forced", Value, "caller: batch; scheduler=off; nice=off", "sched.policy", func(c *config) { c.Scheduler = checkpoint.Some(checkpoint.Sched{}) }),
	changed("caller/I/O priority forced", Value, "caller: batch; ioprio=off", "sched.ioprio", func(c *config) { c.IOPrio = checkpoint.Some(checkpoint.IOPrio{Class: 2, Level: 4}) }),
	changed("caller/oom_score_adj 0 forced", Value, "caller: oom_score_adj; oom_score_adj=off", "oom.score_adj", func(c *config) { c.OOMScoreAdj = checkpoint.Some(0) }),
	changed("caller/a limit forced", Value, "caller: limits; RLIMIT_CORE=off", "rlimits.core", func(c *config) {
		c.Rlimits = append(slices.Clone(c.Rlimits), checkpoint.Rlimit{Resource: "RLIMIT_CORE"})
	}),
	changed("caller/securebits cleared", Value, "caller: securebits; securebits=off; ns user=off", "privilege.securebits", func(c *config) { c.Securebits = checkpoint.Some[uint32](0) }),
	changed("caller/ambient set cleared", Value, "caller: ambient capabilities; capabilities=off; ns user=off; ids=off", "capabilities.ambient", func(c *config) {
		c.Capabilities.Ambient = checkpoint.Some[checkpoint.CapSet](0)
	}),
	changed("caller/groups dropped", Value, "caller: groups; groups=off; ids=off; ns user=off", "ids.groups", func(c *config) { c.Groups = checkpoint.Some([]uint32{}) }),
	changed("caller/another keyring", Extra, "caller: keyring; keyring=off; named keyring=off", "keyrings.session", func(c *config) { c.NewKeyring = true }),
	changed("caller/huge pages forced", Value, "caller: huge pages; thp disable=off", "memory.thp_disabled", func(c *config) { c.Memory.THPDisable = checkpoint.Some(false) }),
	{
		Name: "caller/core dumps forced", Where: Launcher, Kind: Value, When: "caller: core dumps", Want: []string{"memory.coredump_filter"},
		Plant: func(*Scene) *harness.Fault {
			return &harness.Fault{Config: func(*config, *checkpoint.Options) {}, Parked: func(w *checkpoint.Workload) {
				_ = os.WriteFile("/proc/"+strconv.Itoa(w.HostPID())+"/coredump_filter", []byte("0x33"), 0)
			}}
		},
	},
	changed("caller/the host's uts namespace joined", Process, "caller: uts namespace; ns uts=off; ns user=off", "namespaces.uts", func(c *config) {
		c.Namespaces = append(slices.Clone(c.Namespaces), checkpoint.Namespace{Kind: checkpoint.UTS, Path: "/proc/self/ns/uts"})
	}),
	// What must stay with the caller.
	changed("caller/directory passed on", Extra, "caller: directory; cwd=off; root=off", "fs.cwd", func(c *config) { c.Cwd = "/dev" }),
	changed("caller/blocked signals passed on", Extra, "caller: blocked signals; blocked signals=off", "signals.blocked", func(c *config) { c.BlockSignals = []int{10, 15, 40} }),
	changed("caller/ignored signals passed on", Extra, "caller: ignored signals; ignored signals=off", "signals.ignored", func(c *config) { c.IgnoreSignals = []int{12, 28, 41} }),
	changed("caller/environment passed on", Extra, "caller: environment", "exec.env", func(c *config) {
		c.Env = append(slices.Clone(c.Env), "HOLDSHORT_OF_THE_CALLER=secret")
	}),
	{
		Name: "caller/descriptors passed on", Where: Launcher, Kind: Extra, When: "caller: descriptors", Want: []string{"files"},
		Plant: func(*Scene) *harness.Fault {
			return &harness.Fault{Config: func(_ *config, o *checkpoint.Options) {
				f, err := os.Open("/")
				if err == nil { // open until it is collected, which is after the launch
					o.Files = append(slices.Clone(o.Files), checkpoint.PassedFile{Number: 150, File: f})
				}
			}}
		},
	},
	// What nothing can take off again: an observer that sees the usual.
	usual("caller: no_new_privs", "privilege.no_new_privs", func(p *posture.Posture) { p.Privilege.NoNewPrivs = posture.Known(false) }),
	usual("caller: filter", "seccomp.filter_count", func(p *posture.Posture) {
		if n, ok := p.Seccomp.Count.Get(); ok {
			p.Seccomp.Count = posture.Known(n - 1)
		}
	}),
	usual("caller: bounding set", "capabilities.bounding", func(p *posture.Posture) {
		if c, ok := p.Capabilities.Bounding.Get(); ok {
			p.Capabilities.Bounding = posture.Known(c | 1<<35)
		}
	}),
}

func usual(when, want string, f func(*posture.Posture)) Fault {
	extra := ""
	if want != "seccomp.filter_count" {
		extra = "; ns user=off"
	}
	if want == "privilege.no_new_privs" {
		extra = "; no new privileges=off"
	}
	return seen("caller/"+want+" as usual", Observer, Value, when+extra, want, func(s *harness.Sight) { s.Postures(f) })
}
