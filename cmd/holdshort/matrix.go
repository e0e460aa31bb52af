package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm"
	"github.com/holdshort/holdshort/vm/matrix"
)

type matrixCmd struct {
	Kernels []string      `help:"Kernels: series, paths of images, or \"host\" for this machine's own (as root). Default: the catalogue." placeholder:"LIST"`
	Host    bool          `help:"A row for this machine's own kernel as well, as if \"host\" were among the kernels."`
	Arch    string        `help:"Architecture of the guests." default:"${arch}" enum:"amd64,arm64" placeholder:"ARCH"`
	What    []string      `help:"What runs: suites (the tests of the module here), fuzz (verified random launches), compare (the same launches everywhere, and in what the kernels differ). Default: suites." enum:"suites,fuzz,compare," placeholder:"LIST"`
	Cases   uint64        `short:"n" help:"Cases of fuzz." default:"2000" placeholder:"N"`
	Seed    uint64        `help:"Seed of fuzz and compare." default:"1" placeholder:"S"`
	Replay  []string      `help:"Also launch the findings in this file of fuzz again; repeatable." type:"existingfile" placeholder:"FILE"`
	Floor   string        `help:"A program that measures what starting a process takes at least (bench/c/floor.c, built static): fuzz is then given in multiples of it." type:"existingfile" placeholder:"FILE"`
	Run_    []string      `name:"run" sep:"none" help:"Besides the tests, build this main package and run it with these arguments, all in one word; repeatable." placeholder:"'PKG ARGS'"`
	Test    string        `help:"Run only tests that match, as go test -run." placeholder:"REGEXP"`
	Here    []string      `help:"Packages whose tests say nothing of a kernel, as go list takes them: only the host's row runs them. Repeatable." placeholder:"PATTERN"`
	Short   bool          `help:"In guests, tests run with go test's -short. The host's row has all of them: what is skipped there for this reason ran on it, or the matrix is not good."`
	Known   string        `name:"elsewhere" help:"A list of tests that no kernel here can run, each with where it runs or why nowhere: package, test (* matches), words. They do not make the matrix bad; one that did run does." type:"existingfile" placeholder:"FILE"`
	NoTests bool          `help:"No suites: only what else is said."`
	Jobs    int           `short:"j" help:"Guests at a time (default: processors of this machine by those of a guest)." placeholder:"N"`
	CPUs    int           `name:"cpus" help:"Processors of each guest." default:"1" placeholder:"N"`
	Memory  int           `help:"Memory of each guest in MiB." default:"2048" placeholder:"MIB"`
	Append  string        `help:"Add to the kernels' command line." placeholder:"WORDS"`
	Limit   time.Duration `help:"Time limit of one package's tests, or of one program." default:"10m" placeholder:"DURATION"`
	Tool    []string      `short:"t" help:"Take a program and its libraries along; repeatable." placeholder:"NAME|PATH"`
	Init    string        `help:"Static program for the guests' init, if their architecture is another (default: built)." type:"existingfile" placeholder:"FILE"`
	JSON    string        `name:"json" help:"Write the report as JSON to a file." placeholder:"FILE" type:"path"`
	Quiet   bool          `short:"q" help:"Do not tell what has ended."`
	Cache   string        `help:"Where kernels are kept." type:"path" placeholder:"DIR"`

	Shell   string `help:"Instead: a shell on this kernel, on this terminal; Ctrl-A X ends it." placeholder:"KERNEL"`
	GDB     string `name:"gdb" help:"With --shell: wait for a debugger here before the kernel starts." placeholder:"tcp:HOST:PORT"`
	Console bool   `help:"With --shell: the kernel's messages as well. Else: consoles on stderr."`

	Packages []string `arg:"" optional:"" help:"Packages of Go, as go test takes them (default ./...)."`

	comparing comparing
}

// Help is the long text of "matrix --help".
func (matrixCmd) Help() string {
	return `The tests of the Go module in the working directory are compiled once, run in a guest per kernel, and compared. A guest that dies is reported with its console, and another runs the rest. Exit status 1 if a test failed, a program found something, a test ran on no kernel or was skipped without a reason, or a guest did not offer what its kernel has.

The features of each kernel are found by trying (holdshort doctor), never taken from its version.

Examples:
  holdshort matrix
  holdshort matrix --what suites,fuzz,compare -n 2000 --seed 7
  holdshort matrix --kernels 5.10,6.12,host --test Landlock ./checkpoint
  holdshort matrix --what fuzz --replay results.jsonl
  holdshort matrix --no-tests --run './internal/cmd/soak -n 2000 -seed 7'
  holdshort matrix --kernels ./arch/x86/boot/bzImage
  holdshort matrix --shell 6.1`
}

func (c *matrixCmd) Run(ctx context.Context, s *streams) error {
	if c.Shell != "" {
		return c.shell(ctx, s)
	}
	dir, err := os.MkdirTemp("", "holdshort-matrix-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := c.matrix(ctx, s, dir)
	if err != nil {
		return err
	}
	rep := m.Run(ctx) // an interrupt ends the guests; what they said until then is reported
	if c.JSON != "" {
		b, err := json.MarshalIndent(rep, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.JSON, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if x := c.comparing.result; x != nil {
		if err := x.Text(s.out); err != nil {
			return err
		}
	}
	if err := rep.Text(s.out); err != nil {
		return err
	}
	if !rep.Good {
		return &exit{code: harness.ExitFinding}
	}
	return nil
}

// matrix fetches and builds all that the guests need.
func (c *matrixCmd) matrix(ctx context.Context, s *streams, dir string) (*matrix.Matrix, error) {
	log := tell(s.err)
	if c.Quiet {
		log = func(string) {}
	}
	m := &matrix.Matrix{Arch: c.Arch, Limit: c.Limit, Short: c.Short, AtOnce: c.Jobs, Log: log, Env: vm.Environ(os.Environ())}
	if m.AtOnce == 0 {
		m.AtOnce = max(1, runtime.NumCPU()/c.CPUs)
	}
	if len(c.Kernels) == 0 {
		c.Kernels = vm.Catalogue()
	}
	m.Host = c.Host
	cache, err := vm.OpenCache(c.Cache)
	if err != nil {
		return nil, err
	}
	for _, name := range c.Kernels {
		if name == matrix.Host {
			m.Host = true
			continue
		}
		k, err := findKernel(ctx, cache, name, "", c.Arch, log)
		if err != nil {
			return nil, err
		}
		m.Kernels = append(m.Kernels, k)
	}
	if c.Known != "" {
		f, err := os.Open(c.Known)
		if err != nil {
			return nil, usage(err)
		}
		m.Elsewhere, err = matrix.ReadElsewhere(f)
		f.Close()
		if err != nil {
			return nil, usage(fmt.Errorf("%s: %w", c.Known, err))
		}
	}
	log("compiling")
	if len(c.What) == 0 && !c.NoTests {
		c.What = []string{"suites"}
	}
	if err := c.ours(m, dir); err != nil {
		return nil, err
	}
	if slices.Contains(c.What, "suites") && !c.NoTests {
		if len(c.Packages) == 0 {
			c.Packages = []string{"./..."}
		}
		jobs, err := matrix.Tests(ctx, dir, c.Arch, c.Limit, c.Test, c.Packages...)
		if err != nil {
			return nil, err
		}
		n, err := matrix.Here(ctx, jobs, c.Here...)
		if err != nil {
			return nil, err
		}
		if n > 0 && !m.Host {
			log(fmt.Sprintf("%d packages of --here are not run: no row is the host's", n))
			jobs = slices.DeleteFunc(jobs, func(j matrix.Job) bool { return j.Here })
		}
		m.Jobs = append(m.Jobs, jobs...)
	}
	for _, line := range c.Run_ {
		words := strings.Fields(line)
		if len(words) == 0 {
			return nil, usage(fmt.Errorf("--run is empty"))
		}
		j, err := matrix.Program(ctx, dir, c.Arch, words...)
		if err != nil {
			return nil, err
		}
		m.Jobs = append(m.Jobs, j)
	}
	if len(m.Jobs) == 1 { // the features alone
		return nil, usage(fmt.Errorf("nothing to run"))
	}
	m.Guest = vm.Guest{CPUs: c.CPUs, MemoryMB: c.Memory, Append: c.Append, Init: c.Init, Programs: c.Tool}
	if c.Arch == runtime.GOARCH { // this machine's programs run there
		m.Guest.Programs = append(m.Guest.Programs, vm.Userland()...)
	} else if m.Guest.BusyBox, err = cache.BusyBox(ctx, c.Arch, log); err != nil {
		return nil, err
	}
	if c.Console {
		m.Guest.Console = s.err
	}
	if c.Arch != runtime.GOARCH && c.Init == "" {
		j, err := matrix.Program(ctx, dir, c.Arch, "github.com/holdshort/holdshort/cmd/holdshort")
		if err != nil {
			return nil, err
		}
		m.Guest.Init = j.Argv[0]
	}
	return m, nil
}

// findKernel is the kernel of a series, or that of a path.
func findKernel(ctx context.Context, cache *vm.Cache, name, modules, arch string, log func(string)) (*vm.Kernel, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		k, err := vm.OwnKernel(name, modules, arch)
		if err != nil {
			return nil, usage(err)
		}
		return k, nil
	}
	if err := vm.CheckSeries(name); err != nil {
		return nil, usage(err)
	}
	return cache.Fetch(ctx, name, &vm.FetchOptions{Arch: arch, Log: log})
}

// shell gives the terminal to a shell in a guest.
func (c *matrixCmd) shell(ctx context.Context, s *streams) error {
	cache, err := vm.OpenCache(c.Cache)
	if err != nil {
		return err
	}
	k, err := findKernel(ctx, cache, c.Shell, "", runtime.GOARCH, tell(s.err))
	if err != nil {
		return err
	}
	extra := c.Append
	if c.Console {
		extra += " ignore_loglevel"
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	sh, err := vm.LookPath("bash")
	if err != nil {
		if sh, err = vm.LookPath("sh"); err != nil {
			return err
		}
	}
	g := &vm.Guest{
		Kernel: k, CPUs: c.CPUs, MemoryMB: c.Memory, Append: extra, Terminal: true, GDB: c.GDB, Console: s.out, Init: c.Init,
		Programs: append(vm.Userland(), c.Tool...), TakeDir: true,
		Commands: []vm.Command{{Argv: []string{sh}, Dir: dir, Env: append(vm.Environ(os.Environ()), "PS1="+k.Name+`# `)}},
	}
	if c.GDB != "" {
		g.BootLimit, g.Silence = 24*time.Hour, 24*time.Hour
		fmt.Fprintf(s.err, "holdshort: waiting for a debugger: gdb %s -ex 'target remote %s'\n", k.Image, strings.TrimPrefix(c.GDB, "tcp:"))
	}
	r, err := vm.Run(ctx, g)
	if err != nil {
		return err
	}
	if !r.Clean() && len(r.Commands) == 0 && r.End != vm.Cut && r.End != vm.QEMUError {
		return fmt.Errorf("%s", r.Error())
	}
	return nil
}
