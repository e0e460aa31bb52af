package harness

import (
	"os"
	"slices"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// filtered asks for a deny list with conditions and two errnos.
func filtered(_ *testing.T, q *request.Request) {
	p := q.Spec.Process
	p.NoNewPrivileges = true
	q.Spec.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ptrace", "mount", "umount2"}, Action: specs.ActErrno, ErrnoRet: new(uint(1))},
			{
				Names: []string{"socket"}, Action: specs.ActErrno, ErrnoRet: new(uint(97)),
				Args: []specs.LinuxSeccompArg{{Index: 0, Value: 40, Op: specs.OpEqualTo}},
			},
			{Names: []string{"keyctl"}, Action: specs.ActKillProcess},
		},
	}
}

// allowList asks for everything but what is listed to fail.
func allowList(t *testing.T, q *request.Request) {
	t.Helper()
	filtered(t, q)
	s := q.Spec.Linux.Seccomp
	s.DefaultAction, s.DefaultErrnoRet = specs.ActErrno, new(uint(38))
	s.Syscalls = []specs.LinuxSyscall{{Action: specs.ActAllow, Names: []string{
		"execve", "brk", "mmap", "munmap", "mprotect", "openat", "read",
		"pread64", "close", "fstat", "newfstatat", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "access",
		"exit", "exit_group", "write", "rt_sigaction", "rt_sigprocmask",
	}}}
}

// TestSabotageSeccomp plants faults in filters. The filter that is loaded is
// compared with the policy by simulation, so each must be found by what it
// lets through.
func TestSabotageSeccomp(t *testing.T) {
	weaker, stronger := finds{"seccomp.filters": oracle.Weaker}, finds{"seccomp.filters": oracle.Stronger}
	policy := func(f func(p *seccomp.Policy)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { f(c.Seccomp) })
	}
	unasked := func(_ *testing.T, q *request.Request) { q.Spec.Process.NoNewPrivileges = true }
	table(t, []sabotage{
		{
			name: "skipped", ask: filtered, tamper: config(func(c *checkpoint.Config) { c.Seccomp = nil }),
			want: finds{"seccomp.mode": oracle.Ignored, "seccomp.filter_count": oracle.Ignored, "seccomp.filters": oracle.Ignored},
		},
		{name: "unasked", ask: unasked, tamper: config(func(c *checkpoint.Config) {
			c.Seccomp = &seccomp.Policy{DefaultAction: seccomp.ActAllow, Syscalls: []seccomp.Rule{{Names: []string{"ptrace"}, Action: seccomp.ActErrno}}}
		}), want: finds{"seccomp.mode": oracle.Leaked, "seccomp.filter_count": oracle.Leaked, "seccomp.filters": oracle.Leaked}},
		{name: "one rule missing", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls = p.Syscalls[:2] }), want: weaker},
		{name: "one name missing", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[0].Names = []string{"ptrace", "mount"} }), want: weaker},
		{name: "one rule more", ask: filtered, tamper: policy(func(p *seccomp.Policy) {
			p.Syscalls = append(slices.Clip(p.Syscalls), seccomp.Rule{Names: []string{"bpf"}, Action: seccomp.ActErrno})
		}), want: stronger},
		{name: "another errno", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[0].ErrnoRet = new(uint(2)) }), want: weaker},
		{name: "errno instead of kill", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[2].Action = seccomp.ActErrno }), want: weaker},
		{name: "log instead of errno", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[0].Action, p.Syscalls[0].ErrnoRet = seccomp.ActLog, nil }), want: weaker},
		{name: "another argument", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[1].Args[0].Value = 41 }), want: weaker},
		{name: "a condition less", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[1].Args = nil }), want: stronger},
		{name: "not equal", ask: filtered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[1].Args[0].Op = seccomp.OpNotEqual }), want: weaker},
		{name: "allow list/one more", ask: allowList, tamper: policy(func(p *seccomp.Policy) {
			p.Syscalls[0].Names = append(slices.Clip(p.Syscalls[0].Names), "ptrace")
		}), want: weaker},
		{name: "allow list/default allows", ask: allowList, tamper: policy(func(p *seccomp.Policy) {
			p.DefaultAction, p.DefaultErrnoRet = seccomp.ActAllow, nil
			p.Syscalls = []seccomp.Rule{{Names: []string{"ptrace"}, Action: seccomp.ActErrno}}
		}), want: weaker},
		{name: "allow list/another default errno", ask: allowList, tamper: policy(func(p *seccomp.Policy) { p.DefaultErrnoRet = new(uint(1)) }), want: weaker},
	})
}

// TestSabotageFilterStack changes what was seen of a good launch: a launcher
// cannot be made to load a filter twice, or one that lets another ABI in.
func TestSabotageFilterStack(t *testing.T) {
	r := shared(t)
	q := request.New("/bin/true")
	allowList(t, q)
	r.tamper, r.parked = nil, nil
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Constrained {
		t.Fatalf("control: %s\n%s", c.Verdict, text(c))
	}
	good, _ := c.snaps[0].Posture.Seccomp.Filters.Get()
	type bend struct {
		stack []posture.Filter
		count uint32
		want  finds
	}
	edit := func(f func(p []posture.Instruction) []posture.Instruction) []posture.Filter {
		x := good[0]
		x.Instructions = f(slices.Clone(x.Instructions))
		return []posture.Filter{x}
	}
	const ret, allow = 0x06, 0x7fff0000
	for name, b := range map[string]bend{
		"twice":    {append(slices.Clone(good), good...), 2, finds{"seccomp.filter_count": oracle.Stronger, "seccomp.filters": oracle.Stronger}},
		"none":     {nil, 0, finds{"seccomp.filter_count": oracle.Ignored, "seccomp.filters": oracle.Ignored}},
		"no count": {good, 0, finds{"seccomp.filter_count": oracle.Ignored}},
		"allows everything": {edit(func([]posture.Instruction) []posture.Instruction {
			return []posture.Instruction{{Code: ret, K: allow}}
		}), 1, finds{"seccomp.filters": oracle.Weaker}},
		"allows x32": {edit(func(p []posture.Instruction) []posture.Instruction {
			// if nr >= 0x40000000 on x86-64, allow
			return append([]posture.Instruction{{Code: 0x20, K: 4}, {Code: 0x15, JF: 3, K: 0xc000003e}, {Code: 0x20, K: 0}, {Code: 0x35, JF: 1, K: 0x40000000}, {Code: ret, K: allow}}, p...)
		}), 1, finds{"seccomp.filters": oracle.Weaker}},
		"allows i386": {edit(func(p []posture.Instruction) []posture.Instruction {
			return append([]posture.Instruction{{Code: 0x20, K: 4}, {Code: 0x15, JF: 1, K: 0x40000003}, {Code: ret, K: allow}}, p...)
		}), 1, finds{"seccomp.filters": oracle.Weaker}},
		"allows one call with one argument": {edit(func(p []posture.Instruction) []posture.Instruction {
			return append([]posture.Instruction{
				{Code: 0x20, K: 4},
				{Code: 0x15, JF: 5, K: 0xc000003e},
				{Code: 0x20, K: 0},
				{Code: 0x15, JF: 3, K: 101},
				{Code: 0x20, K: 16},
				{Code: 0x15, JF: 1, K: 0xdeadbeef},
				{Code: ret, K: allow},
			}, p...)
		}), 1, finds{"seccomp.filters": oracle.Weaker}},
	} {
		t.Run(name, func(t *testing.T) {
			if good[0].Instructions == nil {
				t.Skip("needs the instructions of installed filters")
			}
			snaps := slices.Clone(c.snaps)
			for i := range snaps {
				p := *snaps[i].Posture
				p.Seccomp.Filters = posture.Known(b.stack)
				p.Seccomp.Count = posture.Known(b.count)
				snaps[i].Posture = &p
			}
			bent := *c
			bent.Result = Judge(c.exp, snaps, nil, 0)
			(&sabotage{want: b.want}).judge(t, &bent)
		})
	}
}

// answered is a request with a filter that notifies; nothing that the workload
// does is notified of. Its listener is kept until the end of the test.
func answered(t *testing.T) *checkpoint.Options {
	t.Helper()
	return &checkpoint.Options{Notify: func(_ *checkpoint.Workload, f *os.File) error {
		t.Cleanup(func() { f.Close() })
		return nil
	}}
}

// TestSabotageListener plants faults in filters that notify.
func TestSabotageListener(t *testing.T) {
	weaker := finds{"seccomp.filters": oracle.Weaker}
	notifies := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.NoNewPrivileges = true
		q.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mount"}, Action: specs.ActNotify}}}
	}
	killable := func(t *testing.T, q *request.Request) {
		t.Helper()
		notifies(t, q)
		q.Spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
	}
	plain := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.NoNewPrivileges = true
		q.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mount"}, Action: specs.ActErrno}}}
	}
	policy := func(f func(p *seccomp.Policy)) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { f(c.Seccomp) })
	}
	needKillable := func(t *testing.T, r *Runner) string {
		t.Helper()
		q := request.New("/bin/true")
		killable(t, q)
		r.tamper, r.parked = nil, nil
		if c, err := r.Run(bg, q, answered(t)); err != nil || c.Verdict == Unknown {
			return "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, since Linux 5.19"
		}
		return ""
	}
	table(t, []sabotage{
		{name: "no listener", ask: notifies, opts: answered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[0].Action = seccomp.ActErrno }), want: weaker},
		{name: "given up", ask: notifies, opts: answered, tamper: func(_ *checkpoint.Config, o *checkpoint.Options) {
			o.Notify = func(_ *checkpoint.Workload, f *os.File) error { return f.Close() }
		}, want: finds{"seccomp.filters": oracle.Late}}, // the child's own copy goes when execve returns
		{name: "of another call", ask: notifies, opts: answered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[0].Names = []string{"umount2"} }), want: weaker},
		{name: "notified instead of refused", ask: plain, opts: answered, tamper: policy(func(p *seccomp.Policy) { p.Syscalls[0].Action = seccomp.ActNotify }), want: weaker},
		{name: "unasked", ask: plain, opts: answered, tamper: policy(func(p *seccomp.Policy) { p.Flags = []seccomp.Flag{seccomp.FlagNewListener} }), want: finds{"seccomp.filters": oracle.Leaked}},
		{name: "interruptible", need: needKillable, ask: killable, opts: answered, tamper: policy(func(p *seccomp.Policy) { p.Flags = nil }), want: weaker},
		{name: "not logged", ask: func(t *testing.T, q *request.Request) {
			t.Helper()
			plain(t, q)
			q.Spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}
		}, tamper: policy(func(p *seccomp.Policy) { p.Flags = nil }), want: weaker},
	})
}

// TestSabotageFilters plants faults in a stack of filters.
func TestSabotageFilters(t *testing.T) {
	deny := func(call string) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{call}, Action: specs.ActErrno}}}
	}
	three := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.NoNewPrivileges = true
		q.Spec.Linux.Seccomp = deny("ptrace")
		q.Ext.Seccomp = []*specs.LinuxSeccomp{deny("mount"), deny("reboot")}
	}
	only := func(_ *testing.T, q *request.Request) {
		q.Spec.Process.NoNewPrivileges = true
		q.Ext.Seccomp = []*specs.LinuxSeccomp{deny("mount")}
	}
	table(t, []sabotage{
		{name: "one missing", ask: three, tamper: config(func(c *checkpoint.Config) { c.Filters = c.Filters[:1] }), want: finds{"seccomp.filter_count": oracle.Weaker, "seccomp.filters": oracle.Weaker}},
		{name: "the last missing", ask: three, tamper: config(func(c *checkpoint.Config) { c.Seccomp = nil }), want: finds{"seccomp.filter_count": oracle.Weaker, "seccomp.filters": oracle.Weaker}},
		{name: "all missing", ask: three, tamper: config(func(c *checkpoint.Config) { c.Filters, c.Seccomp = nil, nil }), want: finds{"seccomp.mode": oracle.Ignored, "seccomp.filter_count": oracle.Ignored, "seccomp.filters": oracle.Ignored}},
		{name: "one more", ask: three, tamper: config(func(c *checkpoint.Config) { c.Filters = append(c.Filters, c.Filters[0]) }), want: finds{"seccomp.filter_count": oracle.Stronger, "seccomp.filters": oracle.Stronger}},
		{name: "the first twice", ask: three, tamper: config(func(c *checkpoint.Config) { c.Filters[1] = c.Filters[0] }), want: finds{"seccomp.filters": oracle.Weaker}},
		{name: "in another order", ask: three, tamper: config(func(c *checkpoint.Config) { c.Filters[0], c.Filters[1] = c.Filters[1], c.Filters[0] }), want: finds{"seccomp.filters": oracle.Weaker}},
		{name: "alone/skipped", ask: only, tamper: config(func(c *checkpoint.Config) { c.Filters = nil }), want: finds{"seccomp.mode": oracle.Ignored, "seccomp.filter_count": oracle.Ignored, "seccomp.filters": oracle.Ignored}},
		{name: "alone/another", ask: only, tamper: config(func(c *checkpoint.Config) { c.Filters[0].Syscalls = nil }), want: finds{"seccomp.filters": oracle.Weaker}},
	})
}
