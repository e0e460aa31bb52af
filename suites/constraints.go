package suites

import (
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	. "github.com/holdshort/holdshort/harness/matchers"
	"github.com/holdshort/holdshort/harness/request"
	g "github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// constraint is one spec: what is asked for, and what must be seen beside the
// verdict. field is what a launch without it is found by.
type constraint struct {
	name   string
	labels []string
	ask    func(q *request.Request)
	need   func() string // what is missing here, or empty
	also   types.GomegaMatcher
	field  string
}

func fresh(kinds ...specs.LinuxNamespaceType) func(*request.Request) {
	return func(q *request.Request) {
		for _, k := range kinds {
			q.Spec.Linux.Namespaces = append(q.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: k})
		}
	}
}

func mapped(q *request.Request) {
	fresh(specs.UserNamespace)(q)
	q.Ext.KeepIDs = false
	q.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
	q.Spec.Linux.GIDMappings = q.Spec.Linux.UIDMappings
}

func rlimit(name string, soft, hard uint64) func(*request.Request) {
	return func(q *request.Request) {
		q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: name, Soft: soft, Hard: hard}}
	}
}

func noCaps(q *request.Request) {
	q.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{}, Effective: []string{}, Permitted: []string{}, Inheritable: []string{}, Ambient: []string{}}
}

func landlocked() string {
	if checkpoint.LandlockABI() < 1 {
		return "Landlock"
	}
	return ""
}

// table are the constraints that every engine may be asked for. Others can be
// had with [harness.Runner] and [harness.Verifier] directly.
func table() []constraint {
	both := []string{"CAP_KILL", "CAP_NET_BIND_SERVICE"}
	list := []constraint{
		{
			name: "a mapped user namespace", labels: []string{"ns:user"}, ask: mapped, field: "namespaces.user",
			also: gomega.And(BeInNewNamespaces("user"), RunAs(100000, 100000)),
		},
		{name: "user and group", ask: func(q *request.Request) {
			q.Ext.KeepIDs = false
			q.Spec.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 7}}
		}, field: "ids.uid", also: gomega.And(RunAs(1000, 1001), HavePosture("ids.groups", gomega.ConsistOf(uint32(5), uint32(7))))},
		{name: "no capabilities", ask: noCaps, field: "capabilities.bounding", also: HaveNoCapabilities()},
		{name: "two capabilities", ask: func(q *request.Request) {
			q.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both, Inheritable: []string{}, Ambient: []string{}}
		}, field: "capabilities.bounding", also: HaveCapabilities(both...)},
		{name: "ambient capabilities of a user", ask: func(q *request.Request) {
			q.Ext.KeepIDs = false
			q.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
			q.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both, Inheritable: both, Ambient: both}
		}, field: "capabilities.ambient", also: HaveCapabilities(both...)},
		{name: "no new privileges", ask: func(q *request.Request) { q.Spec.Process.NoNewPrivileges = true }, field: "privilege.no_new_privs", also: HaveNoNewPrivs()},
		{name: "a seccomp filter", ask: func(q *request.Request) {
			q.Spec.Process.NoNewPrivileges = true
			q.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"ptrace", "kexec_load", "mount"}, Action: specs.ActErrno, ErrnoRet: new(uint(unix.EPERM))},
			}}
		}, field: "seccomp.mode", also: BeFiltered()},
		{name: "a Landlock layer", need: landlocked, ask: func(q *request.Request) {
			q.Spec.Process.NoNewPrivileges = true
			q.Ext.Landlock = &landlock.Policy{Layers: []landlock.Ruleset{{HandledAccessFS: []landlock.Right{"make_sym"}}}}
		}, field: "landlock.layers", also: HavePosture("landlock.layers", gomega.BeNumerically(">=", 1))},
		{name: "oom_score_adj", ask: func(q *request.Request) { q.Spec.Process.OOMScoreAdj = new(321) }, field: "oom.score_adj"},
		{name: "a nice value", ask: func(q *request.Request) { q.Ext.Nice = new(7) }, field: "sched.nice"},
		{name: "a scheduling policy", ask: func(q *request.Request) {
			q.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}
		}, field: "sched.policy"},
		{name: "an I/O priority", ask: func(q *request.Request) {
			q.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE}
		}, field: "sched.ioprio"},
		{name: "a timer slack", ask: func(q *request.Request) { q.Ext.TimerSlack = new(uint64(123456)) }, field: "sched.timer_slack_ns"},
		{name: "a umask", ask: func(q *request.Request) { q.Spec.Process.User.Umask = new(uint32(0o77)) }, field: "fs.umask"},
		{name: "a session", ask: func(q *request.Request) { q.Ext.Session = true }, field: "process.session"},
		{name: "a session keyring", ask: func(q *request.Request) { q.Ext.NewKeyring = true }, field: "keyrings.session"},
		{name: "a parent death signal", ask: func(q *request.Request) { q.Ext.Pdeathsig = new(request.Signal(unix.SIGTERM)) }, field: "privilege.pdeathsig"},
		{name: "a personality", ask: func(q *request.Request) { q.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, field: "privilege.personality"},
		{name: "ignored signals", ask: func(q *request.Request) { q.Ext.IgnoreSignals = []request.Signal{request.Signal(unix.SIGUSR2)} }, field: "signals.ignored"},
		{name: "blocked signals", ask: func(q *request.Request) { q.Ext.BlockSignals = []request.Signal{request.Signal(unix.SIGUSR2)} }, field: "signals.blocked"},
		{name: "a host name", labels: []string{"ns:uts"}, ask: func(q *request.Request) { fresh(specs.UTSNamespace)(q); q.Spec.Hostname = "held-short" }, field: "uts.hostname"},
		{name: "time offsets", labels: []string{"ns:time"}, ask: func(q *request.Request) {
			fresh(specs.TimeNamespace)(q)
			q.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000}}
		}, field: "time.boottime_ns"},
		{name: "a tmpfs", labels: []string{"ns:mnt"}, ask: func(q *request.Request) {
			fresh(specs.MountNamespace)(q)
			q.Spec.Mounts = []specs.Mount{{Destination: "/mnt", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro", "nosuid", "nodev", "noexec"}}}
		}, field: "mounts[0]"},
		{name: "a sysctl", labels: []string{"ns:ipc"}, ask: func(q *request.Request) {
			fresh(specs.IPCNamespace)(q)
			q.Spec.Linux.Sysctl = map[string]string{"kernel.shm_rmid_forced": "1"}
		}, field: "linux.sysctl.kernel.shm_rmid_forced"},
		{name: "a loopback device that is up", labels: []string{"ns:net"}, ask: func(q *request.Request) {
			fresh(specs.NetworkNamespace)(q)
			q.Ext.Network.LoopbackUp = true
		}, field: "holdshort.network.loopbackUp"},
	}
	for kind, field := range map[specs.LinuxNamespaceType]string{
		specs.MountNamespace: "mnt", specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.UTSNamespace: "uts",
		specs.IPCNamespace: "ipc", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time",
	} {
		list = append(list, constraint{
			name: "a new " + string(kind) + " namespace", labels: []string{"ns:" + field}, ask: fresh(kind),
			field: "namespaces." + field, also: BeInNewNamespaces(field),
		})
	}
	for _, l := range []struct {
		name       string
		soft, hard uint64
	}{{"NOFILE", 50, 60}, {"NPROC", 100, 200}, {"CORE", 0, 0}, {"AS", 1 << 32, 1 << 33}, {"STACK", 1 << 20, 1 << 21}} {
		list = append(list, constraint{name: "RLIMIT_" + l.name, ask: rlimit("RLIMIT_"+l.name, l.soft, l.hard), field: "rlimits." + strings.ToLower(l.name)})
	}
	return list
}

func (c *constraint) request() *request.Request {
	q := request.New("/bin/true")
	c.ask(q)
	return q
}

func (c *constraint) skip() {
	if c.need != nil {
		if what := c.need(); what != "" {
			g.Skip("needs " + what)
		}
	}
}

// constraints are the specs of things that are asked for, one by one and all
// together.
func constraints(name string, open Open) {
	describe(name, "constraints", open, func(s *subject) {
		g.It("runs a program that nothing is asked of", func(ctx g.SpecContext) {
			c := s.run(ctx, request.New("/bin/true"))
			gomega.Expect(c).To(BeConstrained())
			gomega.Expect(c).To(HaveExited(0))
			gomega.Expect(c).To(HaveNoLeakedFDs())
		})
		for _, c := range table() {
			g.It("holds: "+c.name, g.Label(c.labels...), func(ctx g.SpecContext) {
				c.skip()
				got := s.run(ctx, c.request())
				gomega.Expect(got).To(BeConstrained())
				if c.also != nil {
					gomega.Expect(got).To(c.also)
				}
			})
		}
		g.It("holds: many at once", func(ctx g.SpecContext) {
			q := request.New("/bin/true")
			mapped(q)
			fresh(specs.MountNamespace, specs.PIDNamespace, specs.NetworkNamespace, specs.UTSNamespace, specs.IPCNamespace)(q)
			noCaps(q)
			q.Spec.Process.NoNewPrivileges = true
			q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 60}, {Type: "RLIMIT_CORE"}}
			q.Spec.Process.OOMScoreAdj = new(100)
			q.Spec.Process.User.Umask = new(uint32(0o27))
			c := s.run(ctx, q)
			gomega.Expect(c).To(BeConstrained())
			gomega.Expect(c).To(HaveNoCapabilities())
			gomega.Expect(c).To(BeInNewNamespaces("user", "mnt", "pid", "net", "uts", "ipc"))
		})
	})
}

// planted are the opposites: asked for, and not done.
func planted(s *subject) {
	for _, c := range table() {
		g.It("finds out if this is not done: "+c.name, g.Label(c.labels...), func(ctx g.SpecContext) {
			c.skip()
			p, ok := s.e.(Planter)
			if !ok {
				g.Skip("the engine cannot be made to misbehave")
			}
			asked := c.request()
			got, err := p.Plant(ctx, asked, c.without(asked))
			got = s.took(asked, got, err)
			gomega.Expect(got).To(BeViolated())
			gomega.Expect(got).To(HaveFinding(c.field))
		})
	}
}

// without is a request for the same program in the same namespaces, if those
// are not what is left out, and for nothing else.
func (c *constraint) without(asked *request.Request) *request.Request {
	q := request.New(asked.Process().Args...)
	if !strings.HasPrefix(c.field, "namespaces.") {
		q.Spec.Linux.Namespaces = asked.Spec.Linux.Namespaces
	}
	return q
}
