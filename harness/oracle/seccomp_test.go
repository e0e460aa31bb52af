package oracle

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/internal/cbpf"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func seccompFrom(t testing.TB, text string) *seccomp.Policy {
	t.Helper()
	p := new(seccomp.Policy)
	if err := json.Unmarshal([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func filterOf(t testing.TB, text string) posture.Filter {
	t.Helper()
	prog, err := seccompFrom(t, text).Compile(seccomp.Options{Native: seccomp.ArchX86_64})
	if err != nil {
		t.Fatal(err)
	}
	return loaded(prog)
}

const denyPtrace = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ERRNO"}]}`

var onAMD64 = SeccompOptions{Native: seccomp.ArchX86_64}

func raw(in ...cbpf.Instruction) posture.Filter { return installed(in) }

func ret(a cbpf.Action) cbpf.Instruction {
	return cbpf.Instruction{Code: cbpf.ReturnK, K: uint32(a)}
}

func TestCheckSeccomp(t *testing.T) {
	policy := seccompFrom(t, denyPtrace)
	good := filterOf(t, denyPtrace)
	caller := raw(ret(cbpf.Log))
	logged := good
	logged.Log = true
	listening := good
	listening.HasNotifier = true
	const notifyMkdir = `{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}`
	notifies, notifier := seccompFrom(t, notifyMkdir), filterOf(t, notifyMkdir)
	deaf, patient, other := notifier, notifier, filterOf(t, strings.Replace(notifyMkdir, "mkdir", "rmdir", 1))
	deaf.HasNotifier, patient.WaitKillable = false, false
	killable := good
	killable.WaitKillable = true
	for name, c := range map[string]struct {
		policy   *seccomp.Policy
		observed []posture.Filter
		caller   []posture.Filter
		want     Outcome
		text     string
	}{
		"as wanted":               {policy, []posture.Filter{good}, nil, Equal, ""},
		"on top of the caller's":  {policy, []posture.Filter{good, caller}, []posture.Filter{caller}, Equal, ""},
		"not installed":           {policy, nil, nil, Ignored, "none added"},
		"only the caller's":       {policy, []posture.Filter{caller}, []posture.Filter{caller}, Ignored, "none added"},
		"caller's lost":           {policy, []posture.Filter{good}, []posture.Filter{caller}, Leaked, "caller's filters beneath"},
		"fewer than the caller's": {policy, nil, []posture.Filter{caller}, Weaker, "0 filters"},
		"nothing asked, nothing":  {nil, nil, nil, Equal, ""},
		"nothing asked, caller's": {nil, []posture.Filter{caller}, []posture.Filter{caller}, Equal, ""},
		"nothing asked, one more": {nil, []posture.Filter{good, caller}, []posture.Filter{caller}, Leaked, "2 filters"},
		"unreadable":              {policy, []posture.Filter{{InstructionsLost: "no CHECKPOINT_RESTORE"}}, nil, Unobservable, "CHECKPOINT_RESTORE"},
		"unreadable caller's":     {nil, []posture.Filter{{}}, []posture.Filter{{}}, Unobservable, "no instructions"},
		"not a program":           {policy, []posture.Filter{raw(cbpf.Instruction{Code: 0xff})}, nil, Unobservable, "not allowed"},
		"all allowed":             {policy, []posture.Filter{raw(ret(cbpf.Allow))}, nil, Weaker, "ptrace(101)"},
		"all killed":              {policy, []posture.Filter{raw(ret(cbpf.KillProcess))}, nil, Stronger, "got kill_process"},
		"flag LOG not asked for":  {policy, []posture.Filter{logged}, nil, Stronger, "LOG"},
		"a listener":              {policy, []posture.Filter{listening}, nil, Leaked, "listener"},
		"notifies":                {notifies, []posture.Filter{notifier}, nil, Equal, ""},
		"no listener":             {notifies, []posture.Filter{deaf}, nil, Weaker, "want a listener, got none"},
		"interruptible":           {notifies, []posture.Filter{patient}, nil, Weaker, "WAIT_KILLABLE_RECV"},
		"killable unasked":        {policy, []posture.Filter{killable}, nil, Leaked, "WAIT_KILLABLE_RECV"},
		"notifies of another":     {notifies, []posture.Filter{other}, nil, Weaker, "mkdir(83): want notify, got allow"},
		"two that add up":         {policy, []posture.Filter{good, raw(ret(cbpf.Allow))}, nil, Equal, ""},
		"two, one too strong":     {policy, []posture.Filter{good, raw(ret(cbpf.Trap))}, nil, Stronger, "trap"},
		"other errno": {
			policy,
			[]posture.Filter{filterOf(t, strings.Replace(denyPtrace, `ERRNO"`, `ERRNO","errnoRet":38`, 1))},
			nil,
			Weaker, "want errno(1), got errno(38)",
		},
		"x32 open": {
			policy,
			[]posture.Filter{filterOf(t, strings.Replace(denyPtrace, `"syscalls"`, `"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"],"syscalls"`, 1))},
			nil,
			Weaker, "SCMP_ARCH_X32",
		},
		"no architecture check": {policy, []posture.Filter{raw(
			cbpf.Instruction{Code: cbpf.LoadAbs},
			cbpf.Instruction{Code: cbpf.JumpEqual, K: 101, JF: 1}, ret(cbpf.Errno|1), ret(cbpf.Allow))}, nil, Weaker, "SCMP_ARCH_X86"},
		"computes with arguments": {
			policy,
			[]posture.Filter{raw(
				cbpf.Instruction{Code: cbpf.LoadAbs, K: 16}, cbpf.Instruction{Code: cbpf.AddK, K: 1}, cbpf.Instruction{Code: cbpf.ReturnA})},
			nil,
			Unobservable, "computes with the input",
		},
		"unknown names":  {seccompFrom(t, strings.Replace(denyPtrace, "ptrace", "pttrace", 1)), []posture.Filter{good}, nil, Unobservable, "pttrace"},
		"invalid policy": {&seccomp.Policy{}, []posture.Filter{good}, nil, Unobservable, "defaultAction"},
	} {
		t.Run(name, func(t *testing.T) {
			o := onAMD64
			o.Caller = c.caller
			for range 2 { // the second answer is the cache's
				got, why := SummarizeSeccomp(CheckSeccomp(c.policy, c.observed, o))
				if got != c.want || !strings.Contains(why, c.text) {
					t.Errorf("got %s %q, want %s %q", got, why, c.want, c.text)
				}
			}
		})
	}
}

// The classic mistake (CVE-2019-10063, flatpak's TIOCSTI): a 64-bit comparison
// of an argument that the kernel cuts to 32 bits, or the reverse.
func TestCheckSeccompSeesTheUpperHalf(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":4294967295,"valueTwo":21522,"op":"SCMP_CMP_MASKED_EQ"}]}]}`
	exact := strings.Replace(text, `"value":4294967295,"valueTwo":21522,"op":"SCMP_CMP_MASKED_EQ"`, `"value":21522,"op":"SCMP_CMP_EQ"`, 1)
	diffs := CheckSeccomp(seccompFrom(t, text), []posture.Filter{filterOf(t, exact)}, onAMD64)
	if len(diffs) != 1 || diffs[0].Outcome != Weaker || diffs[0].Name != "ioctl" || !diffs[0].ArgsMatter {
		t.Fatalf("got %v", diffs)
	}
	if a := diffs[0].Example[1]; uint32(a) != 21522 || a>>32 == 0 {
		t.Errorf("example %#x does not show it", a)
	}
}

func TestFilterJudge(t *testing.T) {
	oci := &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"ptrace"}, Action: specs.ActErrno}},
	}
	var j SeccompJudge = FilterJudge{Native: seccomp.ArchX86_64}
	good, bad := filterOf(t, denyPtrace), raw(ret(cbpf.Allow))
	if o, why := j.JudgeFilter(oci, &good); o != Equal {
		t.Errorf("got %s %s", o, why)
	}
	if o, why := j.JudgeFilter(oci, &bad); o != Weaker {
		t.Errorf("got %s %s", o, why)
	}
	if o, _ := j.JudgeFilter(oci, &posture.Filter{InstructionsLost: "x"}); o != Unobservable {
		t.Errorf("got %s", o)
	}
}

// runc answers ENOSYS for calls newer than any that an allow-list names.
func TestNewerIsENOSYS(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}`
	stub := []cbpf.Instruction{
		{Code: cbpf.LoadAbs, K: 4},
		{Code: cbpf.JumpEqual, K: cbpf.ArchX86_64, JF: 4},
		{Code: cbpf.LoadAbs},
		{Code: cbpf.JumpGE, K: cbpf.X32Bit, JT: 2},
		{Code: cbpf.JumpGT, K: 1, JF: 1},
		ret(cbpf.Errno | 38),
	}
	for _, in := range filterOf(t, text).Instructions {
		stub = append(stub, cbpf.Instruction(in))
	}
	o := onAMD64
	if got, _ := SummarizeSeccomp(CheckSeccomp(seccompFrom(t, text), []posture.Filter{installed(stub)}, o)); got == Equal {
		t.Error("accepted without being told")
	}
	o.NewerIsENOSYS = true
	if got, why := SummarizeSeccomp(CheckSeccomp(seccompFrom(t, text), []posture.Filter{installed(stub)}, o)); got != Equal {
		t.Errorf("got %s %s", got, why)
	}
}

func debianSeccomp(t testing.TB) *seccomp.Policy {
	t.Helper()
	text, err := os.ReadFile("/usr/share/containers/seccomp.json")
	if err != nil {
		t.Skip("needs /usr/share/containers/seccomp.json (package golang-github-containers-common)")
	}
	var file struct {
		DefaultAction   seccomp.Action
		DefaultErrnoRet *uint
		Syscalls        []struct {
			seccomp.Rule
			Includes, Excludes struct{ Caps, Arches []string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	p := &seccomp.Policy{
		DefaultAction: file.DefaultAction, DefaultErrnoRet: file.DefaultErrnoRet,
		Architectures: []seccomp.Arch{seccomp.ArchX86_64, seccomp.ArchX86, seccomp.ArchX32},
	}
	for _, s := range file.Syscalls {
		if len(s.Includes.Caps) == 0 && (len(s.Includes.Arches) == 0 || slices.Contains(s.Includes.Arches, "amd64")) &&
			!slices.Contains(s.Excludes.Arches, "amd64") {
			p.Syscalls = append(p.Syscalls, s.Rule)
		}
	}
	return p
}

func TestCheckSeccompDebianProfile(t *testing.T) {
	p := debianSeccomp(t)
	for _, d := range []seccomp.Dialect{seccomp.FirstMatch, seccomp.Libseccomp} {
		prog, err := p.Compile(seccomp.Options{Native: seccomp.ArchX86_64, Dialect: d})
		if err != nil {
			t.Fatal(err)
		}
		for _, diff := range CheckSeccomp(p, []posture.Filter{installed(prog.Instructions)}, SeccompOptions{Native: seccomp.ArchX86_64, Dialect: d}) {
			t.Error(diff)
		}
	}
}

func BenchmarkCheckSeccompDebianProfile(b *testing.B) {
	p := debianSeccomp(b)
	prog, err := p.Compile(seccomp.Options{Native: seccomp.ArchX86_64})
	if err != nil {
		b.Fatal(err)
	}
	observed := []posture.Filter{installed(prog.Instructions)}
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o := onAMD64
			checkSeccomp(p, observed, &o)
		}
	})
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			CheckSeccomp(p, observed, onAMD64)
		}
	})
}
