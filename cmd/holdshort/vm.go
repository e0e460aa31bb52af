package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm"
)

type vmCmd struct {
	Exec vmExecCmd `cmd:"" help:"Run one program, or a test binary of Go, on another kernel."`
	List vmListCmd `cmd:"" help:"List the kernels of the catalogue and those in the cache."`
	Get  vmGetCmd  `cmd:"" help:"Fetch kernels into the cache."`
}

// kernelFlags say which kernel a guest runs, and on what.
type kernelFlags struct {
	Kernel  string        `short:"k" help:"Kernel: a series (5.10, 6.1, 6.12, 7.2, 7.3 or another that the mirror has; 7.2-full with all drivers, 7.2-rt with PREEMPT_RT) or the path of an image." default:"6.12" placeholder:"SERIES|FILE"`
	Tree    string        `name:"module-dir" help:"Modules of an own image: the directory with modules.builtin." placeholder:"DIR"`
	Arch    string        `help:"Architecture of the guest: amd64 or arm64." default:"${arch}" enum:"amd64,arm64" placeholder:"ARCH"`
	CPUs    int           `name:"cpus" help:"Processors of the guest." default:"1" placeholder:"N"`
	Memory  int           `help:"Memory of the guest in MiB." default:"1024" placeholder:"MIB"`
	Append  string        `help:"Add to the kernel's command line." placeholder:"WORDS"`
	Accel   string        `help:"kvm or tcg; without, kvm if a probe boot works." enum:"kvm,tcg," default:"" placeholder:"ACCEL"`
	Modules []string      `name:"module" help:"Load this module first; repeatable." placeholder:"NAME"`
	Limit   time.Duration `name:"time-limit" help:"End the guest after this long." default:"15m" placeholder:"DURATION"`
	Init    string        `help:"Static program for the guest's init: holdshort of the guest's architecture, if that is another." type:"existingfile" placeholder:"FILE"`
	Console bool          `help:"Show the kernel's console on stderr."`
	Cache   string        `help:"Where kernels are kept (default: holdshort in the user's cache directory)." type:"path" placeholder:"DIR"`
}

func (f *kernelFlags) guest(ctx context.Context, s *streams) (*vm.Guest, error) {
	g := &vm.Guest{
		CPUs: f.CPUs, MemoryMB: f.Memory, Append: f.Append, Accel: vm.Accel(f.Accel), Modules: f.Modules,
		TimeLimit: f.Limit, Init: f.Init, Stdout: s.out, Stderr: s.err,
	}
	if f.Console {
		g.Console = s.err
	}
	if f.Arch != runtime.GOARCH && f.Init == "" {
		return nil, usage(fmt.Errorf("a guest of %s needs --init: build it with GOARCH=%s CGO_ENABLED=0 go build ./cmd/holdshort", f.Arch, f.Arch))
	}
	c, err := vm.OpenCache(f.Cache)
	if err != nil {
		return nil, err
	}
	g.Kernel, err = findKernel(ctx, c, f.Kernel, f.Tree, f.Arch, tell(s.err))
	return g, err
}

func tell(w io.Writer) func(string) { return func(m string) { fmt.Fprintln(w, "holdshort: vm:", m) } }

type vmExecCmd struct {
	kernelFlags
	cpuFlags

	File  []string `short:"f" help:"Take a file or directory of this machine along; repeatable." placeholder:"HOST[:GUEST]"`
	Tool  []string `short:"t" help:"Take a program and the libraries that it is linked to along; repeatable." placeholder:"NAME|PATH"`
	Env   []string `short:"e" help:"Set a variable. The others are those of this process." placeholder:"NAME=VALUE"`
	NoDir bool     `help:"Do not take the working directory along."`
	Bare  bool     `help:"Do not take this machine's shell, coreutils, mount, ip and the like along."`

	Args []string `arg:"" passthrough:"partial" help:"Program and arguments, after --." name:"cmd"`
}

// Help is the long text of "vm exec --help".
func (vmExecCmd) Help() string {
	return `The program, the working directory with what is below it, the environment and common programs (shell, coreutils, mount, ip ...) are taken into a guest that boots the kernel, and the program runs there as root, with the working directory and the path that it has here. Its output is passed on as it comes, and its exit status is the command's; 128+n if signal n ended it, 4 if the guest did not come to a clean end (panic, hang, time limit), which is then described on stderr. Nothing comes back but output and status.

Kernels are fetched with apt from the mirror that this machine is configured with, once. No root is needed, and nothing of this machine's package state is touched.

Examples:
  go test -exec 'holdshort vm exec --kernel 6.1 --' ./...
  holdshort vm exec -k 6.12 -- /path/to/static-program arguments
  holdshort vm exec -k 5.10 -t strace -- /bin/sh -c 'mount; strace -c true'
  holdshort vm exec -k 7.2 -- holdshort doctor`
}

func (c *vmExecCmd) Run(ctx context.Context, s *streams) error {
	args := c.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return usage(fmt.Errorf("nothing to run: give a program after --"))
	}
	g, err := c.guest(ctx, s)
	if err != nil {
		return err
	}
	c.apply(g)
	if err := c.command(g, args); err != nil {
		return usage(err)
	}
	if err := c.userland(ctx, s, g); err != nil {
		return err
	}
	r, err := vm.Run(ctx, g)
	if err != nil {
		return err
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(s.err, "holdshort: guest:", w)
	}
	if !r.Clean() {
		return fmt.Errorf("%s: %s", g.Kernel.Release, r.Error())
	}
	if e := r.Commands[0]; !e.Started {
		return fmt.Errorf("guest: %s", e.Error)
	}
	if st := r.Status(); st != 0 {
		return &exit{code: st}
	}
	return nil
}

func (c *vmExecCmd) command(g *vm.Guest, args []string) error {
	prog, err := vm.LookPath(args[0])
	if args[0] == "holdshort" { // init is this command
		prog, err = "/usr/local/bin/holdshort", nil
	}
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	g.Commands = []vm.Command{{Argv: append([]string{prog}, args[1:]...), Dir: dir, Env: append(vm.Environ(os.Environ()), c.Env...)}}
	g.TakeDir = !c.NoDir
	g.Programs = c.Tool
	for _, f := range c.File {
		host, inside, _ := strings.Cut(f, ":")
		if inside != "" && !filepath.IsAbs(inside) {
			return fmt.Errorf("--file %s: the path in the guest must be absolute", f)
		}
		g.Files = append(g.Files, vm.File{Host: host, Guest: inside})
	}
	return nil
}

// userland gives the guest a shell and the like: this machine's, or busybox
// where those would not run.
func (c *vmExecCmd) userland(ctx context.Context, s *streams, g *vm.Guest) error {
	switch {
	case c.Bare:
	case c.Arch == runtime.GOARCH:
		g.Programs = append(g.Programs, vm.Userland()...)
	default:
		cache, err := vm.OpenCache(c.Cache)
		if err != nil {
			return err
		}
		if g.BusyBox, err = cache.BusyBox(ctx, c.Arch, tell(s.err)); err != nil {
			return err
		}
	}
	return nil
}

type vmListCmd struct {
	Cache string `help:"Where kernels are kept." type:"path" placeholder:"DIR"`
}

func (c *vmListCmd) Run(s *streams) error {
	cache, err := vm.OpenCache(c.Cache)
	if err != nil {
		return err
	}
	have, err := cache.List()
	if err != nil {
		return err
	}
	for _, n := range vm.Catalogue() {
		i := slices.IndexFunc(have, func(k *vm.Kernel) bool { return k.Name == n && k.Arch == runtime.GOARCH })
		if i < 0 {
			fmt.Fprintf(s.out, "%-6s not fetched\n", n)
		}
	}
	for _, k := range have {
		fmt.Fprintf(s.out, "%-6s %s %s\n", k.Name, k.Arch, k.Release)
	}
	return nil
}

type vmGetCmd struct {
	Arch   string   `help:"Architecture: amd64 or arm64." default:"${arch}" enum:"amd64,arm64" placeholder:"ARCH"`
	Update bool     `help:"Fetch a newer package if there is one."`
	Cache  string   `help:"Where kernels are kept." type:"path" placeholder:"DIR"`
	Series []string `arg:"" optional:"" help:"Kernel series; without, those of the catalogue."`
}

func (c *vmGetCmd) Run(ctx context.Context, s *streams) error {
	cache, err := vm.OpenCache(c.Cache)
	if err != nil {
		return err
	}
	if len(c.Series) == 0 {
		c.Series = vm.Catalogue()
	}
	for _, n := range c.Series {
		k, err := cache.Fetch(ctx, n, &vm.FetchOptions{Arch: c.Arch, Update: c.Update, Log: tell(s.err)})
		if err != nil {
			return &exit{harness.ExitFault, err}
		}
		fmt.Fprintf(s.out, "%-6s %s %s\n", k.Name, k.Arch, k.Release)
	}
	return nil
}
