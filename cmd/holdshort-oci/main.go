// Command holdshort-oci is "holdshort oci" alone: a fifth of the size, and so
// started in a fraction of the time, for callers that start a runtime for each
// step in the life of a container.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/holdshort/holdshort/oci"
)

func main() {
	debug.SetGCPercent(-1) // it ends before there is anything worth collecting
	os.Exit(oci.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
