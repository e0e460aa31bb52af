package harness

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// landlockPaths identifies what the paths of Landlock rules are in the
// workload's root; mounts is the mountinfo of somebody who has its mounts.
func (l *launch) landlockPaths(root int, mounts string) {
	p := l.cfg.Landlock
	if p == nil {
		return
	}
	paths := map[string]posture.Value[posture.Inode]{}
	for i := range p.Layers {
		for _, r := range p.Layers[i].PathBeneath {
			if _, ok := paths[r.Path]; ok {
				continue
			}
			n, err := ownNumbers(root, r.Path, mounts)
			if err != nil {
				paths[r.Path] = posture.Unreadable[posture.Inode](err.Error())
				continue
			}
			paths[r.Path] = posture.Known(n)
		}
	}
	l.facts.LandlockPaths = paths
}

// hasPathRules reports whether what the paths of rules are must be looked up in
// the workload's own root.
func (l *launch) hasPathRules() bool {
	if p := l.cfg.Landlock; p != nil {
		for i := range p.Layers {
			if len(p.Layers[i].PathBeneath) > 0 {
				return true
			}
		}
	}
	return false
}

// Reasons why a file cannot be identified by numbers.
var (
	errMadeUp   = errors.New("its file system gives out numbers that are not its own (btrfs, overlayfs), by which no file can be told")
	errTransit  = errors.New("procfs makes this file's number up whenever it is looked at")
	errNoNumber = errors.New("/proc/self/fdinfo does not tell the number (since Linux 5.14)")
)

// ownNumbers returns device and inode number as the file system itself has them,
// which is all that a Landlock rule shows. stat(2) says the same unless the file
// system makes numbers up, for instance because they are unique only together
// with something else, and then nothing can be said: two subvolumes of btrfs have
// equal inode numbers.
func ownNumbers(root int, path, mounts string) (posture.Inode, error) {
	fd, err := openIn(root, path)
	if err != nil {
		return posture.Inode{}, fmt.Errorf("not found in the workload's root: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)); err != nil {
		return posture.Inode{}, err
	}
	// Only the entries that do not depend on a process, and the root, keep their
	// number (PROC_DYNAMIC_FIRST, fs/proc/generic.c).
	if fs.Type == unix.PROC_SUPER_MAGIC && st.Ino != 1 && st.Ino < 0xf0000000 {
		return posture.Inode{}, errTransit
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return posture.Inode{}, err
	}
	ino, ok := numberIn(info, "ino:")
	mount, ok2 := numberIn(info, "mnt_id:")
	if !ok || !ok2 {
		return posture.Inode{}, errNoNumber
	}
	dev, err := deviceOfMount(mounts, mount)
	if err != nil {
		return posture.Inode{}, err
	}
	if dev != st.Dev || ino != st.Ino {
		return posture.Inode{}, errMadeUp
	}
	return posture.Inode{Dev: dev, Ino: ino}, nil
}

// openIn opens a path as inside a root. Where a rename or mount anywhere on the
// machine comes in between, a path with ".." has to be tried again (openat2(2),
// EAGAIN).
func openIn(root int, path string) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	for range 100 {
		if fd, err = unix.Openat2(root, path, &how); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd, err
}

// numberIn reads one line of a file of /proc/PID/fdinfo.
func numberIn(info []byte, key string) (uint64, bool) {
	for line := range bytes.Lines(info) {
		if v, ok := bytes.CutPrefix(line, []byte(key)); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(v)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// deviceOfMount finds the device number of the file system of a mount: the third
// word of its line in mountinfo.
func deviceOfMount(mounts string, id uint64) (uint64, error) {
	f, err := os.Open(mounts)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	prefix := strconv.FormatUint(id, 10) + " "
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		var major, minor uint32
		if words := strings.Fields(line); len(words) > 2 {
			if _, err := fmt.Sscanf(words[2], "%d:%d", &major, &minor); err == nil {
				return unix.Mkdev(major, minor), nil
			}
		}
	}
	return 0, fmt.Errorf("its mount %d is not in %s", id, mounts)
}
