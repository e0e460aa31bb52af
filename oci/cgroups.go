package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
)

// madeCgroup is a cgroup that was made for a container. Its path may come to
// mean another, of another container with the same linux.cgroupsPath; its inode
// does not, since kernfs counts them (__kernfs_new_node, fs/kernfs/dir.c).
type madeCgroup struct {
	Path  string `json:"path"`
	Inode uint64 `json:"inode"`
}

// makeCgroups makes the cgroups that are not there yet. First it is written down
// what will be made, then what was, so that it can be removed whatever happens.
func (c *container) makeCgroups(cfg *checkpoint.Config) error {
	c.planCgroups(cfg)
	if err := c.save(); err != nil || len(c.Planned) == 0 {
		return err
	}
	if err := c.makeParents(cfg); err != nil {
		return err
	}
	for _, dir := range c.Planned {
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue // another has made it meanwhile, and removes it
		}
		if err != nil {
			return fmt.Errorf("linux.cgroupsPath: %w", err)
		}
		inode, err := inodeOf(dir)
		if err != nil {
			return fmt.Errorf("linux.cgroupsPath: %w", err)
		}
		c.Made = append(c.Made, madeCgroup{dir, inode})
	}
	return c.save()
}

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// planCgroups lists the cgroups that are not there yet.
func (c *container) planCgroups(cfg *checkpoint.Config) {
	if !cfg.Cgroup.Create {
		return
	}
	for _, dir := range c.Cgroups {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && !slices.Contains(c.Planned, dir) {
			c.Planned = append(c.Planned, dir)
		}
		for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
			if _, err := os.Lstat(up); !errors.Is(err, fs.ErrNotExist) {
				break
			}
			c.Parents = append(c.Parents, up)
		}
	}
	slices.Sort(c.Planned)
	slices.Sort(c.Parents) // those above first
}

// makeParents makes the directories above the container's own.
func (c *container) makeParents(cfg *checkpoint.Config) error {
	cpuset := cfg.Cgroup.V1["cpuset"]
	for _, dir := range c.Parents {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("linux.cgroupsPath: %w", err)
		}
		if cpuset == "" || !within(cpuset, dir) {
			continue
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} { // a new one is empty, cpuset(7)
			b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
			if err == nil {
				_ = os.WriteFile(filepath.Join(dir, name), b, 0o644)
			}
		}
	}
	return nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// ours lists the cgroups that are certainly the container's alone.
func (c *container) ours() ([]string, error) {
	var out []string
	for _, m := range c.Made {
		inode, err := inodeOf(m.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case inode == m.Inode:
			out = append(out, m.Path)
		}
	}
	return out, nil
}

// removeCgroups removes what was made. What is in a cgroup that is certainly
// ours is killed; one that was only planned is removed if it is empty, since
// there was nothing of ours in it yet, and what is in it is another's.
func (c *container) removeCgroups() error {
	ours, err := c.ours()
	if err != nil {
		return err
	}
	if err := checkpoint.RemoveCgroups(ours); err != nil {
		return err
	}
	for _, dir := range slices.Backward(slices.Concat(c.Parents, c.Planned)) {
		_ = unix.Rmdir(dir) // unless others are in there
	}
	return nil
}
