package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// below lists the mounts that hang, at whatever depth, on m.
func (h *held) below(m *mountinfo.Info) []*mountinfo.Info {
	inside := map[int]bool{m.ID: true}
	var out []*mountinfo.Info
	for again := true; again; {
		again = false
		for _, i := range h.mounts {
			if inside[i.Parent] && !inside[i.ID] {
				inside[i.ID], again = true, true
				out = append(out, i)
			}
		}
	}
	return out
}

// asked lists the targets that the request mounts itself, which stand for
// themselves.
func (h *held) isAsked(m *mountinfo.Info) bool {
	return slices.ContainsFunc(h.req.Spec.Mounts, func(x specs.Mount) bool { return filepath.Clean("/"+x.Destination) == m.Mountpoint })
}

// leaks says why a mount, or what came with it, passes events to the world
// outside though that was not asked for.
func (h *held) leaks(want *specs.Mount, m *mountinfo.Info, below []*mountinfo.Info) string {
	base := strings.TrimPrefix(h.req.Linux().RootfsPropagation, "r")
	if !h.req.Namespace(specs.MountNamespace).Fresh() || base == "shared" || slices.Contains(want.Options, "remount") {
		return ""
	}
	for _, o := range want.Options {
		if strings.TrimPrefix(o, "r") == "shared" {
			return ""
		}
	}
	for _, x := range append([]*mountinfo.Info{m}, below...) {
		if propagationOf(x) == "shared" && (x == m || !h.isAsked(x)) {
			return x.Mountpoint + " is shared, which nobody asked for"
		}
	}
	return ""
}

// recursion: rbind brings the mounts below its source along, and bind does not.
func (h *held) recursion(want *specs.Mount, source string, m *mountinfo.Info, below []*mountinfo.Info) string {
	if !request.IsBind(want) || slices.Contains(want.Options, "remount") {
		return ""
	}
	if !slices.Contains(want.Options, "rbind") {
		for _, x := range below {
			if !h.isAsked(x) {
				return "what is mounted on " + x.Mountpoint + " came with it"
			}
		}
		return ""
	}
	if real, err := filepath.EvalSymlinks(source); err == nil {
		source = real
	}
	for p := range h.before {
		rel, ok := strings.CutPrefix(p, strings.TrimSuffix(source, "/")+"/")
		if !ok || slices.ContainsFunc(h.unbindable, func(u string) bool { return p == u || strings.HasPrefix(p, u+"/") }) {
			continue
		}
		at := filepath.Join(m.Mountpoint, rel)
		if !slices.ContainsFunc(below, func(x *mountinfo.Info) bool { return x.Mountpoint == at }) {
			return "what is mounted on " + p + " did not come with it"
		}
	}
	return ""
}

// mappedAsAsked judges the id map of a mount: that there is one, and what it
// makes of the owner of its root. Without one being asked for there is none.
func (h *held) mappedAsAsked(want *specs.Mount, source string, m *mountinfo.Info, below []*mountinfo.Info) (string, error) {
	if slices.Contains(want.Options, "remount") {
		return "", nil
	}
	mapped := func(m *mountinfo.Info) bool { return slices.Contains(strings.Split(m.Options, ","), "idmapped") }
	asked := len(want.UIDMappings) > 0 || slices.Contains(want.Options, "idmap") || slices.Contains(want.Options, "ridmap")
	switch {
	case !request.IsBind(want):
		return "", nil
	case !asked && mapped(m) && !sourceMapped(source):
		return "its ids are mapped, which nobody asked for", nil
	case !asked:
		return "", nil
	case !mapped(m):
		return "its ids are not mapped", nil
	}
	if slices.Contains(want.Options, "ridmap") {
		for _, x := range below {
			if !mapped(x) && !h.isAsked(x) {
				return "the ids of " + x.Mountpoint + " are not mapped", nil
			}
		}
	}
	uid, gid := want.UIDMappings, want.GIDMappings
	if len(uid) == 0 {
		uid, gid = h.req.Linux().UIDMappings, h.req.Linux().GIDMappings
	}
	gotUID, gotGID, err := h.mountMaps(m)
	if err == nil {
		if !sameMap(uid, gotUID) || !sameMap(gid, gotGID) {
			return fmt.Sprintf("its ids are mapped by %v and %v", gotUID, gotGID), nil
		}
		return "", nil
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return "", err
	}
	// The whole map is not shown, so one owner has to stand for it. What
	// appears is an id of the initial user namespace, as is the map's outside.
	var st, at unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		return "", err
	}
	if err := unix.Stat(h.proc("root")+m.Mountpoint, &at); err != nil {
		return "", err
	}
	if w := mapID(uid, st.Uid); at.Uid != w {
		return fmt.Sprintf("user %d of its root appears as %d, not %d", st.Uid, at.Uid, w), nil
	}
	if w := mapID(gid, st.Gid); at.Gid != w {
		return fmt.Sprintf("group %d of its root appears as %d, not %d", st.Gid, at.Gid, w), nil
	}
	if len(uid) > 1 || len(gid) > 1 || uid[0].Size > 1 || gid[0].Size > 1 {
		return "", errors.New("this kernel does not show the id map of a mount (statmount, since Linux 6.15), only that the owner of its root is mapped as asked")
	}
	return "", nil
}

// sourceMapped reports whether a source is on an id-mapped mount to begin with.
func sourceMapped(source string) bool {
	list, err := mountinfo.GetMounts(mountinfo.ParentsFilter(source))
	if err != nil || len(list) == 0 {
		return false
	}
	best := list[0]
	for _, m := range list {
		if len(m.Mountpoint) >= len(best.Mountpoint) {
			best = m
		}
	}
	return slices.Contains(strings.Split(best.Options, ","), "idmapped")
}

// mapID is what an id of a file appears as, 65534 where it is not mapped.
func mapID(m []specs.LinuxIDMapping, id uint32) uint32 {
	for _, l := range m {
		if id >= l.ContainerID && id-l.ContainerID < l.Size {
			return l.HostID + id - l.ContainerID
		}
	}
	return 65534
}

// copiedUp compares a tmpfs with the directory that it covers.
func (h *held) copiedUp(m *mountinfo.Info) (string, error) {
	if h.cfg.Root.Path == "" && h.mountsAlso(m) {
		return "", errors.New("what it covers was mounted by the workload too")
	}
	root, err := unix.Open(filepath.Join("/", h.cfg.Root.Path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(root, m.Mountpoint, &how)
	if err != nil {
		return "", err
	}
	src := os.NewFile(uintptr(fd), m.Mountpoint)
	defer src.Close()
	dst, err := os.Open(h.proc("root") + m.Mountpoint)
	if err != nil {
		return "", err
	}
	defer dst.Close()
	return sameTree(src, dst, m.Mountpoint)
}

func (h *held) mountsAlso(m *mountinfo.Info) bool {
	n := 0
	for _, i := range h.mounts {
		if i.Mountpoint == m.Mountpoint {
			n++
		}
	}
	return n > 1
}

// sameTree compares directories, files and links by name, type, mode, owner
// and size.
func sameTree(src, dst *os.File, at string) (string, error) {
	names, err := src.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		var a, b unix.Stat_t
		if err := unix.Fstatat(int(src.Fd()), name, &a, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return "", err
		}
		kind := a.Mode & unix.S_IFMT
		if kind != unix.S_IFREG && kind != unix.S_IFDIR && kind != unix.S_IFLNK {
			continue
		}
		err := unix.Fstatat(int(dst.Fd()), name, &b, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			return at + "/" + name + " was not copied", nil
		}
		if err != nil {
			return "", err
		}
		if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || kind == unix.S_IFREG && a.Size != b.Size {
			return at + "/" + name + " is another one", nil
		}
		if kind != unix.S_IFDIR {
			continue
		}
		x, err := os.Open(filepath.Join("/proc/self/fd", fmt.Sprint(src.Fd()), name))
		if err != nil {
			return "", err
		}
		y, err := os.Open(filepath.Join("/proc/self/fd", fmt.Sprint(dst.Fd()), name))
		if err == nil {
			var why string
			why, err = sameTree(x, y, at+"/"+name)
			y.Close()
			if why != "" {
				x.Close()
				return why, nil
			}
		}
		x.Close()
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// sharedMounts looks for a mount that passes events to the world outside
// though nobody asked for that. The root has a rule of its own.
func (h *held) sharedMounts() (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	word := h.req.Linux().RootfsPropagation
	rooted := h.req.Spec.Root != nil && h.req.Spec.Root.Path != ""
	if strings.TrimPrefix(word, "r") == "shared" && (!rooted || word[0] == 'r') {
		return "shared, as asked for", true, "", nil
	}
	may := map[int]bool{}
	for i := range h.req.Spec.Mounts {
		w := &h.req.Spec.Mounts[i]
		if !slices.Contains(w.Options, "shared") && !slices.Contains(w.Options, "rshared") {
			continue
		}
		if m := h.mountAt(filepath.Clean("/" + w.Destination)); m != nil {
			may[m.ID] = true
			for _, x := range h.below(m) {
				may[x.ID] = true
			}
		}
	}
	for _, m := range h.mounts {
		if m.Mountpoint != "/" && !may[m.ID] && propagationOf(m) == "shared" {
			return m.Mountpoint, false, m.Mountpoint + " is shared, which nobody asked for", nil
		}
	}
	return "none shared", true, "", nil
}
