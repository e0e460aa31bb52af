package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/holdshort/holdshort/harness/shim"
	"github.com/holdshort/holdshort/oci"
)

// ociName is what the command may be called as to be an OCI runtime, for callers
// that take a path and no arguments.
const ociName = "holdshort-oci"

// ociArgs are the arguments of a call as an OCI runtime. It is looked for before
// anything else: its option parser is another, and it has to be fast.
func ociArgs(argv []string) ([]string, bool) {
	switch {
	case len(argv) > 0 && filepath.Base(argv[0]) == ociName:
		return argv[1:], true
	case len(argv) > 1 && argv[1] == "oci":
		return argv[2:], true
	}
	return nil, false
}

func runOCI(args []string, stdout, stderr io.Writer) int {
	oci.Verify = verifyOCI
	return oci.Main(context.Background(), args, stdout, stderr)
}

// verifyOCI becomes the same call again, now watched.
func verifyOCI(v *oci.Verification) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return shim.Front(shim.Runtime{Path: self, Arg0: ociName, Engine: ociName}, v.Args, shim.Policy(v.Policy), keeper)
}

// ociCmd is for the list of commands only.
type ociCmd struct {
	Args []string `arg:"" optional:"" passthrough:""`
}
