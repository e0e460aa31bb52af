package hostile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/suites/internal/sys"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// order is how a process is told which act it plays.
const order = "HOLDSHORT_HOSTILE"

// play is what an engine is told: its act, how often or how many, and the
// program.
type play struct {
	Act       string
	N, Left   int
	Wrong     bool // a descriptor, a group, … too many
	Args, Env []string
}

func init() {
	if os.Getenv(order) != "" {
		runtime.LockOSThread() // of a process the first thread is the leader
	}
}

func TestMain(m *testing.M) {
	if text := os.Getenv(order); text != "" {
		if err := perform(text); err != nil {
			fmt.Fprintln(os.Stderr, "hostile:", err)
			os.Exit(70)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func perform(text string) error {
	var p play
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	if err := acts[p.Act](&p); err != nil {
		return fmt.Errorf("%s: %w", p.Act, err)
	}
	return os.NewSyscallError("execve", unix.Exec(p.Args[0], p.Args, p.Env))
}

// command is an engine that plays an act and executes a program.
func (p *play) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	p.Args = args
	c := exec.CommandContext(t.Context(), "/proc/self/exe")
	c.Env, c.Stderr = []string{p.text()}, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{}} // no groups
	return c
}

func (p *play) text() string {
	b, _ := json.Marshal(p)
	return order + "=" + string(b)
}

// again executes the engine once more, with less left to do.
func (p *play) again() error {
	return os.NewSyscallError("execve", unix.Exec("/proc/self/exe", []string{"engine"}, []string{p.text()}))
}

var bg = context.Background()

var acts = map[string]func(*play) error{
	// N processes that execute something before the program is executed, many
	// of them at once.
	"bomb": func(p *play) error {
		var all []*exec.Cmd
		for range p.N {
			c := exec.Command("/bin/true")
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
			c.Env = []string{}
			if err := c.Start(); err != nil {
				break // no more are to be had: all the better
			}
			all = append(all, c)
		}
		for _, c := range all {
			_ = c.Wait()
		}
		return p.harm()
	},
	// One process that executes itself N times first.
	"storm": func(p *play) error {
		if p.Left < p.N {
			p.Left++
			return p.again()
		}
		return p.harm()
	},
	"descriptors": func(p *play) error {
		const last = 1 << 20
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: last, Max: last})
		for i := range p.N {
			if err := unix.Dup3(0, 3+i, 0); err != nil {
				return fmt.Errorf("descriptor %d: %w", 3+i, err)
			}
		}
		return nil
	},
	"groups": func(p *play) error {
		groups := make([]int, p.N)
		for i := range groups {
			groups[i] = 1000 + i
		}
		if p.Wrong {
			groups[p.N-1]++ // the last is another
		}
		return os.NewSyscallError("setgroups", unix.Setgroups(groups))
	},
	// N arguments, the last of which ends otherwise than was asked for.
	"arguments": func(p *play) error {
		p.Args = append(p.Args, long(p.N, p.Wrong)...)
		return nil
	},
	// N variables of the environment, and one that nobody asked for.
	"environment": func(p *play) error {
		if p.Env = variables(p.N); p.Wrong {
			p.Env = append(p.Env, "LD_PRELOAD=/tmp/mine.so")
		}
		return nil
	},
	// N user namespaces, one in the other; the program is in the last.
	"deep": func(p *play) error {
		if p.Left >= p.N {
			return nil
		}
		p.Left++
		c := exec.Command("/proc/self/exe")
		c.Env, c.Stderr = []string{p.text()}, os.Stderr
		ids := []syscall.SysProcIDMap{{Size: 65536}}
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true}
		err := c.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		if err == nil {
			os.Exit(0)
		}
		return err
	},
	// N filters, of which the one in the middle lets something through if that
	// is what is to go wrong.
	"filters": func(p *play) error {
		for i := range p.N {
			s := denied("keyctl")
			if p.Wrong && i == p.N/2 {
				s = denied("acct")
			}
			program, err := engine.CompileSeccomp(s)
			if err == nil {
				_, err = sys.Filter(program, 0)
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
	// An ordinary user without a capability tries to reach what judges it.
	"forge": func(p *play) error { return forge(p) },
	// The same as a workload: its parent is the launcher, and it has no
	// descriptors but three.
	"reach": func(p *play) error { return errors.Join(onlyStandard(), forge(p)) },
	"harm":  func(p *play) error { return p.harm() },
	// The program is executed with a limit of N descriptors.
	"limit": func(p *play) error {
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(p.N), Max: 4096})
	},
}

// long are arguments that are nearly as long as one may be (MAX_ARG_STRLEN,
// include/uapi/linux/binfmts.h).
func long(n int, wrong bool) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Repeat(string(rune('a'+i%26)), 1<<17-100)
	}
	if wrong {
		out[n-1] = out[n-1][1:] + "X"
	}
	return out
}

func variables(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("V%06d=%0100d", i, i)
	}
	return out
}

// harm leaves a descriptor open if the engine is wrong.
func (p *play) harm() error {
	if !p.Wrong {
		return nil
	}
	return unix.Dup3(0, 9, 0)
}

var archs = map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}

func denied(name string) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, Architectures: []specs.Arch{archs[runtime.GOARCH]},
		Syscalls: []specs.LinuxSyscall{{Names: []string{name}, Action: specs.ActErrno}},
	}
}
