package harness

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var fileTypes = map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}

// device judges one device node: type and number, and mode and owner, which
// are those of the specification's defaults where nothing was asked for. A node
// of the host that is attached, as has to be in a user namespace, keeps the
// host's where nothing was asked for.
func (h *held) device(want specs.LinuxDevice) (any, bool, string, error) {
	dir, name := path.Split(path.Clean("/" + want.Path))
	parent, err := h.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		defer unix.Close(parent)
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if errors.Is(err, unix.ENOENT) {
		return absent, false, "it is not there", nil
	}
	if err != nil {
		return nil, false, "", err
	}
	major, minor := unix.Major(st.Rdev), unix.Minor(st.Rdev)
	got := map[string]any{"mode": fmt.Sprintf("%#o", st.Mode), "device": fmt.Sprintf("%d:%d", major, minor), "uid": st.Uid, "gid": st.Gid}
	if st.Mode&unix.S_IFMT != fileTypes[want.Type] {
		return got, false, "it is of another type", nil
	}
	if want.Type != "p" && (int64(major) != want.Major || int64(minor) != want.Minor) {
		return got, false, "it is another device", nil
	}
	fd, err := unix.Openat2(parent, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW})
	if err != nil {
		return nil, false, "", err
	}
	defer unix.Close(fd)
	m, top, err := h.mountOf(fd)
	if err != nil {
		return nil, false, "", err
	}
	if want.Type != "p" && slices.Contains(strings.Split(m.Options, ","), "nodev") {
		return got, false, "it is on a mount with nodev, and cannot be opened", nil
	}
	attached := top && h.inUserNamespace()
	mode, uid, gid := uint32(0o666), uint32(0), uint32(0)
	if want.FileMode != nil {
		mode = uint32(*want.FileMode)
	}
	if want.UID != nil {
		uid = *want.UID
	}
	if want.GID != nil {
		gid = *want.GID
	}
	switch {
	case st.Mode&0o7777 != mode && (want.FileMode != nil || !attached):
		return got, false, fmt.Sprintf("its mode is %#o", st.Mode&0o7777), nil
	case uint64(st.Uid) != h.hostID(uid, true) && (want.UID != nil || !attached):
		return got, false, fmt.Sprintf("its owner is %d", st.Uid), nil
	case uint64(st.Gid) != h.hostID(gid, false) && (want.GID != nil || !attached):
		return got, false, fmt.Sprintf("its group is %d", st.Gid), nil
	}
	return got, true, "", nil
}

func (h *held) inUserNamespace() bool {
	return slices.ContainsFunc(h.cfg.Namespaces, func(n checkpoint.Namespace) bool { return n.Kind == checkpoint.User })
}

// defaultDevices judges what the specification wants supplied unasked.
func (h *held) defaultDevices() (any, bool, string, error) {
	devices, links, console := h.req.DefaultDevices()
	for _, d := range devices {
		got, holds, why, err := h.device(d)
		if !holds || err != nil {
			return map[string]any{d.Path: got}, false, d.Path + ": " + why, err
		}
	}
	for _, l := range links {
		dir, name := path.Split(l[0])
		fd, err := h.open(dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return nil, false, "", err
		}
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, name, buf)
		unix.Close(fd)
		if err != nil || string(buf[:n]) != l[1] {
			return map[string]string{l[0]: string(buf[:max(n, 0)])}, false, l[0] + " is no link to " + l[1], nil
		}
	}
	if console {
		return h.console()
	}
	return "all there", true, "", nil
}

// console: the terminal is on /dev/console.
func (h *held) console() (any, bool, string, error) {
	fd, err := h.open("/dev/console", unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return absent, false, "/dev/console is not there", nil
	}
	if err != nil {
		return nil, false, "", err
	}
	defer unix.Close(fd)
	var st, in unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, false, "", err
	}
	if h.stdin == nil {
		return nil, false, "", os.ErrInvalid
	}
	if err := unix.Fstat(int(h.stdin.Fd()), &in); err != nil {
		return nil, false, "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != in.Rdev {
		return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), false, "/dev/console is not the terminal", nil
	}
	return "all there", true, "", nil
}

// consoleSize asks the terminal that the workload was given; process.tty says
// whether it has it.
func (h *held) consoleSize(want *specs.Box) (any, bool, string, error) {
	if h.stdin == nil {
		return nil, false, "", os.ErrInvalid
	}
	ws, err := unix.IoctlGetWinsize(int(h.stdin.Fd()), unix.TIOCGWINSZ)
	switch {
	case errors.Is(err, unix.ENOTTY):
		return "no terminal", false, "its standard input is no terminal", nil
	case err != nil:
		return nil, false, "", err
	}
	got := specs.Box{Height: uint(ws.Row), Width: uint(ws.Col)}
	if got != *want {
		return got, false, fmt.Sprintf("it has %d rows of %d columns", got.Height, got.Width), nil
	}
	return got, true, "", nil
}
