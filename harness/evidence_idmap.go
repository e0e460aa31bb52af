package harness

import (
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/harness/internal/sys"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountMaps reads the whole id maps of a mount of the workload; the error
// matches errors.ErrUnsupported where the kernel does not show them.
func (h *held) mountMaps(m *mountinfo.Info) (uid, gid []string, err error) {
	const uniqueID = 0x4000 // STATX_MNT_ID_UNIQUE, since Linux 6.8
	fd, err := h.open(m.Mountpoint, unix.O_PATH)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, uniqueID, &st); err != nil {
		return nil, nil, err
	}
	ns, err := unix.Open(h.proc("ns/mnt"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(ns)
	return sys.MountMaps(ns, st.Mnt_id)
}

// sameMap compares a map with the lines that the kernel shows.
func sameMap(want []specs.LinuxIDMapping, got []string) bool {
	var w []string
	for _, l := range want {
		w = append(w, fmt.Sprintf("%d %d %d", l.ContainerID, l.HostID, l.Size))
	}
	slices.Sort(w)
	g := slices.Sorted(slices.Values(got))
	return slices.Equal(w, g)
}

// open opens a path of the workload as it finds it itself, links followed
// inside its root.
func (h *held) open(path string, flags uint64) (int, error) {
	root, err := unix.Open(h.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return unix.Openat2(root, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
}

// mountOf finds the mount that an open file is on, and whether the file is its
// root.
func (h *held) mountOf(fd int) (*mountinfo.Info, bool, error) {
	if h.mountsErr != nil {
		return nil, false, h.mountsErr
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return nil, false, err
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return nil, false, fmt.Errorf("this kernel does not tell which mount a file is on (since Linux 5.8)")
	}
	for _, m := range h.mounts {
		if uint64(m.ID) == st.Mnt_id {
			return m, st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
		}
	}
	return nil, false, fmt.Errorf("it is on a mount that is not in the table")
}
