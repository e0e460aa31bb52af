package harness

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

func drifting(t *testing.T) *Runner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	r, err := NewRunner(bg, &RunnerOptions{Drift: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: " + r.ProbesErr.Error())
	}
	return r
}

// TestDrift_FromOutside: a limit that is taken away again while the workload
// runs was there at the first instruction, and did not last.
func TestDrift_FromOutside(t *testing.T) {
	r := drifting(t)
	q := request.New("/bin/sleep", "0.3")
	q.Ext.Nice = new(5)
	r.parked = func(w *checkpoint.Workload) {
		pid := w.HostPID()
		time.AfterFunc(150*time.Millisecond, func() { _ = unix.Setpriority(unix.PRIO_PROCESS, pid, 0) })
	}
	c, err := r.Run(bg, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := found(c); c.Verdict != Violated || len(got) != 1 || got["sched.nice"] != oracle.Drifted {
		t.Errorf("%s, %v\n%s", c.Verdict, got, text(c))
	}
	d := c.Report().Drift
	if len(d) != 1 || d[0].Field != "sched.nice" || !d[0].Outside || d[0].By.By != os.Getpid() || d[0].From != "5" || d[0].To != "0" {
		t.Errorf("drift %+v", d)
	}
}

// TestDrift_OfItsOwn: what the workload does to itself is told, and no finding.
func TestDrift_OfItsOwn(t *testing.T) {
	r := drifting(t)
	c, err := r.Run(bg, request.New("/bin/sh", "-c", "umask 0111; ulimit -n 77"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdict != Constrained {
		t.Errorf("%s\n%s", c.Verdict, text(c))
	}
	var fields []string
	for _, d := range c.Report().Drift {
		fields = append(fields, d.Field)
		if d.Outside {
			t.Errorf("%+v is said to be from outside", d)
		}
	}
	if !slices.Contains(fields, "fs.umask") || !slices.Contains(fields, "rlimits.nofile") {
		t.Errorf("drift of %v", fields)
	}
}
