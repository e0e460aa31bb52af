package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/shim"
)

// keeper is the command that becomes the keeper.
var keeper = []string{"/proc/self/exe", "shim", "--serve"}

type shimCmd struct {
	Runtime    string `help:"The OCI runtime that does the work: a name in PATH, or a file." placeholder:"PATH"`
	Engine     string `help:"What the runtime is: runc, crun, youki. Default: the name of its file." placeholder:"NAME"`
	Reports    string `help:"Directory for the reports, one file for each container and each exec." default:"/var/log/holdshort" type:"path" placeholder:"DIR"`
	Freeze     bool   `help:"Hold each workload at its first instruction and read there what no task shows."`
	Enforce    bool   `help:"Kill before its first instruction what violates its request."`
	FailOpen   bool   `help:"If the verifier fails, containers run, and the report says so (default)." xor:"fail"`
	FailClosed bool   `help:"If the verifier fails, or cannot tell, containers do not run." xor:"fail"`

	Serve bool `hidden:"" help:"Be the keeper."`
	Guard bool `hidden:"" help:"Be the guard."`

	Args []string `arg:"" optional:"" passthrough:"partial" name:"args" help:"After --: the runtime's own arguments."`
}

// Help is the long text of "shim --help".
func (shimCmd) Help() string {
	return `Stands in for an OCI runtime: has the call watched and becomes the runtime, so that arguments, streams, descriptors, signals and exit status are the runtime's own. Each container and each exec is judged at its first instruction; the report is a file.

podman, containerd, docker and CRI-O want one file to execute; make it a script, and call it as the runtime is called:
  #!/bin/sh
  exec /usr/local/bin/holdshort shim --runtime runc --reports /var/log/holdshort -- "$@"
and name it: podman --runtime FILE; containerd: BinaryName; docker: "runtimes" in daemon.json; CRI-O: runtime_path.`
}

func (c *shimCmd) Run(ctx context.Context, _ *streams) error {
	switch {
	case c.Guard:
		shim.Guard()
		return nil
	case c.Serve:
		return shim.Keep(ctx, os.NewFile(3, "ready"))
	case c.Runtime == "":
		return usage(errors.New("--runtime is missing"))
	}
	if len(c.Args) > 0 && c.Args[0] == "--" {
		c.Args = c.Args[1:]
	}
	if c.Engine == "" {
		c.Engine = strings.TrimSuffix(filepath.Base(c.Runtime), ".sh")
	}
	policy := shim.Policy{Reports: c.Reports, Freeze: c.Freeze, Enforce: c.Enforce, Closed: c.FailClosed}
	err := shim.Front(shim.Runtime{Path: c.Runtime, Engine: c.Engine}, c.Args, policy, keeper)
	return &exit{harness.ExitFault, err}
}
