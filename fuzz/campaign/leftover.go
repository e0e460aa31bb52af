package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A bench that is killed leaves its directory and the cgroups of the cases that
// were under way. Everything else it had goes with its last descriptor, and its
// agent ends the workloads. The next bench finds the directory beside its own,
// and in it a file that its owner has locked for as long as it lives.

const (
	dirPrefix = "holdshort-fuzz-"
	lockName  = "owner.json"
)

// owner is what that file says.
type owner struct {
	PID int    `json:"pid"`
	Tag string `json:"tag"` // of names of cgroups
}

// own marks a directory as in use until the file is closed.
func own(dir, tag string) (*os.File, error) {
	f, err := os.Create(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	// Locked before it says anything: who finds it empty lets it be.
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = json.NewEncoder(f).Encode(owner{os.Getpid(), tag})
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return f, nil
}

// RemoveLeftovers removes what killed benches have left below a directory, and in
// the cgroup hierarchies, and lists it.
func RemoveLeftovers(dir string) (removed []string, err error) {
	locks, err := filepath.Glob(filepath.Join(dir, dirPrefix+"*", lockName))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range locks {
		list, err := removeLeftover(name)
		removed, errs = append(removed, list...), append(errs, err)
	}
	return removed, errors.Join(errs...)
}

func removeLeftover(lock string) (removed []string, err error) {
	f, err := os.Open(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // its owner was about to end
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil, nil // its owner lives, or somebody else is at it
	}
	var o owner
	if json.NewDecoder(f).Decode(&o) != nil || o.PID <= 0 || o.Tag == "" {
		return nil, nil // it is just being made
	}
	// Names of cgroups have the process id in them, which another may have by now.
	if !errors.Is(unix.Kill(o.PID, 0), unix.ESRCH) {
		return nil, nil
	}
	removed, err = removeCgroups(o)
	if errors.Is(err, unix.EBUSY) {
		return removed, nil // the agent is about to end the workload in it; the next run removes the rest
	}
	if err != nil {
		return removed, err
	}
	dir := filepath.Dir(lock)
	if err := os.RemoveAll(dir); err != nil {
		return removed, err
	}
	return append(removed, dir), nil
}

// removeCgroups removes the empty ones; EBUSY says that a workload is still in one.
func removeCgroups(o owner) (removed []string, err error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		for _, mark := range []string{o.Tag, strconv.Itoa(o.PID)} {
			dirs, err := filepath.Glob(filepath.Join(m.Mountpoint, "holdshort-"+mark+"-*"))
			if err != nil {
				return removed, err
			}
			for _, d := range dirs {
				if err := removeTree(d); err != nil {
					return removed, err
				}
				removed = append(removed, d)
			}
		}
	}
	return removed, nil
}

// removeTree removes a cgroup and those below it: only directories can be
// removed there.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
