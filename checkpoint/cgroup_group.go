package checkpoint

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Group is the cgroups of a workload, to be read and watched. It names them by
// path; those that were made for the workload are gone once it has ended.
type Group struct {
	v2 string
	v1 map[string]string
}

// Cgroup returns the cgroups that the workload was asked to be placed in.
func (w *Workload) Cgroup() Group {
	c := &w.plan.cfg.Cgroup
	return Group{c.V2, maps.Clone(c.V1)}
}

// Path is where a file of the cgroup is: in version 1 if its controller, the
// name's first part, is one of those that were given, else in version 2.
func (g Group) Path(file string) (string, error) {
	controller, _, _ := strings.Cut(file, ".")
	if dir := g.v1[controller]; dir != "" {
		return filepath.Join(dir, file), nil
	}
	if g.v2 == "" {
		return "", fail(StageCgroup, file, fmt.Errorf("%w: the workload was placed in no such cgroup", unix.EINVAL))
	}
	return filepath.Join(g.v2, file), nil
}

// Read reads a file of lines "name value": memory.events (of version 2),
// memory.oom_control (of version 1), pids.events, cgroup.events, memory.stat,
// cpu.stat, … A file with one number has it under the empty name, "max" being
// the largest. ENOENT means that the controller is not enabled there.
func (g Group) Read(file string) (map[string]uint64, error) {
	path, err := g.Path(file)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(StageCgroup, path, err)
	}
	return flat(string(b)), nil
}

// flat reads lines of a name and a number, and leaves out what is neither.
func flat(text string) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || len(f) > 2 {
			continue
		}
		name, value := "", f[len(f)-1]
		if len(f) == 2 {
			name = f[0]
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if value == "max" {
			n, err = 1<<64-1, nil
		}
		if err == nil {
			out[name] = n
		}
	}
	return out
}

// Await reads an events file of version 2 (cgroup.events, memory.events,
// pids.events, …) whenever the kernel says that it has changed, until ok is
// content, and returns what was read last. It fails if ctx ends, or the cgroup.
func (g Group) Await(ctx context.Context, file string, ok func(map[string]uint64) bool) (map[string]uint64, error) {
	path, err := g.Path(file)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(StageCgroup, path, err)
	}
	defer f.Close()
	b := make([]byte, 1<<16)
	for {
		// Reading arms the event: poll answers when the file has changed since.
		n, err := f.ReadAt(b, 0)
		if n == 0 && err != nil {
			return nil, fail(StageCgroup, path, err)
		}
		if got := flat(string(b[:n])); ok(got) {
			return got, nil
		}
		if err := poll(ctx, f); err != nil {
			return nil, err
		}
	}
}

// poll waits for POLLPRI, which is how cgroup files and pressure triggers tell
// of an event, or for the end of ctx.
func poll(ctx context.Context, f *os.File) error {
	cancel, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(cancel)
	stop := context.AfterFunc(ctx, func() { _, _ = unix.Write(cancel, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	defer stop() // a late write goes to a descriptor that poll no longer needs
	for {
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}, {Fd: int32(cancel), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case fds[1].Revents != 0:
			return context.Cause(ctx)
		case fds[0].Revents&unix.POLLPRI != 0:
			return nil
		}
		return fmt.Errorf("%s: %w: the cgroup is gone", f.Name(), unix.ENODEV)
	}
}
