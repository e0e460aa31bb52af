package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// cgroup prepares the directories and writes the limits before the child
// exists, so that it is born under them. In version 1 there is no birth into a
// cgroup; there its first operation is to go there.
//
// It goes itself, and as a thread (the file "tasks"), of which it has one: to move
// another, or a whole process, takes the lock against which processes are made and
// end, and that waits for a grace period of RCU, which are milliseconds
// (cgroup_procs_write_start, kernel/cgroup/cgroup.c; "cgroup: Optimize single
// thread migration").
func (p *plan) cgroup() {
	c := p.cfg.Cgroup
	if c.V2 != "" {
		fd, err := p.cgroupDir(c.V2, c.Create)
		if err != nil {
			p.setup.fail(StageCgroup, -1, c.V2, err)
			return
		}
		p.cgroupFD = int(fd.Fd())
	}
	for _, controller := range sortedKeys(c.V1) {
		dir := c.V1[controller]
		if err := p.makeCgroup(dir, c.Create); err != nil {
			p.setup.fail(StageCgroup, -1, dir, err)
			return
		}
		if controller == "cpuset" {
			// A new version 1 cpuset is empty, and then takes no task (cpuset(7)).
			inheritCpuset(dir)
		}
		tasks, err := p.open(filepath.Join(dir, "tasks"), unix.O_WRONLY)
		if err != nil {
			p.setup.fail(StageCgroup, -1, dir, err)
			return
		}
		p.setup.add(StageCgroup, -1, dir, write(tasks, "0"))
	}
	p.limits(p.cfg)
	p.devices()
	p.delegate()
	p.freeze()
}

// limits writes the limits of cfg into the workload's cgroups.
func (p *plan) limits(cfg *Config) {
	for i, l := range cfg.Cgroup.Limits {
		dir := p.cfg.Cgroup.V2
		if l.Controller != "" {
			dir = p.cfg.Cgroup.V1[l.Controller]
		}
		if dir == "" {
			p.setup.fail(StageCgroup, i, l.File, fmt.Errorf("no cgroup for controller %q: %w", l.Controller, unix.EINVAL))
			return
		}
		if err := writeLimit(dir, l); err != nil {
			p.setup.fail(StageCgroup, i, filepath.Join(dir, l.File), err)
			return
		}
	}
}

func (p *plan) makeCgroup(dir string, create bool) error {
	if !create {
		return nil
	}
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		p.made = append(p.made, dir)
	} else if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	return err
}

func (p *plan) cgroupDir(dir string, create bool) (*os.File, error) {
	if err := p.makeCgroup(dir, create); err != nil {
		return nil, err
	}
	if create {
		if err := enableControllers(dir, p.cfg.Cgroup.controllers()); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p.opened = append(p.opened, f)
	return f, nil
}

func writeLimit(dir string, l CgroupLimit) error {
	f, err := os.OpenFile(filepath.Join(dir, l.File), os.O_WRONLY, 0)
	if errors.Is(err, unix.ENOENT) && strings.Contains(l.File, ".") {
		controller, _, _ := strings.Cut(l.File, ".")
		return fmt.Errorf("%w: is the controller %q enabled in the parent's cgroup.subtree_control, and the file one that this kernel has?", unix.ENOENT, controller)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(l.Value)
	return err
}

func inheritCpuset(dir string) {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil && strings.TrimSpace(string(b)) == "" {
			if b, err = os.ReadFile(filepath.Join(filepath.Dir(dir), name)); err == nil {
				_ = os.WriteFile(filepath.Join(dir, name), b, 0o644)
			}
		}
	}
}

// cleanup is what the agent does instead of removeCgroups if the host is gone.
func (p *plan) cleanup() agent.Batch {
	var ops agent.Ops
	cwd := agent.N(int64(unix.AT_FDCWD))
	for _, dir := range slices.Backward(p.made) {
		ops = append(ops, agent.Sys(unix.SYS_OPENAT, cwd, agent.S(dir+"/cgroup.kill"), agent.N(unix.O_WRONLY|unix.O_CLOEXEC)),
			agent.Sys(unix.SYS_UNLINKAT, cwd, agent.S(dir), agent.N(unix.AT_REMOVEDIR)))
	}
	return ops
}

// undo takes back what the plan did to cgroups.
func (p *plan) undo() error {
	err := p.detach()
	return errors.Join(err, removeCgroups(p.made))
}

// removeCgroups removes what Create made, once it is empty. Processes that
// outlived the workload in it are killed: with cgroup.kill (since Linux 5.14),
// else one by one.
func removeCgroups(dirs []string) error {
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		err := unix.Rmdir(dir)
		for try := 0; err == unix.EBUSY && try < 100; try++ {
			killCgroup(dir)
			pause(try)
			removeBelow(dir)
			err = unix.Rmdir(dir)
		}
		if err != nil && err != unix.ENOENT {
			errs = append(errs, fail(StageCgroup, dir, fmt.Errorf("remove: %w", err)))
		}
	}
	return errors.Join(errs...)
}

// removeBelow removes the cgroups that the workload has made in its own, if it
// could (Delegate).
func removeBelow(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			sub := filepath.Join(dir, e.Name())
			killCgroup(sub) // version 1 has no cgroup.kill that reaches down
			removeBelow(sub)
			_ = unix.Rmdir(sub)
		}
	}
}

func killCgroup(dir string) {
	if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
		return
	}
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for line := range strings.FieldsSeq(string(b)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && pid > 0 {
			if fd, err := unix.PidfdOpen(pid, 0); err == nil {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
				unix.Close(fd)
			}
		}
	}
}

// pause waits a little for the kernel to let go of a killed task: what is
// waited for has no event on version 1.
func pause(try int) {
	ts := unix.NsecToTimespec(int64(min(try+1, 20)) * 1e6)
	_ = unix.Nanosleep(&ts, nil)
}
