package compare

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
	"golang.org/x/sys/unix"
)

// machine is what values say of the machine rather than of its kernel.
type machine struct {
	names *strings.Replacer
	dir   mount    // the one that the campaign's directory is on
	below string   // path of the campaign's directory from that file system's root, if that is not /
	dev   []string // options with which /dev is mounted
}

func newMachine(m *fuzz.Machine) *machine {
	out := &machine{names: names(m)}
	dir, _ := filepath.EvalSymlinks(m.Dir)
	out.dir = mountOf(line("/proc/self/mountinfo"), dir)
	if out.dir.point != "/" {
		out.below = strings.TrimPrefix(dir, out.dir.point)
	}
	if at := mountOf(line("/proc/self/mountinfo"), "/dev/null"); at.fs == "devtmpfs" {
		out.dev = at.options
	}
	return out
}

// mount is a line of /proc/PID/mountinfo, in part.
type mount struct {
	point, fs, source string
	options           []string
}

// mountOf finds the mount that a path is on.
func mountOf(mountinfo, path string) (best mount) {
	for l := range strings.SplitSeq(mountinfo, "\n") {
		before, after, ok := strings.Cut(l, " - ")
		f := strings.Fields(before)
		if !ok || len(f) < 6 {
			continue
		}
		point := f[4]
		if path != point && point != "/" && !strings.HasPrefix(path, point+"/") || len(point) < len(best.point) {
			continue
		}
		fs, rest, _ := strings.Cut(after, " ")
		source, _, _ := strings.Cut(rest, " ")
		best = mount{point: point, fs: fs, source: source, options: strings.Split(f[5], ",")}
	}
	return best
}

// same replaces what belongs to the campaign by what is the same in all.
func (m *machine) same(s string) string { return m.names.Replace(s) }

// value is a value as JSON without what is the machine's own: of what lies on the
// file system of the campaign's directory and on that of /dev type, source,
// options of the superblock, and those that a mount has because that one has
// them; and neighbours that nobody asked for, as multicast groups are.
func (m *machine) value(name string, b []byte) []byte {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return b
	}
	if list, ok := v.([]any); ok && strings.HasPrefix(name, "holdshort.network.neighbours") {
		v = slices.DeleteFunc(list, func(x any) bool { s, _ := x.(string); return strings.HasPrefix(s, "ff0") })
	} else if !m.mounts(name, v) {
		return b
	}
	out, err := json.Marshal(v)
	if err != nil {
		return b
	}
	return out
}

// mounts reports whether it changed something.
func (m *machine) mounts(name string, v any) (changed bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			changed = m.mounts(name, x) || changed
		}
	case map[string]any:
		for _, x := range v {
			changed = m.mounts(name, x) || changed
		}
		fs, _ := v["type"].(string)
		source, told := v["source"].(string)
		ours := told && source == m.dir.source || !told && strings.HasPrefix(name, "linux.readonlyPaths") // whose evidence has no source
		var drop []string
		switch {
		case fs == "":
			return changed
		case fs == m.dir.fs && ours:
			drop = slices.Concat(m.dir.options, []string{"relatime"}) // rootfs has it not, other file systems do
			v["type"] = "DIR's"
			if root, ok := v["root"].(string); ok && m.below != "" && strings.HasPrefix(root, m.below) {
				v["root"] = "DIR" + strings.TrimPrefix(root, m.below)
			}
		case fs == "devtmpfs":
			drop = m.dev
		default:
			return changed
		}
		changed = true
		for _, k := range []string{"source", "data"} {
			if v[k] != nil {
				v[k] = "the machine's"
			}
		}
		if o, ok := v["options"].(string); ok {
			kept := slices.DeleteFunc(strings.Split(o, ","), func(w string) bool { return w != "ro" && w != "rw" && slices.Contains(drop, w) })
			v["options"] = strings.Join(kept, ",")
		}
	}
	return changed
}

// cgroupLayout is how the hierarchies of cgroups are mounted.
func cgroupLayout() string {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil {
		return err.Error()
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return "version 2"
	}
	list, err := os.ReadDir("/sys/fs/cgroup")
	if err != nil || len(list) == 0 {
		return "none"
	}
	return "version 1"
}
