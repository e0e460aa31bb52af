// Command holdshort parks a process between clone3 and execve, constrains it,
// lets it go, and proves from the kernel that its first instruction ran under
// every constraint.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm/guest"
	"golang.org/x/sys/unix"
)

type cli struct {
	Run        runCmd        `cmd:"" help:"Start one workload through the checkpoint and show what held."`
	Verify     verifyCmd     `cmd:"" help:"Run somebody else's engine and judge its workload's first instruction."`
	Shim       shimCmd       `cmd:"" help:"Stand in for an OCI runtime and verify each of its containers."`
	Doctor     doctorCmd     `cmd:"" help:"Show what this kernel offers, which hooks are live, and what cannot be verified here."`
	VM         vmCmd         `cmd:"" name:"vm" help:"Other kernels, in guests."`
	Fuzz       fuzzCmd       `cmd:"" help:"Launch random requests, verify each, and make findings small."`
	Shrink     shrinkCmd     `cmd:"" help:"Make findings of fuzz small."`
	Corpus     corpusCmd     `cmd:"" help:"Write one example of each state that fuzz has seen."`
	Replay     replayCmd     `cmd:"" help:"Launch findings of fuzz again, or write an OCI bundle of one."`
	Report     reportCmd     `cmd:"" help:"Merge results, and write them for people, CI and code scanning."`
	Matrix     matrixCmd     `cmd:"" help:"Run the tests of a Go module on several kernels, and compare."`
	Compare    compareCmd    `cmd:"" help:"Launch the same requests on several kernels, and say in what the kernels differ."`
	OCI        ociCmd        `cmd:"" name:"oci" help:"An OCI runtime: a created container is its own process, parked. See oci --help."`
	Completion completionCmd `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

const description = `holdshort parks a process between clone3 and execve, puts every constraint on it, lets it go, and proves from the kernel that its first user instruction already ran under all of them.

Exit status: 0 clean, 1 a finding, 3 unsupported here or not observable, 4 a fault of ours or of the machine, 64 usage. "run" and "verify" with a clean verdict exit with the workload's own status (128+n if signal n killed it).`

// exit is an error with the status that the command ends with.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

func usage(err error) error { return &exit{harness.ExitUsage, err} }

func main() {
	if args, ok := ociArgs(os.Args); ok {
		os.Exit(runOCI(args, os.Stdout, os.Stderr))
	}
	guest.Init() // if this is process 1 of a guest
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) (code int) {
	var c cli
	ended := -1
	parser, err := kong.New(&c, kong.Name("holdshort"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { ended = n; panic(stop{}) }), kong.UsageOnError(), kong.Vars{"arch": runtime.GOARCH}, kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		fmt.Fprintln(stderr, "holdshort:", err)
		return harness.ExitFault
	}
	defer func() {
		// kong ends --help by its exit function
		if r := recover(); r != nil {
			if _, ok := r.(stop); !ok {
				panic(r)
			}
			code = ended
		}
	}()
	kctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "holdshort: %v\nrun \"holdshort --help\" for usage\n", err)
		return harness.ExitUsage
	}
	// The first signal lets the work in hand be reported; the second ends us.
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer cancel()
	context.AfterFunc(ctx, cancel)
	kctx.BindTo(ctx, (*context.Context)(nil))
	kctx.Bind(&streams{stdout, stderr})
	kctx.Bind(parser)
	err = kctx.Run()
	var e *exit
	switch {
	case err == nil:
		return harness.ExitClean
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(stderr, "holdshort:", e.err)
		}
		return e.code
	}
	fmt.Fprintln(stderr, "holdshort:", err)
	return harness.ExitFault
}

type stop struct{}

type streams struct{ out, err io.Writer }

type versionCmd struct{}

func (versionCmd) Run(s *streams) error {
	v := "(devel)"
	if b, ok := debug.ReadBuildInfo(); ok {
		v = b.Main.Version
		for _, kv := range b.Settings {
			if kv.Key == "vcs.revision" {
				v += " " + kv.Value
			}
		}
	}
	_, err := fmt.Fprintln(s.out, "holdshort", v)
	return err
}
