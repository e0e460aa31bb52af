package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// killAll signals every process of a container: those in the cgroups that were
// made for it, also after its first process has ended. In a cgroup that others
// use too, they are told by the container's pid namespace.
func (c *container) killAll(sig unix.Signal) error {
	dirs, err := c.ours()
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return c.killShared(sig)
	}
	for _, dir := range dirs {
		if sig == kill && os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
			continue // version 2, since Linux 5.14: those that are born meanwhile, too
		}
		if err := signalEach(sig, func() ([]int, error) { return pidsBelow(dir) }); err != nil {
			return err
		}
	}
	if sig == kill {
		c.thaw()
	}
	return nil
}

// errShared: who is in the cgroup is not known to be the container's.
var errShared = errors.New("the container's cgroup was not made for it, and it has no pid namespace of its own, so which processes are its is not known; without --all, its first process is signalled")

func (c *container) killShared(sig unix.Signal) error {
	fd, err := c.hold()
	if err != nil || c.status() == specs.StateStopped {
		if err == nil {
			closeFD(fd)
		}
		return nil //nolint:nilerr // nobody is left of it that could be told
	}
	defer closeFD(fd)
	dir := c.anyCgroup()
	if dir == "" {
		return c.kill(sig, false)
	}
	inside, err := pidNamespace(strconv.Itoa(c.Process.PID))
	if err != nil {
		return err
	}
	outside, err := pidNamespace("self")
	if err != nil {
		return err
	}
	if inside == outside {
		return errShared
	}
	return signalEach(sig, func() ([]int, error) {
		pids, err := pidsBelow(dir)
		return slices.DeleteFunc(pids, func(pid int) bool {
			ns, err := pidNamespace(strconv.Itoa(pid))
			return err != nil || ns != inside
		}), err
	})
}

// pidNamespace names the pid namespace of a process, see namespaces(7).
func pidNamespace(pid string) (string, error) {
	ns, err := os.Readlink("/proc/" + pid + "/ns/pid")
	if err != nil {
		return "", fmt.Errorf("pid namespace: %w", err)
	}
	return ns, nil
}

// rounds is after how many looks a signal has not reached all: they are born
// faster than they are told.
const rounds = 1000

// signalEach signals what list has, and looks again for those that were born
// meanwhile, until there are none.
func signalEach(sig unix.Signal, list func() ([]int, error)) error {
	told := map[int]bool{}
	for range rounds {
		pids, err := list()
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return told[pid] })
		if len(pids) == 0 {
			return nil
		}
		for some := range slices.Chunk(pids, 256) { // descriptors are limited
			if err := signalSome(sig, some, told, list); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("signal %d: after %d looks there are still processes that were not there before; pause the container first", int(sig), rounds)
}

// signalSome signals those of pids that list still has after they were held:
// then the number has not come to mean another process.
func signalSome(sig unix.Signal, pids []int, told map[int]bool, list func() ([]int, error)) error {
	held := map[int]int{}
	defer func() {
		for _, fd := range held {
			closeFD(fd)
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return fmt.Errorf("pidfd_open %d: %w", pid, err)
		}
		held[pid] = fd
	}
	again, err := list()
	if err != nil {
		return err
	}
	for _, pid := range again {
		fd, ok := held[pid]
		if !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
		told[pid] = true
	}
	return nil
}
