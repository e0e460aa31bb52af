package matchers

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/onsi/gomega/types"
	"golang.org/x/sys/unix"
)

// HaveExited succeeds if the workload ended by itself with this status.
func HaveExited(status int) types.GomegaMatcher {
	return ended(fmt.Sprintf("exited with status %d", status), func(r *harness.Report) bool {
		return r.Workload.Signal == 0 && r.Workload.ExitCode == status
	})
}

// BeKilledBy succeeds if the workload was killed by this signal.
func BeKilledBy(sig syscall.Signal) types.GomegaMatcher {
	return ended("been killed by "+unix.SignalName(sig), func(r *harness.Report) bool { return r.Workload.Signal == int(sig) })
}

func ended(words string, ok func(*harness.Report) bool) types.GomegaMatcher {
	var r *harness.Report
	return &matcher{
		match: func(actual any) (_ bool, err error) {
			if r, err = report(actual); err != nil {
				return false, err
			}
			return ok(r), nil
		},
		say: func(to bool) string { return should(to) + " have " + words },
		saw: func(bool) string {
			if r.Workload.Signal != 0 {
				return "  it was killed by " + unix.SignalName(syscall.Signal(r.Workload.Signal))
			}
			return fmt.Sprintf("  it exited with status %d", r.Workload.ExitCode)
		},
	}
}

// FailAt succeeds if actual is an error of a launch, and of this stage.
func FailAt(stage checkpoint.Stage) types.GomegaMatcher {
	var err error
	return &matcher{
		match: func(actual any) (bool, error) {
			var ok bool
			if err, ok = actual.(error); !ok && actual != nil {
				return false, fmt.Errorf("an error is needed, this is a %T", actual)
			}
			var e *checkpoint.Error
			return errors.As(err, &e) && e.Stage == stage, nil
		},
		say: func(to bool) string { return fmt.Sprintf("%s have failed at stage %q", should(to), stage) },
		saw: func(bool) string {
			if err == nil {
				return "  it did not fail"
			}
			return "  it failed with\n    " + err.Error()
		},
	}
}
