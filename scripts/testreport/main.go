// Command testreport runs go test and reports for people: one line per package
// as it ends, the whole output of what failed, every skipped test by name with
// its reason, and go test's own summary lines last. Arguments are those of go
// test; the exit status is go test's.
//
// With AGAIN=N in the environment, up to N tests that fail are run five times
// more by themselves. Those that then pass each time are called unstable: they
// are printed with what they said and do not fail the run.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"github.com/holdshort/holdshort/scripts/testreport/internal/sys"
)

func main() {
	// An interrupt reaches go test as well; stay to report what it did.
	signal.Ignore(os.Interrupt)
	// posix_spawn of glibc, with which make starts us, leaves its own two signals
	// ignored (sysdeps/unix/sysv/linux/spawni.c), and every workload would be found
	// to inherit that.
	for _, n := range []int{32, 33} {
		if err := sys.DefaultSignal(n); err != nil {
			fmt.Fprintf(os.Stderr, "testreport: signal %d: %v\n", n, err)
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	r := newReport(os.Stdout)
	if n, err := strconv.Atoi(os.Getenv("AGAIN")); err == nil && n > 0 {
		r.again = &again{most: n, run: repeatTests}
	}
	if err := r.read(out); err != nil {
		fmt.Fprintln(os.Stderr, "testreport: read the output of go test:", err)
	}
	err = cmd.Wait()
	failed := r.finish()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && (failed || !r.again.excuses(exit.ExitCode())):
		os.Exit(max(exit.ExitCode(), 1))
	case errors.As(err, &exit):
	case err != nil || failed:
		os.Exit(1)
	}
}
