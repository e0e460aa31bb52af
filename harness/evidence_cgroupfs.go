package harness

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/engine"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cgroupMount judges a mount of type "cgroup": every hierarchy is there, is of
// the right kind, begins at the workload's own cgroup, and has the attributes
// that were asked for.
func (h *held) cgroupMount(want specs.Mount) (any, bool, string, error) {
	if h.mountsErr != nil {
		return nil, false, "", h.mountsErr
	}
	own, err := cgroupsOf(strconv.Itoa(h.pid))
	if err != nil {
		return nil, false, "", err
	}
	restrict := func(options string) string {
		have := strings.Split(options, ",")
		for _, o := range want.Options {
			kind := o
			if !slices.Contains(restrictions, o) {
				kind = strings.TrimPrefix(o, "r")
			}
			if slices.Contains(restrictions, kind) && !slices.Contains(have, kind) {
				return o + " is not in force"
			}
		}
		return ""
	}
	got := map[string]any{}
	one := func(at, typ, controller string) (string, error) {
		m := h.mountAt(at)
		switch {
		case m == nil || m.Mountpoint != at:
			return "nothing is mounted on " + at, nil
		case m.FSType != typ:
			return fmt.Sprintf("%s is a %s", at, m.FSType), nil
		case h.before == nil:
			return "", errors.New("the mounts before the launch are not known, so a new one cannot be told from an old one")
		case !h.isNew(m):
			return at + " was there before", nil
		}
		got[at] = map[string]string{"type": m.FSType, "root": m.Root, "options": m.Options}
		if why := restrict(m.Options); why != "" {
			return at + ": " + why, nil
		}
		if typ == "tmpfs" {
			return "", nil
		}
		if typ == "cgroup" && !slices.Contains(strings.Split(m.VFSOptions, ","), controller) {
			return at + " is another hierarchy", nil
		}
		at1, ok := own[controller]
		if !ok {
			return "", fmt.Errorf("no cgroup of the workload for %q is known", controller)
		}
		if m.Root != at1 {
			return fmt.Sprintf("%s begins at %s, and the workload's own is %s", at, m.Root, at1), nil
		}
		return "", nil
	}
	at := filepath.Clean("/" + want.Destination)
	if len(h.host.CgroupV1) == 0 {
		why, err := one(at, "cgroup2", "")
		return got, why == "" && err == nil, why, err
	}
	if why, err := one(at, "tmpfs", ""); why != "" || err != nil {
		return got, false, why, err
	}
	for _, g := range engine.CgroupTree(&h.host) {
		typ, controller := "cgroup2", ""
		if len(g.Controllers) > 0 {
			typ, controller = "cgroup", g.Controllers[0]
		}
		if why, err := one(path.Join(at, g.Name), typ, controller); why != "" || err != nil {
			return got, false, why, err
		}
	}
	return got, true, "", nil
}

// cgroupsOf maps controllers, and "" for version 2, to the cgroups of a process
// as we see them.
func cgroupsOf(pid string) (map[string]string, error) {
	b, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			out[c] = f[2]
		}
	}
	return out, nil
}

// cgroupsPath looks whether the workload is in the cgroup of a relative
// linux.cgroupsPath, wherever below its own the engine has made it. Of a path for
// systemd, "slice:prefix:name", the last part is the scope (or the slice) that
// systemd makes of prefix and name.
func (h *held) cgroupsPath(want string) (got any, holds bool, why string, err error) {
	own, err := cgroupsOf(strconv.Itoa(h.pid))
	if err != nil {
		return nil, false, "", err
	}
	end := "/" + strings.TrimPrefix(want, "/")
	if f := strings.Split(want, ":"); len(f) == 3 {
		switch {
		case strings.HasSuffix(f[2], ".slice"):
			end = "/" + f[2]
		case f[1] == "":
			end = "/" + f[2] + ".scope"
		default:
			end = "/" + f[1] + "-" + f[2] + ".scope"
		}
	}
	for _, at := range own {
		if strings.HasSuffix(at, end) {
			return own, true, "", nil
		}
	}
	return own, false, "no cgroup of it ends in " + end, nil
}
