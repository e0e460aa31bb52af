// Command holdshort-oci is "holdshort oci" alone: less than half the size, and so
// started faster (suites/oci/speed), for callers that start a runtime for each
// step in the life of a container. What it has not got is the verifier: with
// --verify it becomes holdshort, which has to be beside it or in PATH.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/holdshort/holdshort/oci"
)

func main() {
	debug.SetGCPercent(-1) // it ends before there is anything worth collecting
	oci.Verify = verify
	os.Exit(oci.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func verify(v *oci.Verification) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	full := filepath.Join(filepath.Dir(self), "holdshort")
	if _, err := os.Stat(full); err != nil {
		if full, err = exec.LookPath("holdshort"); err != nil {
			return fmt.Errorf("--verify: the command that has the verifier is neither beside %s nor in PATH: %w", self, err)
		}
	}
	args := append([]string{"holdshort-oci"}, v.Options()...)
	return fmt.Errorf("--verify: execute %s: %w", full, syscall.Exec(full, append(args, v.Args...), os.Environ()))
}
