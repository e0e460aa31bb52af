package oci

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

// record is what is kept of a container.
type record struct {
	Version     string                  `json:"ociVersion"`
	ID          string                  `json:"id"`
	Bundle      string                  `json:"bundle"`
	Annotations map[string]string       `json:"annotations,omitempty"`
	Created     time.Time               `json:"created"`
	Owner       int                     `json:"owner"` // uid of who made it
	Process     *checkpoint.LeftProcess `json:"process,omitempty"`
	Rootfs      string                  `json:"rootfs,omitempty"`
	// Cgroups that the container is in, by controller, "" being version 2;
	// Planned are those that it makes, written before they are made, and Made
	// those that it has made.
	Cgroups map[string]string `json:"cgroups,omitempty"`
	Planned []string          `json:"planned,omitempty"`
	Made    []madeCgroup      `json:"cgroupsMade,omitempty"`
	RDT     *rdtGroup         `json:"resctrl,omitempty"`
	// Files that were made outside.
	PIDFile string   `json:"pidFile,omitempty"`
	Parents []string `json:"parents,omitempty"` // directories above Planned, removed if they are empty then
	// Plain: the configuration has neither hooks for later nor a listener, so that
	// start and delete need not read it.
	Plain bool `json:"plain,omitempty"`
	// NoProcess: the configuration has none, so the container cannot be started.
	NoProcess bool `json:"noProcess,omitempty"`
}

// container is a container whose directory is open, and locked unless it was
// opened to be looked at only.
type container struct {
	record
	root   string
	dir    *os.File
	locked bool             // by us
	req    *request.Request // once it was read
}

const (
	stateFile  = "state.json"
	configFile = "config.json"
)

const idLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-"

func checkID(id string) error {
	if id == "" || strings.Trim(id, idLetters) != "" || id == "." || id == ".." || len(id) > 255 {
		return fmt.Errorf("invalid container ID %q: letters, digits and _ + - . only", id)
	}
	return nil
}

func (c *container) path() string { return filepath.Join(c.root, c.ID) }

// errNoContainer is what runc says too; callers look for the words.
var errNoContainer = errors.New("container does not exist")

// make claims an ID. Its directory is the lock.
func makeContainer(root, id string) (*container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	c := &container{record: record{ID: id, Owner: os.Getuid(), Created: time.Now().UTC()}, root: root}
	for {
		if err := os.Mkdir(c.path(), 0o700); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return nil, c.exists()
			}
			return nil, err
		}
		if err := c.claim(); !errors.Is(err, errNoContainer) { // deleted before we had it
			return c, err
		}
	}
}

func (c *container) exists() error {
	return fmt.Errorf("container with given ID already exists: %s", c.ID)
}

// claim takes the lock of a directory that was just made. Until then it is
// nobody's: it may have been deleted, and made anew by another create, whose
// container is not to be overwritten.
func (c *container) claim() error {
	if err := c.open(true); err != nil {
		return err
	}
	_, err := os.Lstat(filepath.Join(c.path(), stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.close()
	if err == nil {
		err = c.exists()
	}
	return err
}

// find opens a container. With lock, no other verb has it until it is closed.
func findContainer(root, id string, lock bool) (*container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	c := &container{record: record{ID: id}, root: root}
	if err := c.open(lock); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *container) open(lock bool) error {
	for {
		dir, err := os.OpenFile(c.path(), unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", errNoContainer, c.ID)
		}
		if err != nil {
			return err
		}
		if !lock {
			c.dir = dir
			return nil
		}
		for {
			if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			dir.Close()
			return fmt.Errorf("lock %s: %w", c.path(), err)
		}
		// Whoever had the lock may have deleted the container, and another
		// have made it anew.
		if same(dir, c.path()) {
			c.dir, c.locked = dir, true
			return nil
		}
		dir.Close()
	}
}

func same(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

func (c *container) close() {
	if c.dir != nil {
		c.dir.Close() // and the lock with it
		c.dir = nil
	}
}

// unlock lets others have it, and keeps it open to be looked at.
func (c *container) unlock() {
	_ = unix.Flock(int(c.dir.Fd()), unix.LOCK_UN)
	c.locked = false
}

// load reads the record. A directory without one is of a create that was killed
// at once: it is an empty container that has stopped.
func (c *container) load() error {
	b, err := os.ReadFile(filepath.Join(c.path(), stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	id := c.ID
	if err := json.Unmarshal(b, &c.record); err != nil {
		return fmt.Errorf("%s: %w", stateFile, err)
	}
	if c.ID != id {
		return fmt.Errorf("%s is of container %q, not %q", filepath.Join(c.root, id, stateFile), c.ID, id)
	}
	return nil
}

// save replaces the record, so that there is always a whole one.
func (c *container) save() error {
	b, err := json.Marshal(&c.record)
	if err != nil {
		return err
	}
	return c.write(stateFile, b)
}

func (c *container) write(name string, b []byte) error {
	return replaceFile(filepath.Join(c.path(), name), b, 0o600)
}

// replaceFile writes a file that is never seen half written. What others have
// put at its place, or at that of the file it is made from, is not written
// through: pid files are also in directories that are not ours alone.
func replaceFile(path string, b []byte, mode os.FileMode) error {
	dir, base := filepath.Split(path)
	tmp := filepath.Join(dir, "."+base+"."+rand.Text())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}

// forget removes the directory.
func (c *container) forget() error { return os.RemoveAll(c.path()) }

// Statuses beyond those of the specification, as runc has them.
const statusPaused specs.ContainerState = "paused"

// status asks the kernel.
func (c *container) status() specs.ContainerState {
	if c.Process == nil {
		if !c.locked && c.beingMade() {
			return specs.StateCreating
		}
		return specs.StateStopped
	}
	s, err := readStat(c.Process.PID)
	switch {
	case err != nil || s.started != c.Process.Started || s.state == 'Z' || s.state == 'X':
		return specs.StateStopped
	case c.frozen(): // whether it was started or not, as runc has it
		return statusPaused
	case s.flags&forkNoExec != 0:
		return specs.StateCreated
	}
	return specs.StateRunning
}

// beingMade: somebody holds the lock. Who has it itself knows better.
func (c *container) beingMade() bool {
	d, err := os.Open(c.path())
	if err != nil {
		return false
	}
	defer d.Close()
	return unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
}

const forkNoExec = 0x40 // PF_FORKNOEXEC, include/linux/sched.h

type procStat struct {
	state   byte
	flags   uint64
	started uint64
}

// readStat reads what is needed of /proc/PID/stat, see proc_pid_stat(5).
func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	text := string(b)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 20 {
		return procStat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	s := procStat{state: f[0][0]}
	if s.flags, err = strconv.ParseUint(f[6], 10, 64); err == nil {
		s.started, err = strconv.ParseUint(f[19], 10, 64)
	}
	return s, err
}

// hold returns a pidfd of the container's process, which is certain to be that.
func (c *container) hold() (int, error) {
	if c.Process == nil {
		return -1, errNotRunning
	}
	fd, err := unix.PidfdOpen(c.Process.PID, 0)
	if err != nil {
		return -1, errNotRunning
	}
	if s, err := readStat(c.Process.PID); err != nil || s.started != c.Process.Started {
		unix.Close(fd)
		return -1, errNotRunning
	}
	return fd, nil
}

var errNotRunning = errors.New("container not running")

// state is the state of the specification (runtime.md, State).
func (c *container) state(status specs.ContainerState) *specs.State {
	s := &specs.State{Version: c.Version, ID: c.ID, Status: status, Bundle: c.Bundle, Annotations: c.Annotations}
	if s.Version == "" {
		s.Version = specs.Version
	}
	if c.Process != nil && status != specs.StateStopped {
		s.Pid = c.Process.PID
	}
	return s
}
