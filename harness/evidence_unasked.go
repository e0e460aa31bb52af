package harness

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// needsTable reports that the mount table that the workload's begins as a copy of
// has to be known.
func needsTable(r *request.Request) bool {
	root := r.Spec.Root
	return len(r.Spec.Mounts) > 0 || root != nil && root.Path != ""
}

// suppliable are devices that an engine may mount where it cannot make them:
// those of the specification's Default Devices, and the terminal's.
var suppliable = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/console"}

// unaskedMounts looks for a mount in the workload's own root that nobody asked
// for. What it is on, a mount that was asked for or the root, is not looked at.
func (h *held) unaskedMounts() (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	exact, below := h.askedPlaces()
	for _, m := range h.mounts {
		under := func(dir string) bool {
			return m.Mountpoint == dir || strings.HasPrefix(m.Mountpoint, strings.TrimSuffix(dir, "/")+"/")
		}
		switch {
		case m.Mountpoint == "/", slices.Contains(exact, m.Mountpoint), slices.ContainsFunc(below, under):
			continue
		}
		if h.restricts(m) {
			continue
		}
		switch was, known := h.wasBelowRoot(m); {
		case !known:
			return nil, false, "", fmt.Errorf("%s may have been mounted below the root before: the mounts before the launch are not known", m.Mountpoint)
		case was:
			continue
		}
		got := map[string]string{"at": m.Mountpoint, "type": m.FSType, "source": m.Source, "root": m.Root, "options": m.Options}
		return got, false, "nobody asked for a mount on " + m.Mountpoint, nil
	}
	return "none", true, "", nil
}

// unaskedDevices looks for a device in a /dev that the request mounts, and that
// is none of the default ones nor asked for. Directories that are mounts of their
// own (devpts) are not looked into.
func (h *held) unaskedDevices() (any, bool, string, error) {
	asked := slices.Clone(suppliable)
	for i := range h.req.Linux().Devices {
		asked = append(asked, filepath.Clean("/"+h.req.Linux().Devices[i].Path))
	}
	for i := range h.req.Spec.Mounts {
		m := &h.req.Spec.Mounts[i]
		if asked = append(asked, filepath.Clean("/"+m.Destination)); asked[len(asked)-1] == "/dev" && m.Type == "devtmpfs" {
			return "a devtmpfs, as asked for", true, "", nil
		}
	}
	for _, p := range h.mountsAllowed {
		if asked = append(asked, filepath.Clean(p)); p == "/dev/" {
			return "the engine's", true, "", nil
		}
	}
	fd, err := h.open("/dev", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, false, "", err
	}
	defer unix.Close(fd)
	var top unix.Stat_t
	if err := unix.Fstat(fd, &top); err != nil {
		return nil, false, "", err
	}
	dir, found := fmt.Sprintf("/proc/self/fd/%d/", fd), ""
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join("/dev", strings.TrimPrefix(path, dir))
		switch {
		case d.IsDir():
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				return err
			}
			if path != dir && st.Dev != top.Dev {
				return fs.SkipDir
			}
		case d.Type()&fs.ModeDevice != 0 && !slices.Contains(asked, at):
			found = at
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return nil, false, "", err
	}
	if found != "" {
		return found, false, "nobody asked for the device " + found, nil
	}
	return "none", true, "", nil
}

// restricts reports that a mount is one of the very place that it is on, with at
// least the restrictions that are in force there: all that it can do is to take
// something away.
func (h *held) restricts(m *mountinfo.Info) bool {
	i := slices.IndexFunc(h.mounts, func(p *mountinfo.Info) bool { return p.ID == m.Parent })
	if i < 0 {
		return false
	}
	p := h.mounts[i]
	rel, err := filepath.Rel(p.Mountpoint, m.Mountpoint)
	if err != nil || m.Major != p.Major || m.Minor != p.Minor || m.Root != filepath.Join(p.Root, rel) {
		return false
	}
	has := strings.Split(m.Options, ",")
	for o := range strings.SplitSeq(p.Options, ",") {
		if slices.Contains(restrictions, o) && !strings.HasSuffix(o, "atime") && !slices.Contains(has, o) {
			return false
		}
	}
	return true
}

// askedPlaces are where mounts may be, and below which there may be more.
func (h *held) askedPlaces() (exact, below []string) {
	place := func(to *[]string, path string) {
		path = filepath.Clean("/" + path)
		*to = append(*to, path)
		if m := h.mountAt(path); m != nil { // a link of the image's may lead elsewhere
			*to = append(*to, m.Mountpoint)
		}
	}
	l := h.req.Linux()
	for i := range h.req.Spec.Mounts {
		m := &h.req.Spec.Mounts[i]
		place(&exact, m.Destination)
		recursive := slices.Contains(m.Options, "rbind") || m.Type == "bind" && !slices.Contains(m.Options, "bind")
		if recursive || m.Type == "cgroup" { // of version 1 there is a mount for each hierarchy
			place(&below, m.Destination)
		}
	}
	for _, p := range l.MaskedPaths {
		place(&exact, p)
	}
	for _, p := range l.ReadonlyPaths {
		place(&exact, p)
		place(&below, p) // what is mounted there comes along
	}
	for i := range l.Devices {
		place(&exact, l.Devices[i].Path)
	}
	for _, p := range h.mountsAllowed {
		exact = append(exact, filepath.Clean(p))
		if strings.HasSuffix(p, "/") {
			below = append(below, filepath.Clean(p))
		}
	}
	return append(exact, suppliable...), below
}

// wasBelowRoot reports that the host has a mount there below the directory that
// became the root, which a recursive bind mount brings along.
func (h *held) wasBelowRoot(m *mountinfo.Info) (was, known bool) {
	if h.before == nil {
		return false, false
	}
	root := h.cfg.Root.Path
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	return h.before[filepath.Join(root, m.Mountpoint)] > 0, true
}
