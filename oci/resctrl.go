package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/harness/engine"
)

// rdtGroup is where a container is in the resctrl file system
// (Documentation/filesystems/resctrl.rst).
type rdtGroup struct {
	// Group is the directory of its class of service, and Monitor that of its
	// own monitoring, if it has one.
	Group   string `json:"group"`
	Monitor string `json:"monitor,omitempty"`
	// Planned are those of the two that are to go with the container, written
	// down before they are made, and Made those that were made.
	Planned []string     `json:"planned,omitempty"`
	Made    []madeCgroup `json:"made,omitempty"`
}

// makeResctrl makes a directory there, which the kernel fills, and removeResctrl
// removes it with what the kernel has in it. Tests have a tree of their own.
var (
	makeResctrl   = func(dir string) error { return os.Mkdir(dir, 0o755) }
	removeResctrl = unix.Rmdir
)

// checkRDT refuses what linux.intelRdt cannot mean.
func checkRDT(rdt *specs.LinuxIntelRdt, mount string) error {
	if mount == "" {
		return &engine.UnsupportedError{
			Field: "linux.intelRdt",
			Why:   "no resctrl file system is mounted here; the kernel needs CONFIG_X86_CPU_RESCTRL or ARM64 MPAM, and the CPU to have it",
		}
	}
	if id := rdt.ClosID; id != "" && id != "/" {
		if filepath.Base(id) != id || id == "." || id == ".." || slices.Contains([]string{"info", "mon_groups", "mon_data"}, id) {
			return fmt.Errorf("linux.intelRdt.closID: %q names no class of service", id)
		}
	}
	for field, line := range map[string]string{"l3CacheSchema": rdt.L3CacheSchema, "memBwSchema": rdt.MemBwSchema} {
		if strings.Contains(line, "\n") {
			return fmt.Errorf("linux.intelRdt.%s: has a newline", field)
		}
	}
	if s := rdt.MemBwSchema; s != "" && !strings.HasPrefix(s, "MB:") {
		return fmt.Errorf("linux.intelRdt.memBwSchema: %q begins with something else than \"MB:\"", s)
	}
	for i, line := range rdt.Schemata {
		if strings.Contains(line, "\n") {
			return fmt.Errorf("linux.intelRdt.schemata[%d]: has a newline", i)
		}
	}
	return nil
}

// joinRDT puts the container's process, which is parked, into the class of
// service that linux.intelRdt asks for (config-linux.md, IntelRdt).
func (c *container) joinRDT(rdt *specs.LinuxIntelRdt, mount string, pid int) error {
	if err := c.makeRDT(rdt, mount); err != nil {
		return fmt.Errorf("linux.intelRdt: %w", err)
	}
	return c.enterRDT(pid)
}

// enterRDT does that for one process with a single thread: the kernel is told of
// threads. Its children are born where it is.
func (c *container) enterRDT(pid int) error {
	if c.RDT == nil {
		return nil
	}
	for _, dir := range []string{c.RDT.Group, c.RDT.Monitor} { // in this order: the second is part of the first
		if dir == "" {
			continue
		}
		if err := writeResctrl(filepath.Join(dir, "tasks"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("linux.intelRdt: %w", err)
		}
	}
	return nil
}

func (c *container) makeRDT(rdt *specs.LinuxIntelRdt, mount string) error {
	name := rdt.ClosID
	if name == "" {
		name = c.ID
	}
	g := &rdtGroup{Group: filepath.Join(mount, name)}
	asked := rdt.L3CacheSchema != "" || rdt.MemBwSchema != "" || len(rdt.Schemata) > 0
	_, err := os.Lstat(g.Group)
	there := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case rdt.ClosID == "" && there:
		return fmt.Errorf("%s: %w: without closID it is made for the container", g.Group, fs.ErrExist)
	case rdt.ClosID == "": // ours, and to go with the container
		g.Planned = append(g.Planned, g.Group)
	case !there && !asked:
		return fmt.Errorf("closID: %s: %w: without a schema it has to be there", g.Group, fs.ErrNotExist)
	}
	if rdt.EnableMonitoring {
		g.Monitor = filepath.Join(g.Group, "mon_groups", c.ID)
		if _, err := os.Lstat(g.Monitor); err == nil {
			return fmt.Errorf("%s: %w", g.Monitor, fs.ErrExist)
		}
		g.Planned = append(g.Planned, g.Monitor)
	}
	c.RDT = g
	if err := c.save(); err != nil {
		return err
	}
	if !there {
		if err := c.makeResctrl(g.Group); err != nil {
			return err
		}
	}
	if err := writeSchemas(rdt, g.Group, there); err != nil {
		return err
	}
	if g.Monitor != "" {
		if err := c.makeResctrl(g.Monitor); err != nil {
			return err
		}
	}
	return c.save()
}

func (c *container) makeResctrl(dir string) error {
	if err := makeResctrl(dir); err != nil {
		return explained(err, dir)
	}
	if !slices.Contains(c.RDT.Planned, dir) {
		return nil // it stays
	}
	inode, err := inodeOf(dir)
	c.RDT.Made = append(c.RDT.Made, madeCgroup{dir, inode})
	return err
}

// writeSchemas writes what is asked for, in the order that the specification
// has. What a class that was there has of the two named schemas must be that.
func writeSchemas(rdt *specs.LinuxIntelRdt, group string, there bool) error {
	file := filepath.Join(group, "schemata")
	var lines []string
	for _, s := range []string{rdt.L3CacheSchema, rdt.MemBwSchema} {
		if s == "" {
			continue
		}
		if !there {
			lines = append(lines, s)
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !hasSchema(string(b), s) {
			return fmt.Errorf("%s is there and has not %q, but %q", group, s, strings.TrimSpace(string(b)))
		}
	}
	for _, l := range append(lines, rdt.Schemata...) {
		if err := writeResctrl(file, l+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// hasSchema reports whether a schemata file says of each domain what the line
// does. The kernel pads numbers, and lists what the line may leave out.
func hasSchema(have, line string) bool {
	resource, want := domains(line)
	for l := range strings.Lines(have) {
		if name, got := domains(l); name == resource {
			for id, value := range want {
				if got[id] != value {
					return false
				}
			}
			return true
		}
	}
	return false
}

func domains(line string) (resource string, values map[string]string) {
	resource, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
	values = map[string]string{}
	for d := range strings.SplitSeq(rest, ";") {
		id, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		value = strings.ToLower(strings.TrimLeft(strings.TrimSpace(value), "0"))
		values[strings.TrimSpace(id)] = value
	}
	return resource, values
}

// writeResctrl writes to a file of resctrl, one line a write.
func writeResctrl(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", strings.TrimSpace(text), explained(err, file))
	}
	return nil
}

// explained adds what the kernel says about the last failure in words.
func explained(err error, path string) error {
	for dir := filepath.Dir(path); len(dir) > 1; dir = filepath.Dir(dir) {
		if b, e := os.ReadFile(filepath.Join(dir, "info", "last_cmd_status")); e == nil {
			if s := strings.TrimSpace(string(b)); s != "" && s != "ok" {
				return fmt.Errorf("%w (%s)", err, s)
			}
			return err
		}
	}
	return err
}

// leaveRDT removes what goes with the container. Its processes are gone.
func (c *container) leaveRDT() error {
	if c.RDT == nil {
		return nil
	}
	var errs []error
	for _, dir := range slices.Backward(c.RDT.Planned) {
		inode, err := inodeOf(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		ours := slices.Contains(c.RDT.Made, madeCgroup{dir, inode})
		if !ours && !c.unused(dir) { // made after it was planned, and not known by whom
			continue
		}
		if err := removeResctrl(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, &fs.PathError{Op: "rmdir", Path: dir, Err: err})
		}
	}
	return errors.Join(errs...)
}

// unused: nobody is in there. A create that was killed has made it and nothing
// else yet; the kernel removes a group with tasks in it, too.
func (c *container) unused(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "tasks"))
	return err == nil && len(strings.TrimSpace(string(b))) == 0 && !slices.ContainsFunc(c.RDT.Made, func(m madeCgroup) bool { return m.Path == dir })
}
