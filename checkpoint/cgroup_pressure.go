package checkpoint

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Pressure is how much time tasks of a cgroup have lost waiting for a resource:
// the share of the last 10, 60 and 300 seconds in percent, and the total.
type Pressure struct {
	Avg10, Avg60, Avg300 float64
	Total                time.Duration
}

// Pressure reads the pressure stall information of a resource ("cpu", "memory"
// or "io"): some is the time in which at least one task had to wait, full that
// in which all had to. Version 2 only, since Linux 4.20 with CONFIG_PSI;
// EOPNOTSUPP means that it is switched off (psi=1 on the command line of the
// kernel switches it on). The full line of cpu is there since 5.13.
func (g Group) Pressure(resource string) (some, full Pressure, err error) {
	path, err := g.Path(resource + ".pressure")
	if err != nil {
		return some, full, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return some, full, fail(StageCgroup, path, err)
	}
	for line := range strings.Lines(string(b)) {
		kind, rest, _ := strings.Cut(line, " ")
		p, err := parsePressure(rest)
		if err != nil {
			return some, full, fail(StageCgroup, path, err)
		}
		switch kind {
		case "some":
			some = p
		case "full":
			full = p
		}
	}
	return some, full, nil
}

func parsePressure(line string) (Pressure, error) {
	var p Pressure
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		var err error
		switch name {
		case "avg10":
			p.Avg10, err = strconv.ParseFloat(value, 64)
		case "avg60":
			p.Avg60, err = strconv.ParseFloat(value, 64)
		case "avg300":
			p.Avg300, err = strconv.ParseFloat(value, 64)
		case "total":
			var us int64
			us, err = strconv.ParseInt(value, 10, 64)
			p.Total = time.Duration(us) * time.Microsecond
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// AwaitPressure returns when tasks of the cgroup have lost stall within a window
// of time by waiting for a resource; kind is "some" or "full". The window is
// 500 ms to 10 s. Without CAP_SYS_RESOURCE it must be a multiple of 2 s, since
// Linux 6.4 (EINVAL); before, that privilege was always needed (EPERM).
func (g Group) AwaitPressure(ctx context.Context, resource, kind string, stall, window time.Duration) error {
	path, err := g.Path(resource + ".pressure")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return fail(StageCgroup, path, err)
	}
	defer f.Close() // the trigger lives as long as the descriptor
	// The kernel takes the string with its end (psi_trigger_create).
	text := fmt.Sprintf("%s %d %d\x00", kind, stall.Microseconds(), window.Microseconds())
	if _, err := unix.Write(int(f.Fd()), []byte(text)); err != nil {
		return fail(StageCgroup, path, fmt.Errorf("trigger: %w", err))
	}
	return poll(ctx, f)
}
