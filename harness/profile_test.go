package harness

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A filter of libseccomp's is judged as one where the engine compiles with it,
// and one that lacks a rule is found in any case.
func TestFilterJudge(t *testing.T) {
	errno := uint(1)
	policy := func(names ...string) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64},
			Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActErrno, ErrnoRet: &errno}},
		}
	}
	filter := func(p *specs.LinuxSeccomp, d seccomp.Dialect) *posture.Filter {
		t.Helper()
		parsed, err := oracle.PolicyFromOCI(p)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := parsed.Compile(seccomp.Options{Native: seccomp.ArchX86_64, Dialect: d})
		if err != nil {
			t.Fatal(err)
		}
		f := &posture.Filter{}
		for _, in := range prog.Instructions {
			f.Instructions = append(f.Instructions, posture.Instruction(in))
		}
		return f
	}
	asked := policy("keyctl", "swapon")
	for name, c := range map[string]struct {
		judge filterJudge
		got   *posture.Filter
		fine  bool
	}{
		"ours":                     {filterJudge{}, filter(asked, seccomp.FirstMatch), true},
		"libseccomp's":             {filterJudge{libseccomp: true}, filter(asked, seccomp.Libseccomp), true},
		"libseccomp's, less":       {filterJudge{libseccomp: true}, filter(policy("keyctl"), seccomp.Libseccomp), false},
		"libseccomp's, other":      {filterJudge{libseccomp: true}, filter(policy("keyctl", "swapoff"), seccomp.Libseccomp), false},
		"with ENOSYS, less":        {filterJudge{libseccomp: true, enosys: true}, filter(policy("keyctl"), seccomp.Libseccomp), false},
		"ours, less":               {filterJudge{}, filter(policy("keyctl"), seccomp.FirstMatch), false},
		"libseccomp's, nothing":    {filterJudge{libseccomp: true, enosys: true}, &posture.Filter{Instructions: []posture.Instruction{{Code: 6, K: 0x7fff0000}}}, false},
		"libseccomp's, everything": {filterJudge{libseccomp: true, enosys: true}, &posture.Filter{Instructions: []posture.Instruction{{Code: 6, K: 0x80000000}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if o, why := c.judge.JudgeFilter(asked, c.got); o.Finding() == c.fine || c.fine && o != oracle.Equal {
				t.Errorf("%s: %s", o, why)
			}
		})
	}
}

// What an engine documents to allow beyond the rules is that, access by access.
func TestMoreDevices(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	rule := func(allow bool, major, minor int64, access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: allow, Type: "c", Major: number(major), Minor: number(minor), Access: access}
	}
	none := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for name, c := range map[string]struct {
		allowed []specs.LinuxDeviceCgroup
		a       access
		want    bool
	}{
		"nothing documented":  {nil, access{"c", 1, 3, "r"}, false},
		"this one":            {[]specs.LinuxDeviceCgroup{rule(true, 1, 3, "rwm")}, access{"c", 1, 3, "rw"}, true},
		"another minor":       {[]specs.LinuxDeviceCgroup{rule(true, 1, 3, "rwm")}, access{"c", 1, 4, "r"}, false},
		"another major":       {[]specs.LinuxDeviceCgroup{rule(true, 1, 3, "rwm")}, access{"c", 2, 3, "r"}, false},
		"a block device":      {[]specs.LinuxDeviceCgroup{rule(true, 1, 3, "rwm")}, access{"b", 1, 3, "r"}, false},
		"another access":      {[]specs.LinuxDeviceCgroup{rule(true, 1, 3, "r")}, access{"c", 1, 3, "w"}, false},
		"one access of two":   {[]specs.LinuxDeviceCgroup{rule(true, 1, 3, "r")}, access{"c", 1, 3, "rw"}, false},
		"making, of any":      {[]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Access: "m"}}, access{"c", 8, 1, "m"}, true},
		"making, not reading": {[]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Access: "m"}}, access{"c", 8, 1, "rm"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &held{devicesAllowed: c.allowed}
			if got := h.deviceByDefault(none, c.a); got != c.want {
				t.Errorf("%s: %v", c.a, got)
			}
		})
	}
}
