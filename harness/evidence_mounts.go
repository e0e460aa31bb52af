package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountsBefore looks at the mount table that the workload's begins as a copy
// of, so that a mount that was there already is not taken for a new one.
func (h *held) mountsBefore(asked bool) {
	table := "/proc/self/mountinfo"
	for _, n := range h.cfg.Namespaces {
		if n.Kind != checkpoint.Mnt {
			continue
		}
		if n.PID > 0 {
			table = "/proc/" + strconv.Itoa(n.PID) + "/mountinfo"
		}
		asked = asked && n.Path == ""
	}
	if !asked {
		return
	}
	list, err := mountsIn(table)
	if err != nil {
		return
	}
	h.table = table
	h.before, h.mounted = make(map[string]int, len(list)), make(map[fsDevice]bool, len(list))
	for _, m := range list {
		h.before[m.Mountpoint]++
		h.mounted[fsDevice{m.Major, m.Minor}] = true
		if strings.Contains(m.Optional, "unbindable") {
			h.unbindable = append(h.unbindable, m.Mountpoint)
		}
	}
}

func mountsIn(table string) ([]*mountinfo.Info, error) {
	f, err := os.Open(table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// notItsOwn reports that a mount of the workload is of a file system that was there
// before it. A number is another's once a file system is gone (get_anon_bdev takes
// the lowest that is free), and one file system's as long as it is there, as this
// one is: so it must be there still. If it is not, nothing can be said.
func (h *held) notItsOwn(m *mountinfo.Info) (bool, error) {
	if !h.mounted[fsDevice{m.Major, m.Minor}] || !h.itsOwn(m.FSType) {
		return false, nil
	}
	list, err := mountsIn(h.table)
	if err != nil {
		return false, err
	}
	for _, i := range list {
		if i.Major == m.Major && i.Minor == m.Minor {
			return true, nil
		}
	}
	return false, errors.New("a file system with its number was unmounted meanwhile, so it cannot be told whether this is that one")
}

// fsDevice is the device number of a mounted file system.
type fsDevice struct{ major, minor int }

// itsOwn reports that a mount of this type is a file system of its own, so that
// one that was there before is a bind of it, which mountinfo does not tell. There
// is one proc for each pid namespace and one mqueue for each ipc namespace.
func (h *held) itsOwn(fstype string) bool {
	fresh := func(k checkpoint.NamespaceKind) bool {
		return slices.ContainsFunc(h.cfg.Namespaces, func(n checkpoint.Namespace) bool { return n.Kind == k && n.PID == 0 && n.Path == "" })
	}
	switch fstype {
	case "devpts", "tmpfs", "ramfs", "overlay":
		return true
	case "proc":
		return fresh(checkpoint.PID)
	case "mqueue":
		return fresh(checkpoint.IPC)
	}
	return false
}

// mount compares the topmost mount at a target with what was asked for.
func (h *held) mount(want specs.Mount) (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	if want.Type == "cgroup" && !request.IsBind(&want) && !slices.Contains(want.Options, "remount") {
		return h.cgroupMount(want)
	}
	m := h.mountAt(filepath.Clean("/" + want.Destination))
	if m == nil {
		return nil, false, "nothing is mounted there", nil
	}
	got := map[string]string{"type": m.FSType, "source": m.Source, "root": m.Root, "options": m.Options, "data": m.VFSOptions}
	if !slices.Contains(want.Options, "remount") {
		if h.before == nil {
			return nil, false, "", errors.New("the mounts before the launch are not known, so a new one cannot be told from an old one")
		}
		if !h.isNew(m) {
			return got, false, "what is mounted there was there before", nil
		}
	}
	has := func(o string) bool { return slices.Contains(strings.Split(m.Options, ","), o) }
	bind := request.IsBind(&want)
	source := want.Source
	if source != "" && !filepath.IsAbs(source) {
		source = filepath.Join(h.dir, source)
	}
	if bind && !slices.Contains(want.Options, "remount") {
		var st, at unix.Stat_t
		if err := unix.Stat(source, &st); err != nil {
			return nil, false, "", err
		}
		if err := unix.Stat(h.proc("root")+m.Mountpoint, &at); err != nil {
			return nil, false, "", err
		}
		if st.Dev != at.Dev || st.Ino != at.Ino {
			return got, false, "it is another file than the source", nil
		}
	} else if !bind && want.Type != "" && m.FSType != want.Type {
		return got, false, "the file system is of another type", nil
	}
	if !bind {
		if not, err := h.notItsOwn(m); err != nil {
			return nil, false, "", err
		} else if not {
			return got, false, "it is no file system of its own, but one that was there before", nil
		}
	}
	below := h.below(m)
	if why, err := h.mappedAsAsked(&want, source, m, below); why != "" || err != nil {
		return got, false, why, err
	}
	if why := h.leaks(&want, m, below); why != "" {
		return got, false, why, nil
	}
	if why := h.recursion(&want, source, m, below); why != "" {
		return got, false, why, nil
	}
	for _, o := range want.Options {
		switch kind := strings.TrimPrefix(o, "r"); {
		case slices.Contains(restrictions, o):
			if !has(o) {
				return got, false, o + " is not in force", nil
			}
		case o == "rw":
			if has("ro") {
				return got, false, "it is read-only", nil
			}
		case o == "strictatime":
			if has("relatime") || has("noatime") {
				return got, false, o + " is not in force", nil
			}
		case o != kind && slices.Contains(restrictions, kind):
			for _, x := range append([]*mountinfo.Info{m}, below...) {
				if !slices.Contains(strings.Split(x.Options, ","), kind) {
					return got, false, o + " is not in force on " + x.Mountpoint, nil
				}
			}
		case o == "rrw":
			for _, x := range append([]*mountinfo.Info{m}, below...) {
				if slices.Contains(strings.Split(x.Options, ","), "ro") {
					return got, false, x.Mountpoint + " is read-only", nil
				}
			}
		case o == "tmpcopyup":
			if why, err := h.copiedUp(m); why != "" || err != nil {
				return got, false, why, err
			}
		case slices.Contains(grants, o):
		case slices.Contains(propagationTypes, kind):
			if p := propagationOf(m); !propagates(kind, p) {
				return got, false, "its propagation is " + p, nil
			}
		case !bind: // a bind mount has no data of its own
			ok, err := h.mountData(o, m)
			if err != nil {
				return nil, false, "", err
			}
			if !ok {
				return got, false, o + " is not in force", nil
			}
		}
	}
	return got, true, "", nil
}

// Options of mounts: those that restrain, and that are shown when in force, and
// those that say that there is no restraint, or nothing that is shown.
var (
	restrictions = []string{"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow"}
	grants       = []string{
		"", "defaults", "bind", "rbind", "remount", "suid", "dev", "exec", "async", "atime", "diratime", "norelatime", "nostrictatime", "symfollow",
		"rsuid", "rdev", "rexec", "ratime", "rdiratime", "rnorelatime", "rstrictatime", "rnostrictatime", "rsymfollow",
		"newinstance", "idmap", "ridmap", "nolazytime", "nomand", "silent", "loud",
	}
	propagationTypes = []string{"private", "slave", "shared", "unbindable"}
)

// mountAt finds the mount that the workload finds at a path, symbolic links
// followed inside its root.
func (h *held) mountAt(target string) *mountinfo.Info {
	id := -1
	if root, err := unix.Open(h.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(root)
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
		if fd, err := unix.Openat2(root, target, &how); err == nil {
			defer unix.Close(fd)
			var st unix.Statx_t
			if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st) == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
				id = int(st.Mnt_id)
			}
		}
	}
	var m *mountinfo.Info
	for _, i := range h.mounts {
		if i.ID == id {
			return i
		}
		if i.Mountpoint == target {
			m = i
		}
	}
	return m
}

// isNew reports whether there are as many mounts more at m's place as were
// asked for.
func (h *held) isNew(m *mountinfo.Info) bool {
	n := 0
	for _, i := range h.mounts {
		if i.Mountpoint == m.Mountpoint {
			n++
		}
	}
	at := m.Mountpoint
	if root := h.cfg.Root.Path; root != "" {
		if real, err := filepath.EvalSymlinks(root); err == nil {
			root = real
		}
		at = filepath.Join(root, at)
	}
	return n > h.before[at]
}

// mountData compares an option of the file system with what it shows.
func (h *held) mountData(want string, m *mountinfo.Info) (bool, error) {
	shown := strings.Split(m.VFSOptions, ",")
	if slices.Contains(shown, want) {
		return true, nil
	}
	key, value, _ := strings.Cut(want, "=")
	got, found := "", false
	for _, o := range shown {
		if k, v, _ := strings.Cut(o, "="); k == key {
			got, found = v, true
		}
	}
	switch key {
	case "sync", "dirsync", "lazytime", "mand", "subset":
		return false, nil // is shown when it is in force
	case "size", "nr_blocks", "nr_inodes":
		if strings.HasSuffix(value, "%") {
			break
		}
		return found && sameNumber("memory.tmpfs", strings.ToLower(value), got), nil
	case "mode", "ptmxmode":
		n, err := strconv.ParseUint(value, 8, 32)
		if err != nil {
			break
		}
		if !found && m.FSType == "tmpfs" {
			return n == 0o1777, nil // the default is not shown
		}
		g, err := strconv.ParseUint(got, 8, 32)
		return err == nil && g == n, nil
	case "hidepid":
		words := map[string]string{"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}
		for n, word := range words {
			if value == n || value == word {
				return got == n || got == word || !found && n == "0", nil
			}
		}
	case "uid", "gid": // shown as the initial user namespace has them
		id := uint64(0)
		if found {
			id, _ = strconv.ParseUint(got, 10, 32)
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			break
		}
		return h.hostID(uint32(n), key == "uid") == id, nil
	}
	return false, fmt.Errorf("the file system does not show whether %q is in force", want)
}

// hostID is an id of the workload as the host has it.
func (h *held) hostID(id uint32, user bool) uint64 {
	maps := h.cfg.GIDMap
	if user {
		maps = h.cfg.UIDMap
	}
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Count {
			return uint64(m.Outside) + uint64(id-m.Inside)
		}
	}
	return uint64(id)
}

func propagationOf(m *mountinfo.Info) string {
	switch {
	case strings.Contains(m.Optional, "shared:"):
		return "shared"
	case strings.Contains(m.Optional, "master:"):
		return "slave"
	case strings.Contains(m.Optional, "unbindable"):
		return "unbindable"
	}
	return "private"
}

// propagates: a mount without peers becomes private where a slave was asked
// for, see mount_namespaces(7).
func propagates(want, got string) bool {
	return want == got || want == "slave" && got == "private"
}

// propagation judges the root.
func (h *held) propagation(want string) (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	kind := strings.TrimPrefix(want, "r")
	for _, m := range h.mounts {
		if m.Mountpoint == "/" {
			got := propagationOf(m)
			return got, propagates(kind, got), "", nil
		}
	}
	return nil, false, "", fmt.Errorf("no root in the mount table")
}
