package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// freezer is the file that freezes the container, and what is written to it.
func (c *container) freezer() (path, on, off string) {
	if dir := c.Cgroups["freezer"]; dir != "" {
		return filepath.Join(dir, "freezer.state"), "FROZEN", "THAWED"
	}
	if dir := c.Cgroups[""]; dir != "" {
		return filepath.Join(dir, "cgroup.freeze"), "1", "0"
	}
	return "", "", ""
}

// frozen reports whether the container is frozen, or about to be.
func (c *container) frozen() bool {
	path, _, off := c.freezer()
	if path == "" {
		return false
	}
	b, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(b)) != off
}

func (c *container) thaw() {
	if path, _, off := c.freezer(); path != "" && c.frozen() {
		_ = os.WriteFile(path, []byte(off), 0)
	}
}

// freeze asks for it and waits until all are frozen.
func (c *container) freeze() error {
	path, on, _ := c.freezer()
	if path == "" {
		return errors.New("there is neither a freezer controller nor cgroup version 2 here, or the container is in none of them")
	}
	if err := os.WriteFile(path, []byte(on), 0); err != nil {
		return err
	}
	for try := range 1000 {
		if done, err := c.allFrozen(path); done || err != nil {
			return err
		}
		if try%50 == 25 { // version 1 gives up on a process that forks meanwhile; asking again helps
			_ = os.WriteFile(path, []byte(on), 0)
		}
		ts := unix.NsecToTimespec(int64(min(try+1, 10)) * 1e6)
		_ = unix.Nanosleep(&ts, nil)
	}
	c.thaw()
	return fmt.Errorf("%s: the container is still not frozen", path)
}

func (c *container) allFrozen(path string) (bool, error) {
	if filepath.Base(path) == "freezer.state" {
		b, err := os.ReadFile(path)
		return strings.TrimSpace(string(b)) == "FROZEN", err
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cgroup.events"))
	return strings.Contains(string(b), "frozen 1"), err
}

func verbPause(r *invocation, f *flagSet, args []string) error {
	c, err := r.held(f, "pause", args)
	if err != nil {
		return err
	}
	defer c.close()
	if s := c.status(); s != specs.StateRunning && s != specs.StateCreated {
		return fmt.Errorf("container not running or created: %s", s)
	}
	return c.freeze()
}

func verbResume(r *invocation, f *flagSet, args []string) error {
	c, err := r.held(f, "resume", args)
	if err != nil {
		return err
	}
	defer c.close()
	if !c.frozen() {
		return errors.New("container not paused")
	}
	path, _, off := c.freezer()
	return os.WriteFile(path, []byte(off), 0)
}
