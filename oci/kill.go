package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const kill = unix.SIGKILL

func closeFD(fd int) { unix.Close(fd) }

func sendSignal(pidfd int, sig unix.Signal) error {
	err := unix.PidfdSendSignal(pidfd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return errNotRunning
	}
	return err
}

// parseSignal takes a number or a name with or without SIG.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("unknown signal %q", s)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	// The realtime signals as the C library counts them.
	for base, prefix := range map[int]string{34: "SIGRTMIN", 64: "SIGRTMAX"} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n := 0
		if rest != "" {
			var err error
			if n, err = strconv.Atoi(rest); err != nil {
				break
			}
		}
		if sig := base + n; sig >= 34 && sig <= 64 {
			return unix.Signal(sig), nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

// kill sends a signal to the container's process, or to all of them.
func (c *container) kill(sig unix.Signal, all bool) error {
	if all {
		return c.killAll(sig)
	}
	fd, err := c.hold()
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if c.status() == specs.StateStopped {
		return errNotRunning
	}
	if err := sendSignal(fd, sig); err != nil {
		return err
	}
	if sig == kill {
		c.thaw() // version 1 of cgroups lets nothing that is frozen die
	}
	return nil
}

// anyCgroup is a directory whose processes are the container's.
func (c *container) anyCgroup() string {
	for _, name := range []string{"", "pids", "freezer", "memory", "devices", "cpu"} {
		if dir := c.Cgroups[name]; dir != "" {
			return dir
		}
	}
	for _, dir := range c.Cgroups {
		return dir
	}
	return ""
}

// pidsBelow are the processes in a cgroup and those below it.
func pidsBelow(dir string) ([]int, error) {
	var out []int
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // it has just been removed
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil //nolint:nilerr // and so has this
		}
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				out = append(out, pid)
			}
		}
		return nil
	})
	return out, err
}

// delete removes a container that has stopped, or, with force, any.
func (r *invocation) delete(c *container, force bool) error {
	if !force {
		c.awaitDeath()
	}
	if s := c.status(); s != specs.StateStopped && !force {
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.ID, s)
	}
	var hooks []specs.Hook
	if !c.Plain {
		if req, err := c.spec(); err == nil {
			hooks = hooksOf(req).Poststop
		}
	}
	err := c.destroy()
	if err == nil {
		c.poststop(r, hooks)
	}
	return err
}

// awaitDeath waits for the end of a process that was killed and has not come to
// it yet: the kernel makes a SIGKILL of every signal that is going to end it
// (complete_signal, kernel/signal.c), and that stays pending until the end.
func (c *container) awaitDeath() {
	fd, err := c.hold()
	if err != nil {
		return
	}
	defer closeFD(fd)
	b, err := os.ReadFile("/proc/" + strconv.Itoa(c.Process.PID) + "/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "SigPnd:"); ok {
			if n, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64); err == nil && n&(1<<(kill-1)) != 0 {
				waitEnd(fd)
			}
		}
	}
}

// poststop tells the hooks of the end. That one fails is only told, and the
// next is run (runtime.md, Lifecycle).
func (c *container) poststop(r *invocation, hooks []specs.Hook) {
	state := c.state(specs.StateStopped)
	for i := range hooks {
		if err := runHooks(r.ctx, "poststop", hooks[i:i+1], state, onHost(c.Bundle)); err != nil {
			r.warn("%v", err)
		}
	}
}
