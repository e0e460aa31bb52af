package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// freeze stops the parked child, as the last of the host's steps.
func (p *plan) freeze() {
	if p.cfg.Cgroup.Freeze {
		p.last = append(p.last, hostStep{StageCgroup, "freeze", func(w *Workload) error {
			return w.Cgroup().Freeze(context.Background())
		}})
	}
}

// thaw lets go of what [Cgroup.Freeze] holds, so that a workload can be ended:
// a child that is frozen hears no abort, and in version 1 not even SIGKILL.
func (w *Workload) thaw() {
	if w.plan.cfg.Cgroup.Freeze {
		_ = w.Cgroup().set(false)
	}
}

// Freeze stops every process in the workload's cgroup, and returns when all
// have stopped. A workload that is frozen while it is parked stays there until
// [Group.Thaw], whatever it is told.
func (g Group) Freeze(ctx context.Context) error {
	if err := g.set(true); err != nil {
		return err
	}
	if g.v2 != "" {
		_, err := g.Await(ctx, "cgroup.events", func(e map[string]uint64) bool { return e["frozen"] == 1 })
		return err
	}
	for try := 0; ctx.Err() == nil; try++ {
		if on, err := g.Frozen(); on || err != nil {
			return err
		}
		pause(try) // version 1 has no event for it
	}
	return context.Cause(ctx)
}

// Thaw lets them go on.
func (g Group) Thaw() error { return g.set(false) }

// Frozen reports whether everything in the cgroup has stopped.
func (g Group) Frozen() (bool, error) {
	if g.v2 != "" {
		e, err := g.Read("cgroup.events")
		return e["frozen"] == 1, err
	}
	b, err := os.ReadFile(filepath.Join(g.v1["freezer"], "freezer.state"))
	return strings.TrimSpace(string(b)) == "FROZEN", err
}

func (g Group) set(frozen bool) error {
	dir, file, value := g.v2, "cgroup.freeze", map[bool]string{true: "1", false: "0"}[frozen]
	if dir == "" {
		dir, file, value = g.v1["freezer"], "freezer.state", map[bool]string{true: "FROZEN", false: "THAWED"}[frozen]
	}
	if dir == "" {
		return fail(StageCgroup, "freeze", fmt.Errorf("%w: the workload has no cgroup that can be frozen", unix.EINVAL))
	}
	err := writeFile(filepath.Join(dir, file), value)
	if errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("%w (since Linux 5.2)", err)
	}
	if err != nil {
		return fail(StageCgroup, filepath.Join(dir, file), err)
	}
	return nil
}
