package harness

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func readOnly(m *mountinfo.Info) bool {
	return slices.Contains(strings.Split(m.Options, ","), "ro")
}

const absent = "not there"

// plainFiles are file systems whose files are as long as they say; those of proc
// have a size of 0 and are not empty.
var plainFiles = []string{"tmpfs", "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "overlay", "erofs", "squashfs"}

// masked judges a masked path: it is not there, or the null device is on it, or
// an empty file or directory that cannot be written.
func (h *held) masked(path string) (any, bool, string, error) {
	fd, err := h.open(path, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return absent, true, "", nil
	}
	if err != nil {
		return nil, false, "", err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, false, "", err
	}
	m, top, err := h.mountOf(fd)
	if err != nil {
		return nil, false, "", err
	}
	got := map[string]any{"mounted": top, "type": m.FSType, "options": m.Options}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		got["device"] = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		if st.Rdev != unix.Mkdev(1, 3) {
			return got, false, "it is a device, and not the null device", nil
		}
		return got, true, "", nil
	case unix.S_IFDIR:
	case unix.S_IFREG:
		switch {
		case !top || st.Size > 0 || !slices.Contains(plainFiles, m.FSType):
			return got, false, "it is a file that can be read", nil
		case !readOnly(m):
			return got, false, "it is an empty file that can be written", nil
		}
		return got, true, "", nil
	default:
		return got, false, "it is no file, directory or device", nil
	}
	if !top {
		return got, false, "nothing is mounted over the directory", nil
	}
	dir, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, false, "", err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	switch {
	case err != nil:
		return nil, false, "", err
	case len(names) > 0:
		return got, false, fmt.Sprintf("it is a directory of %d entries", len(names)), nil
	case !readOnly(m):
		return got, false, "it is an empty directory that can be written", nil
	}
	return got, true, "", nil
}

// readOnlyPath judges a read-only path: the mount that it is on is read-only,
// and so is every mount below it, the masked ones aside, which have rules of
// their own.
func (h *held) readOnlyPath(path string) (any, bool, string, error) {
	fd, err := h.open(path, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return absent, true, "", nil
	}
	if err != nil {
		return nil, false, "", err
	}
	defer unix.Close(fd)
	m, _, err := h.mountOf(fd)
	if err != nil {
		return nil, false, "", err
	}
	got := map[string]string{"on": m.Mountpoint, "type": m.FSType, "options": m.Options}
	if !readOnly(m) {
		return got, false, "it can be written", nil
	}
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, false, "", err
	}
	for _, x := range h.below(m) {
		under := x.Mountpoint == real || strings.HasPrefix(x.Mountpoint, strings.TrimSuffix(real, "/")+"/")
		if under && !readOnly(x) && !h.isMasked(x.Mountpoint) {
			return got, false, x.Mountpoint + " below it can be written", nil
		}
	}
	return got, true, "", nil
}

func (h *held) isMasked(path string) bool {
	return slices.Contains(h.req.Linux().MaskedPaths, path)
}
