package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// idTrees are the sources of id-mapped bind mounts, by the number of the mount.
// The host makes them: the call needs privilege over the user namespace that
// the file system belongs to, which the child may not have.
type idTrees map[int]*os.File

func (t idTrees) close() {
	for _, f := range t {
		f.Close()
	}
}

// idTrees makes what the configuration needs, usually nothing.
func (l *Launcher) idTrees(cfg *Config) (idTrees, error) {
	var all idTrees
	for i := range cfg.Mounts {
		m := &cfg.Mounts[i]
		s := m.parse()
		if !s.idmap {
			continue
		}
		uid, gid := m.UIDMap, m.GIDMap
		if len(uid) == 0 {
			uid, gid = cfg.UIDMap, cfg.GIDMap
		}
		f, err := l.idTree(cfg, m, s, uid, gid)
		if err != nil {
			all.close()
			return nil, &Error{Stage: StageMounts, Index: i, Object: m.Source, Err: err, Hint: idmapHint(err)}
		}
		if all == nil {
			all = idTrees{}
		}
		all[i] = f
	}
	return all, nil
}

func idmapHint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "an id-mapped mount needs CAP_SYS_ADMIN in the user namespace that the file system belongs to"
	case errors.Is(err, unix.EINVAL):
		return "the file system does not support id-mapped mounts, or is mapped already"
	}
	return ""
}

// idTree clones a source and maps its ids. mount_setattr(2) takes the map from
// a user namespace (MOUNT_ATTR_IDMAP, since Linux 5.12), so one is made with a
// launch that ends parked.
func (l *Launcher) idTree(cfg *Config, m *Mount, s *mountSpec, uid, gid []IDMap) (*os.File, error) {
	ns, err := l.userNamespace(uid, gid)
	if err != nil {
		return nil, fmt.Errorf("user namespace for its id map: %w", err)
	}
	defer ns.Close()
	how := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.rec {
		how |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, how)
	if err != nil {
		return nil, err
	}
	tree := os.NewFile(uintptr(fd), m.Source)
	if !s.early() && cfg.has(Mnt, false) {
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_PRIVATE})
	}
	if err == nil {
		flags := uint(unix.AT_EMPTY_PATH)
		if s.idmapRec {
			flags |= unix.AT_RECURSIVE
		}
		err = unix.MountSetattr(fd, "", flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
	}
	if err != nil {
		tree.Close()
		return nil, err
	}
	return tree, nil
}

// userNamespace makes a user namespace with the maps; it lives as long as the
// descriptor, or what was mapped with it.
func (l *Launcher) userNamespace(uid, gid []IDMap) (*os.File, error) {
	ctx := context.Background()
	w, err := l.Spawn(ctx, &Config{Args: []string{"-"}, Namespaces: []Namespace{{Kind: User}}, UIDMap: uid, GIDMap: gid}, nil)
	if err != nil {
		return nil, err
	}
	fd, err := w.openProc("ns/user")
	err = errors.Join(err, w.Abort(ctx))
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, err
	}
	return os.NewFile(uintptr(fd), "user namespace"), nil
}
