package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
)

// identityFlags are those about who the workload is and what may be done to it.
type identityFlags struct {
	Argv0        string   `name:"argv0" help:"First argument of the program, instead of its name." placeholder:"NAME" group:"Process"`
	ByFD         bool     `name:"by-fd" help:"Open the program here, before the root changes, and execute the descriptor." group:"Process"`
	Memfd        bool     `help:"As --by-fd, with a sealed copy in memory." group:"Process"`
	ProgramFD    int      `name:"program-fd" help:"Leave that descriptor open at this number, which a script needs." placeholder:"N" group:"Process"`
	ProcessGroup bool     `help:"Make the workload the leader of a process group." group:"Process"`
	Subreaper    bool     `help:"Make orphans below the workload its children." group:"Process"`
	KeyringName  string   `help:"Join or make a session keyring of this name." placeholder:"NAME" group:"Process"`
	Pdeathsig    string   `help:"Signal that the workload gets when its parent dies." placeholder:"SIGNAL" group:"Process"`
	PTracer      string   `name:"ptracer" help:"Process that Yama lets trace the workload, or any." placeholder:"PID" group:"Privilege"`
	AppArmor     string   `name:"apparmor" help:"AppArmor profile." placeholder:"PROFILE" group:"Privilege"`
	SELinux      string   `name:"selinux" help:"SELinux context." placeholder:"LABEL" group:"Privilege"`
	Speculation  []string `help:"store-bypass, indirect-branch or l1d-flush = enable, disable or force-disable." placeholder:"CONTROL=MODE" sep:"none" group:"Privilege"`
}

func (f *identityFlags) identity(r *request.Request) error {
	x, p := &r.Ext, r.Spec.Process
	x.ProcessGroup, x.Subreaper = f.ProcessGroup, f.Subreaper
	p.ApparmorProfile, p.SelinuxLabel = f.AppArmor, f.SELinux
	if f.KeyringName != "" {
		x.Keyring = &request.Keyring{Name: f.KeyringName}
	}
	if f.Pdeathsig != "" {
		text := f.Pdeathsig
		if _, err := strconv.Atoi(text); err != nil {
			text = strconv.Quote(text)
		}
		x.Pdeathsig = new(request.Signal)
		if err := x.Pdeathsig.UnmarshalJSON([]byte(text)); err != nil {
			return fmt.Errorf("--pdeathsig: %w", err)
		}
	}
	switch f.PTracer {
	case "":
	case "any":
		x.PTracer = new(-1)
	default:
		n, err := number[int]("ptracer", f.PTracer, 10)
		if err != nil {
			return err
		}
		x.PTracer = &n
	}
	for _, s := range f.Speculation {
		c, err := split("speculation", s, "=", 2, 2)
		if err != nil {
			return err
		}
		to := map[string]*string{
			"store-bypass": &x.Speculation.StoreBypass, "indirect-branch": &x.Speculation.IndirectBranch, "l1d-flush": &x.Speculation.L1DFlush,
		}[c[0]]
		if to == nil {
			return fmt.Errorf("--speculation %q: the controls are store-bypass, indirect-branch, l1d-flush", s)
		}
		*to = c[1]
	}
	return f.program(r)
}

func (f *identityFlags) program(r *request.Request) error {
	x, p := &r.Ext, r.Spec.Process
	if f.ByFD || f.Memfd || f.ProgramFD != 0 {
		if len(p.Args) == 0 || !strings.Contains(p.Args[0], "/") {
			return fmt.Errorf("--by-fd and --memfd need the program's path, not a name to search for")
		}
		host, err := filepath.Abs(p.Args[0])
		if err != nil {
			return fmt.Errorf("--by-fd: %w", err)
		}
		x.Program, x.SearchPath = &request.Program{Host: host, Memfd: f.Memfd, Number: f.ProgramFD}, false
	}
	if f.Argv0 != "" && len(p.Args) > 0 {
		if x.Program == nil {
			x.Path = p.Args[0]
		}
		p.Args = append([]string{f.Argv0}, p.Args[1:]...)
	}
	return nil
}

// securebitNames are those of capabilities(7), from bit 0 on.
var securebitNames = []string{
	"noroot", "noroot_locked", "no_setuid_fixup", "no_setuid_fixup_locked",
	"keep_caps", "keep_caps_locked", "no_cap_ambient_raise", "no_cap_ambient_raise_locked",
}

// securebits reads a number or a list of names.
func securebits(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		return uint32(n), nil
	}
	var bits uint32
next:
	for name := range strings.SplitSeq(s, ",") {
		for i, known := range securebitNames {
			if name == known {
				bits |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("--securebits %q: a number, or names of %s", name, strings.Join(securebitNames, ", "))
	}
	return bits, nil
}
