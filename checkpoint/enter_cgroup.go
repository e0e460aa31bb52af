package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroups places the workload where the target is, in each hierarchy in which
// the agent is not there already. /proc/PID/cgroup is relative to the reader's
// cgroup namespace, as the mounts here are (cgroup_namespaces(7)).
func (t *target) cgroups(cfg *Config, agentPID int) error {
	if cfg.Cgroup.V2 != "" || len(cfg.Cgroup.V1) > 0 {
		return nil
	}
	text, err := t.text("cgroup")
	if err != nil {
		return err
	}
	own, err := os.ReadFile("/proc/" + strconv.Itoa(agentPID) + "/cgroup")
	if err != nil {
		return err
	}
	theirs, ours := memberships(text), memberships(string(own))
	var mounts []cgroupMount
	v1 := map[string]string{}
	for controllers, path := range theirs {
		if ours[controllers] == path {
			continue
		}
		if mounts == nil {
			if mounts, err = cgroupMounts(); err != nil {
				return err
			}
		}
		dir, err := cgroupAt(mounts, controllers, path)
		if err != nil {
			return err
		}
		if controllers == "" {
			cfg.Cgroup.V2 = dir
		} else {
			first, _, _ := strings.Cut(controllers, ",") // one names the hierarchy
			v1[first] = dir
		}
	}
	if len(v1) > 0 {
		cfg.Cgroup.V1 = v1
	}
	return nil
}

// memberships maps the controllers of a hierarchy, "" for version 2, to a path.
func memberships(text string) map[string]string {
	m := map[string]string{}
	for l := range strings.Lines(text) {
		if f := strings.SplitN(strings.TrimSuffix(l, "\n"), ":", 3); len(f) == 3 {
			m[f[1]] = f[2]
		}
	}
	return m
}

// cgroupMount is a mounted hierarchy.
type cgroupMount struct {
	point, root string
	options     []string // version 1: its controllers, among others
	v2          bool
}

func cgroupMounts() ([]cgroupMount, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var all []cgroupMount
	for l := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(g) < 3 || g[0] != "cgroup" && g[0] != "cgroup2" {
			continue
		}
		all = append(all, cgroupMount{point: unescape(f[4]), root: unescape(f[3]), options: strings.Split(g[2], ","), v2: g[0] == "cgroup2"})
	}
	return all, nil
}

// unescape undoes the octal escapes of proc_pid_mountinfo(5).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func cgroupAt(mounts []cgroupMount, controllers, path string) (string, error) {
	for _, m := range mounts {
		if m.v2 != (controllers == "") {
			continue
		}
		fits := true
		for c := range strings.SplitSeq(controllers, ",") {
			found := m.v2
			for _, o := range m.options {
				found = found || o == c
			}
			fits = fits && found
		}
		if !fits {
			continue
		}
		below, ok := strings.CutPrefix(path, strings.TrimSuffix(m.root, "/"))
		if !ok || strings.HasPrefix(path, "/..") {
			continue
		}
		return filepath.Join(m.point, below), nil
	}
	what := "the cgroup2 hierarchy"
	if controllers != "" {
		what = "the hierarchy " + controllers
	}
	return "", fmt.Errorf("%s of %q is not visible at any mount here; give a cgroup, or skip %q: %w", path, what, TakeCgroup, unix.ENOENT)
}
