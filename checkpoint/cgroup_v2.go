package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// enableControllers makes controllers available in a version 2 cgroup: each
// must be in cgroup.subtree_control of all directories above. Nothing is written
// where it is already.
func enableControllers(dir string, want []string) error {
	if len(want) == 0 {
		return nil
	}
	have, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	var missing []string
	for _, c := range want {
		if !slices.Contains(have, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	parent := filepath.Dir(dir)
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil {
		return fmt.Errorf("%w: the hierarchy at %s has no controller %s, only: %s", unix.ENOENT, dir, strings.Join(missing, ", "), strings.Join(have, " "))
	}
	if err := enableControllers(parent, missing); err != nil {
		return err
	}
	file := filepath.Join(parent, "cgroup.subtree_control")
	err = writeFile(file, "+"+strings.Join(missing, " +"))
	switch {
	case errors.Is(err, unix.EBUSY):
		err = fmt.Errorf("%w: %s has processes of its own, and may then have no controllers for its children; move them into a cgroup below (cgroups(7))", err, parent)
	case errors.Is(err, unix.EOPNOTSUPP):
		err = fmt.Errorf("%w: %s is in a threaded subtree, see its cgroup.type", err, parent)
	}
	return err
}

// words reads a file of words.
func words(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	return strings.Fields(string(b)), err
}

// writeFile writes an existing file in one write(2), as a cgroup's need it.
func writeFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// delegate gives the cgroup to the workload's root (cgroups(7), "Delegation by
// a privileged user").
func (p *plan) delegate() {
	g := &p.cfg.Cgroup
	if !g.Delegate || p.setup.err != nil {
		return
	}
	uid, gid := p.delegatee()
	files, err := words("/sys/kernel/cgroup/delegate")
	if err != nil {
		p.setup.fail(StageCgroup, -1, "delegate", fmt.Errorf("%w (since Linux 4.15)", err))
		return
	}
	for _, name := range append([]string{"."}, files...) {
		file := filepath.Join(g.V2, name)
		if err := os.Chown(file, uid, gid); err != nil && !errors.Is(err, unix.ENOENT) {
			p.setup.fail(StageCgroup, -1, file, fmt.Errorf("delegate: %w", err))
			return
		}
	}
}

// delegatee is the owner of what is delegated, as the host sees it.
func (p *plan) delegatee() (uid, gid int) {
	c := p.cfg
	if c.insideRoot() {
		return outside(c.UIDMap, 0), outside(c.GIDMap, 0)
	}
	uid, gid = int(p.env.uid), int(p.env.gid)
	if c.UID.Set {
		uid = int(c.UID.Value)
	}
	if c.GID.Set {
		gid = int(c.GID.Value)
	}
	return uid, gid
}

// outside is the id that one inside is mapped to; it must be mapped.
func outside(m []IDMap, id uint32) int {
	for _, l := range m {
		if id >= l.Inside && id-l.Inside < l.Count {
			return int(l.Outside + id - l.Inside)
		}
	}
	return -1
}
