package harness

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func none[T any]() (o checkpoint.Option[T]) { return o }

func caps(names ...string) (s checkpoint.CapSet) {
	n, err := request.CapSet(names)
	if err != nil {
		panic(err)
	}
	return checkpoint.CapSet(n)
}

func TestSabotageCredentials(t *testing.T) {
	user := func(_ *testing.T, q *request.Request) {
		q.Ext.KeepIDs = false
		q.Spec.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 6}}
	}
	// Root's capabilities after execve are its bounding and inheritable sets.
	root := func(_ *testing.T, q *request.Request) {
		two := []string{"CAP_CHOWN", "CAP_KILL"}
		q.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: two, Permitted: two, Effective: two, Inheritable: two[:1]}
	}
	// Another user's are its ambient set.
	ambient := func(t *testing.T, q *request.Request) {
		t.Helper()
		user(t, q)
		two := []string{"CAP_CHOWN", "CAP_KILL"}
		q.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: two, Permitted: two, Effective: two, Inheritable: two, Ambient: two[1:]}
	}
	secure := func(_ *testing.T, q *request.Request) { q.Ext.Securebits = new(uint32(0xc0)) } // no ambient raise, locked
	nnp := func(_ *testing.T, q *request.Request) { q.Spec.Process.NoNewPrivileges = true }
	death := func(_ *testing.T, q *request.Request) { q.Ext.Pdeathsig = new(request.Signal(unix.SIGTERM)) }
	persona := func(_ *testing.T, q *request.Request) { q.Ext.Personality = new(uint32(0x0040000)) } // ADDR_NO_RANDOMIZE
	table(t, []sabotage{
		{
			name: "uid/skipped", ask: user, tamper: config(func(c *checkpoint.Config) { c.UID = none[uint32]() }),
			want: finds{
				"ids.uid": oracle.Ignored, "ids.euid": oracle.Ignored, "ids.suid": oracle.Ignored, "ids.fsuid": oracle.Ignored,
				"capabilities.permitted": oracle.Ignored, "capabilities.effective": oracle.Ignored,
			},
		},
		{
			name: "uid/wrong", ask: user, tamper: config(func(c *checkpoint.Config) { c.UID.Value = 1002 }),
			want: finds{"ids.uid": oracle.Weaker, "ids.euid": oracle.Weaker, "ids.suid": oracle.Weaker, "ids.fsuid": oracle.Weaker},
		},
		{
			name: "gid/skipped", ask: user, tamper: config(func(c *checkpoint.Config) { c.GID = none[uint32]() }),
			want: finds{"ids.gid": oracle.Ignored, "ids.egid": oracle.Ignored, "ids.sgid": oracle.Ignored, "ids.fsgid": oracle.Ignored},
		},
		{
			name: "gid/wrong", ask: user, tamper: config(func(c *checkpoint.Config) { c.GID.Value = 1002 }),
			want: finds{"ids.gid": oracle.Weaker, "ids.egid": oracle.Weaker, "ids.sgid": oracle.Weaker, "ids.fsgid": oracle.Weaker},
		},
		{name: "groups/skipped", ask: user, tamper: config(func(c *checkpoint.Config) { c.Groups = none[[]uint32]() }), want: finds{"ids.groups": oracle.Ignored}},
		{name: "groups/one more", ask: user, tamper: config(func(c *checkpoint.Config) { c.Groups.Value = []uint32{5, 6, 7} }), want: finds{"ids.groups": oracle.Weaker}},
		{name: "groups/one missing", ask: user, tamper: config(func(c *checkpoint.Config) { c.Groups.Value = []uint32{5} }), want: finds{"ids.groups": oracle.Stronger}},

		{
			name: "bounding/skipped", ask: root, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Bounding = none[checkpoint.CapSet]() }),
			want: finds{"capabilities.bounding": oracle.Ignored, "capabilities.permitted": oracle.Ignored, "capabilities.effective": oracle.Ignored},
			also: []string{"privilege.dumpable"},
		},
		{
			name: "bounding/one more", ask: root, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Bounding.Value |= caps("CAP_FOWNER") }),
			want: finds{"capabilities.bounding": oracle.Weaker, "capabilities.permitted": oracle.Weaker, "capabilities.effective": oracle.Weaker},
			also: []string{"privilege.dumpable"},
		},
		{
			name: "bounding/one missing", ask: root, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Bounding.Value = caps("CAP_CHOWN") }),
			want: finds{"capabilities.bounding": oracle.Stronger, "capabilities.permitted": oracle.Stronger, "capabilities.effective": oracle.Stronger},
		},
		{
			name: "inheritable/skipped", ask: root, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Inheritable = none[checkpoint.CapSet]() }),
			want: finds{"capabilities.inheritable": oracle.Ignored},
		},
		{
			name: "inheritable/one more", ask: root, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Inheritable.Value |= caps("CAP_KILL") }),
			want: finds{"capabilities.inheritable": oracle.Weaker},
		},
		{
			name: "ambient/skipped", ask: ambient, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Ambient = none[checkpoint.CapSet]() }),
			want: finds{"capabilities.ambient": oracle.Ignored, "capabilities.permitted": oracle.Stronger, "capabilities.effective": oracle.Stronger},
			also: []string{"exec.secure", "privilege.dumpable"},
		},
		{
			name: "permitted and effective/one more by ambient", ask: ambient, tamper: config(func(c *checkpoint.Config) { c.Capabilities.Ambient.Value |= caps("CAP_CHOWN") }),
			want: finds{"capabilities.ambient": oracle.Weaker, "capabilities.permitted": oracle.Weaker, "capabilities.effective": oracle.Weaker},
		},
		{
			name: "all sets/skipped", ask: ambient, tamper: config(func(c *checkpoint.Config) { c.Capabilities = checkpoint.Capabilities{} }),
			want: finds{"capabilities.bounding": oracle.Ignored, "capabilities.inheritable": oracle.Ignored, "capabilities.ambient": oracle.Ignored},
			also: []string{"capabilities.", "exec.secure", "privilege.dumpable"},
		},
		{
			name: "inheritable/unasked", tamper: config(func(c *checkpoint.Config) { c.Capabilities.Inheritable = checkpoint.Some(caps("CAP_CHOWN")) }),
			want: finds{"capabilities.inheritable": oracle.Leaked},
		},

		{name: "securebits/skipped", ask: secure, tamper: config(func(c *checkpoint.Config) { c.Securebits = none[uint32]() }), want: finds{"privilege.securebits": oracle.Ignored}},
		{name: "securebits/not locked", ask: secure, tamper: config(func(c *checkpoint.Config) { c.Securebits.Value = 0x40 }), want: finds{"privilege.securebits": oracle.Weaker}},
		{name: "securebits/more", ask: secure, tamper: config(func(c *checkpoint.Config) { c.Securebits.Value = 0xe0 }), want: finds{"privilege.securebits": oracle.Stronger}},
		{name: "securebits/keeps capabilities", ask: secure, tamper: config(func(c *checkpoint.Config) { c.Securebits.Value = 0xcc }), want: finds{"privilege.securebits": oracle.Weaker}},
		{name: "no_new_privs/skipped", ask: nnp, tamper: config(func(c *checkpoint.Config) { c.NoNewPrivs = false }), want: finds{"privilege.no_new_privs": oracle.Ignored}},
		{name: "no_new_privs/unasked", tamper: config(func(c *checkpoint.Config) { c.NoNewPrivs = true }), want: finds{"privilege.no_new_privs": oracle.Leaked}},
		{name: "pdeathsig/skipped", ask: death, tamper: config(func(c *checkpoint.Config) { c.Pdeathsig = none[int]() }), want: finds{"privilege.pdeathsig": oracle.Ignored}},
		{name: "pdeathsig/wrong", ask: death, tamper: config(func(c *checkpoint.Config) { c.Pdeathsig.Value = int(unix.SIGHUP) }), want: finds{"privilege.pdeathsig": oracle.Weaker}},
		{name: "pdeathsig/unasked", tamper: config(func(c *checkpoint.Config) { c.Pdeathsig = checkpoint.Some(int(unix.SIGHUP)) }), want: finds{"privilege.pdeathsig": oracle.Leaked}},
		{name: "personality/skipped", ask: persona, tamper: config(func(c *checkpoint.Config) { c.Personality = none[uint32]() }), want: finds{"privilege.personality": oracle.Ignored}, also: []string{"memory.randomized"}},
		{name: "personality/wrong", ask: persona, tamper: config(func(c *checkpoint.Config) { c.Personality.Value = 0x8040000 }), want: finds{"privilege.personality": oracle.Weaker}},
	})
}

func TestSabotageRlimits(t *testing.T) {
	var rows []sabotage
	for name, field := range map[string]string{
		"RLIMIT_NOFILE": "nofile", "RLIMIT_CORE": "core", "RLIMIT_NPROC": "nproc", "RLIMIT_STACK": "stack",
		"RLIMIT_AS": "as", "RLIMIT_CPU": "cpu", "RLIMIT_FSIZE": "fsize", "RLIMIT_DATA": "data", "RLIMIT_RSS": "rss", "RLIMIT_MEMLOCK": "memlock",
		"RLIMIT_LOCKS": "locks", "RLIMIT_SIGPENDING": "sigpending", "RLIMIT_MSGQUEUE": "msgqueue", "RLIMIT_RTTIME": "rttime",
	} {
		const soft, hard = 1 << 27, 1 << 28
		s, h := uint64(soft), uint64(hard)
		switch field {
		case "nofile", "nproc", "sigpending", "core", "memlock", "msgqueue":
			s, h = 200, 300 // below what is usual, so that no privilege is needed
		}
		ask := func(_ *testing.T, q *request.Request) {
			q.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: name, Soft: s, Hard: h}}
		}
		want := func(o oracle.Outcome) finds { return finds{"rlimits." + field: o} }
		rows = append(rows,
			sabotage{name: field + "/skipped", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits = nil }), want: want(oracle.Ignored)},
			sabotage{name: field + "/soft too high", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Soft++ }), want: want(oracle.Weaker)},
			sabotage{name: field + "/hard too high", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Hard++ }), want: want(oracle.Weaker)},
			sabotage{name: field + "/soft too low", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Soft-- }), want: want(oracle.Stronger)},
			sabotage{name: field + "/hard too low", ask: ask, tamper: config(func(c *checkpoint.Config) { c.Rlimits[0].Hard-- }), want: want(oracle.Stronger)},
			sabotage{name: field + "/unasked", tamper: config(func(c *checkpoint.Config) {
				c.Rlimits = []checkpoint.Rlimit{{Resource: name, Soft: s, Hard: h}}
			}), want: want(oracle.Leaked)},
		)
	}
	rows = append(rows, raisedRlimits()...)
	slices.SortFunc(rows, func(a, b sabotage) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	table(t, rows)
}

func TestSabotageScheduling(t *testing.T) {
	oom := func(_ *testing.T, q *request.Request) { q.Spec.Process.OOMScoreAdj = new(500) }
	nice := func(_ *testing.T, q *request.Request) { q.Ext.Nice = new(5) }
	cpu := func(_ *testing.T, q *request.Request) { q.Ext.Affinity = []int{0} }
	two := func(_ *testing.T, r *Runner) string {
		if len(r.machine.cpus) == 0 || r.machine.cpus[0]&3 != 3 {
			return "the CPUs 0 and 1"
		}
		return ""
	}
	io := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
	}
	policy := func(p specs.LinuxSchedulerPolicy, prio int32) func(*testing.T, *request.Request) {
		return func(_ *testing.T, q *request.Request) {
			q.Spec.Process.Scheduler = &specs.Scheduler{Policy: p, Priority: prio}
		}
	}
	reset := func(t *testing.T, q *request.Request) {
		t.Helper()
		policy(specs.SchedBatch, 0)(t, q)
		q.Spec.Process.Scheduler.Flags = []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}
	}
	slack := func(_ *testing.T, q *request.Request) { q.Ext.TimerSlack = new(uint64(123456)) }
	skip := config(func(c *checkpoint.Config) { c.Scheduler, c.Nice = none[checkpoint.Sched](), none[int]() })
	table(t, []sabotage{
		{name: "oom/skipped", ask: oom, tamper: config(func(c *checkpoint.Config) { c.OOMScoreAdj = none[int]() }), want: finds{"oom.score_adj": oracle.Ignored}, also: []string{"oom.score_adj_min"}},
		{name: "oom/less", ask: oom, tamper: config(func(c *checkpoint.Config) { c.OOMScoreAdj.Value-- }), want: finds{"oom.score_adj": oracle.Weaker}, also: []string{"oom.score_adj_min"}},
		{name: "oom/more", ask: oom, tamper: config(func(c *checkpoint.Config) { c.OOMScoreAdj.Value++ }), want: finds{"oom.score_adj": oracle.Stronger}, also: []string{"oom.score_adj_min"}},
		{name: "oom/unasked", tamper: config(func(c *checkpoint.Config) { c.OOMScoreAdj = checkpoint.Some(7) }), want: finds{"oom.score_adj": oracle.Leaked}, also: []string{"oom.score_adj_min"}},
		{name: "nice/skipped", ask: nice, tamper: config(func(c *checkpoint.Config) { c.Nice = none[int]() }), want: finds{"sched.nice": oracle.Ignored}},
		{name: "nice/less", ask: nice, tamper: config(func(c *checkpoint.Config) { c.Nice.Value-- }), want: finds{"sched.nice": oracle.Weaker}},
		{name: "nice/more", ask: nice, tamper: config(func(c *checkpoint.Config) { c.Nice.Value++ }), want: finds{"sched.nice": oracle.Stronger}},
		{name: "affinity/skipped", need: two, ask: cpu, tamper: config(func(c *checkpoint.Config) { c.Affinity = nil }), want: finds{"sched.affinity": oracle.Ignored}},
		{name: "affinity/another", need: two, ask: cpu, tamper: config(func(c *checkpoint.Config) { c.Affinity = []int{1} }), want: finds{"sched.affinity": oracle.Weaker}},
		{name: "ioprio/skipped", ask: io, tamper: config(func(c *checkpoint.Config) { c.IOPrio = none[checkpoint.IOPrio]() }), want: finds{"sched.ioprio": oracle.Ignored}},
		{name: "ioprio/level", ask: io, tamper: config(func(c *checkpoint.Config) { c.IOPrio.Value.Level-- }), want: finds{"sched.ioprio": oracle.Weaker}},
		{name: "ioprio/class", ask: io, tamper: config(func(c *checkpoint.Config) { c.IOPrio.Value.Class = 3 }), want: finds{"sched.ioprio": oracle.Weaker}},
		{name: "policy/batch skipped", ask: policy(specs.SchedBatch, 0), tamper: skip, want: finds{"sched.policy": oracle.Ignored}},
		{name: "policy/idle instead of batch", ask: policy(specs.SchedBatch, 0), tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Policy = 5 }), want: finds{"sched.policy": oracle.Weaker}},
		{name: "policy/fifo skipped", ask: policy(specs.SchedFIFO, 5), tamper: skip, want: finds{"sched.policy": oracle.Ignored, "sched.rt_priority": oracle.Ignored}, also: []string{"sched.timer_slack_ns"}},
		{name: "policy/higher priority", ask: policy(specs.SchedFIFO, 5), tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Priority++ }), want: finds{"sched.rt_priority": oracle.Weaker}},
		{name: "policy/rr instead of fifo", ask: policy(specs.SchedFIFO, 5), tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.Policy = 2 }), want: finds{"sched.policy": oracle.Weaker}},
		{name: "policy/not reset on fork", ask: reset, tamper: config(func(c *checkpoint.Config) { c.Scheduler.Value.ResetOnFork = false }), want: finds{"sched.reset_on_fork": oracle.Ignored}},
		{name: "slack/skipped", ask: slack, tamper: config(func(c *checkpoint.Config) { c.TimerSlack = none[uint64]() }), want: finds{"sched.timer_slack_ns": oracle.Ignored}},
		{name: "slack/wrong", ask: slack, tamper: config(func(c *checkpoint.Config) { c.TimerSlack.Value++ }), want: finds{"sched.timer_slack_ns": oracle.Weaker}},
	})
}

func TestSabotageProcess(t *testing.T) {
	umask := func(_ *testing.T, q *request.Request) { q.Spec.Process.User.Umask = new(uint32(0o077)) }
	session := func(_ *testing.T, q *request.Request) { q.Ext.Session = true }
	keyring := func(_ *testing.T, q *request.Request) { q.Ext.NewKeyring = true }
	ignore := func(_ *testing.T, q *request.Request) { q.Ext.IgnoreSignals = []request.Signal{1, 2} }
	block := func(_ *testing.T, q *request.Request) { q.Ext.BlockSignals = []request.Signal{1, 2} }
	cwd := func(_ *testing.T, q *request.Request) { q.Spec.Process.Cwd = "/tmp" }
	env := func(_ *testing.T, q *request.Request) { q.Spec.Process.Env = []string{"A=1", "B=2"} }
	args := func(_ *testing.T, q *request.Request) { q.Spec.Process.Args = []string{"/bin/true", "one", "two"} }
	fd := func(_ *testing.T, q *request.Request) { q.Ext.PassFDs = 1 }
	file := func(t *testing.T, number int) checkpoint.PassedFile {
		t.Helper()
		f, err := os.Create(filepath.Join(t.TempDir(), "passed"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return checkpoint.PassedFile{Number: number, File: f}
	}
	passed := func(t *testing.T) *checkpoint.Options {
		t.Helper()
		return &checkpoint.Options{Files: []checkpoint.PassedFile{file(t, 3)}}
	}
	other := file(t, 3)
	table(t, []sabotage{
		{name: "umask/skipped", ask: umask, tamper: config(func(c *checkpoint.Config) { c.Umask = none[uint32]() }), want: finds{"fs.umask": oracle.Ignored}},
		{name: "umask/less", ask: umask, tamper: config(func(c *checkpoint.Config) { c.Umask.Value = 0o007 }), want: finds{"fs.umask": oracle.Weaker}},
		{name: "umask/more", ask: umask, tamper: config(func(c *checkpoint.Config) { c.Umask.Value = 0o177 }), want: finds{"fs.umask": oracle.Stronger}},
		{
			name: "session/skipped", ask: session, tamper: config(func(c *checkpoint.Config) { c.Session = false }),
			want: finds{"process.session": oracle.Ignored, "process.process_group": oracle.Ignored, "process.session_leader": oracle.Weaker}, also: []string{"process.tty", "sched.autogroup"},
		},
		{name: "keyring/skipped", ask: keyring, tamper: config(func(c *checkpoint.Config) { c.NewKeyring = false }), want: finds{"keyrings.session": oracle.Ignored}},
		{name: "keyring/unasked", tamper: config(func(c *checkpoint.Config) { c.NewKeyring = true }), want: finds{"keyrings.session": oracle.Leaked}},
		{name: "ignored signals/skipped", ask: ignore, tamper: config(func(c *checkpoint.Config) { c.IgnoreSignals = nil }), want: finds{"signals.ignored": oracle.Ignored}},
		{name: "ignored signals/one more", ask: ignore, tamper: config(func(c *checkpoint.Config) { c.IgnoreSignals = []int{1, 2, 13} }), want: finds{"signals.ignored": oracle.Weaker}},
		{name: "ignored signals/one missing", ask: ignore, tamper: config(func(c *checkpoint.Config) { c.IgnoreSignals = []int{1} }), want: finds{"signals.ignored": oracle.Stronger}},
		{name: "ignored signals/unasked", tamper: config(func(c *checkpoint.Config) { c.IgnoreSignals = []int{13} }), want: finds{"signals.ignored": oracle.Leaked}},
		{name: "blocked signals/skipped", ask: block, tamper: config(func(c *checkpoint.Config) { c.BlockSignals = nil }), want: finds{"signals.blocked": oracle.Stronger}},
		{name: "blocked signals/one more", ask: block, tamper: config(func(c *checkpoint.Config) { c.BlockSignals = []int{1, 2, 17} }), want: finds{"signals.blocked": oracle.Weaker}},
		{name: "blocked signals/unasked", tamper: config(func(c *checkpoint.Config) { c.BlockSignals = []int{2} }), want: finds{"signals.blocked": oracle.Leaked}},
		{name: "blocked signals/the agent's SIGCHLD", tamper: config(func(c *checkpoint.Config) { c.BlockSignals = []int{17} }), want: finds{"signals.blocked": oracle.Inherited}},
		{name: "cwd/skipped", ask: cwd, tamper: config(func(c *checkpoint.Config) { c.Cwd = "" }), want: finds{"fs.cwd": oracle.Ignored}},
		{name: "cwd/wrong", ask: cwd, tamper: config(func(c *checkpoint.Config) { c.Cwd = "/usr" }), want: finds{"fs.cwd": oracle.Weaker}},
		{name: "env/one missing", ask: env, tamper: config(func(c *checkpoint.Config) { c.Env = c.Env[:1] }), want: finds{"exec.env": oracle.Weaker}},
		{name: "env/one more", ask: env, tamper: config(func(c *checkpoint.Config) { c.Env = append(slices.Clip(c.Env), "SECRET=1") }), want: finds{"exec.env": oracle.Weaker}},
		{name: "env/another value", ask: env, tamper: config(func(c *checkpoint.Config) { c.Env = []string{"A=1", "B=3"} }), want: finds{"exec.env": oracle.Weaker}},
		{name: "env/leaked", tamper: config(func(c *checkpoint.Config) { c.Env = []string{"SECRET=1"} }), want: finds{"exec.env": oracle.Leaked}},
		{name: "args/one missing", ask: args, tamper: config(func(c *checkpoint.Config) { c.Args = c.Args[:2] }), want: finds{"exec.args": oracle.Weaker}},
		{name: "args/wrong", ask: args, tamper: config(func(c *checkpoint.Config) { c.Args = []string{"/bin/true", "one", "2"} }), want: finds{"exec.args": oracle.Weaker}},
		{name: "args/one more", ask: args, tamper: config(func(c *checkpoint.Config) { c.Args = append(slices.Clip(c.Args), "") }), want: finds{"exec.args": oracle.Weaker}},
		{name: "program/another", tamper: config(func(c *checkpoint.Config) { c.Path = "/bin/false" }), want: finds{"exec.exe": oracle.Leaked, "exec.comm": oracle.Leaked}},
		{name: "files/missing", ask: fd, opts: passed, tamper: func(_ *checkpoint.Config, o *checkpoint.Options) { o.Files = nil }, want: finds{"files": oracle.Stronger}},
		{name: "files/another", ask: fd, opts: passed, tamper: func(_ *checkpoint.Config, o *checkpoint.Options) { o.Files = []checkpoint.PassedFile{other} }, want: finds{"files": oracle.Weaker}},
		{name: "files/another number", ask: fd, opts: passed, tamper: func(_ *checkpoint.Config, o *checkpoint.Options) {
			o.Files = []checkpoint.PassedFile{{Number: 5, File: o.Files[0].File}}
		}, want: finds{"files": oracle.Weaker}},
		{name: "files/one more", ask: fd, opts: passed, tamper: func(_ *checkpoint.Config, o *checkpoint.Options) {
			o.Files = append(slices.Clip(o.Files), checkpoint.PassedFile{Number: 9, File: other.File})
		}, want: finds{"files": oracle.Weaker}},
		{name: "files/leaked", tamper: func(_ *checkpoint.Config, o *checkpoint.Options) { o.Files = []checkpoint.PassedFile{other} }, want: finds{"files": oracle.Leaked}},
		{name: "files/another stdout", tamper: func(_ *checkpoint.Config, o *checkpoint.Options) { o.Stdout = other.File }, want: finds{"files": oracle.Leaked}},
	})
}
