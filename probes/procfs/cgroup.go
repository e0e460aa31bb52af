package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

var errNotMounted = errors.New("the hierarchy is not mounted where the reader can see it")

// cgroups reads /proc/PID/cgroup, cgroups(7), and looks up the directories, whose
// inode numbers are the cgroups' ids.
func (t *task) cgroups() {
	c := &t.p.Cgroup
	b, err := t.file("cgroup", false)
	if err != nil {
		c.V2, c.V1, c.Frozen = lost[uint64](err), lost[[]posture.CgroupV1](err), lost[bool](err)
		return
	}
	b = bytes.Clone(b) // the buffer is needed again
	c.V2 = posture.Unreadable[uint64]("there is no version 2 hierarchy")
	c.Frozen = posture.Unreadable[bool](c.V2.Why())
	v1, whyV1 := []posture.CgroupV1{}, ""
	for line := range bytes.Lines(b) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		names, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case names == "":
			id, err := t.r.v2.id(path)
			if err != nil {
				c.V2, c.Frozen = lost[uint64](err), lost[bool](err)
			} else {
				c.V2, c.Frozen = posture.Known(id), t.r.v2.freezing(path)
			}
		case strings.HasPrefix(names, "name="): // without a controller
		default:
			first, _, _ := strings.Cut(names, ",")
			id, err := t.r.v1[first].id(path)
			if err != nil {
				whyV1 = names + ": " + err.Error()
			}
			for name := range strings.SplitSeq(names, ",") {
				v1 = append(v1, posture.CgroupV1{Controller: name, ID: id})
			}
		}
	}
	slices.SortFunc(v1, func(x, y posture.CgroupV1) int { return strings.Compare(x.Controller, y.Controller) })
	c.V1 = val(v1, whyV1)
}

// id is the number of a cgroup of this hierarchy.
func (h hierarchy) id(path string) (uint64, error) {
	if h.at == "" {
		return 0, errNotMounted
	}
	if root := strings.TrimSuffix(h.root, "/"); root != "" {
		below, ok := strings.CutPrefix(path, root)
		if !ok || below != "" && below[0] != '/' {
			return 0, errNotMounted
		}
		path = below
	}
	if h.top != 0 && (path == "" || path == "/") {
		return h.top, nil
	}
	if strings.HasPrefix(path, "/..") {
		return 0, errors.New("the cgroup is outside of the reader's cgroup namespace")
	}
	if strings.HasSuffix(path, " (deleted)") {
		return 0, errors.New("the cgroup was removed")
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(h.at, path), &st); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return st.Ino, nil
}
