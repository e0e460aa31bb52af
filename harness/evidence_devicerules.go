package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/holdshort/holdshort/internal/devicebpf"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// access is one use of a device node.
type access struct {
	kind         string // "c" or "b"
	major, minor uint32
	parts        string // of "rwm"
}

func (a access) String() string {
	return fmt.Sprintf("%s %d:%d %s", a.kind, a.major, a.minor, a.parts)
}

var allParts = []string{"r", "w", "m", "rw", "rm", "wm", "rwm"}

// deviceNumbers are what accesses are tried with: each number that is named
// anywhere, and one that is not.
type deviceNumbers struct{ majors, minors []uint32 }

func (n *deviceNumbers) add(to *[]uint32, v uint32) {
	if !slices.Contains(*to, v) {
		*to = append(*to, v)
	}
}

func (n *deviceNumbers) fresh() {
	for _, list := range []*[]uint32{&n.majors, &n.minors} {
		v := uint32(777)
		for {
			before := len(*list)
			if n.add(list, v); len(*list) > before {
				break
			}
			v++
		}
	}
}

// deviceRules compares what the workload's cgroup lets it do with what the
// rules say, at every access that could make a difference. It knows neither how
// the rules were translated nor by whom.
func (h *held) deviceRules(rules []specs.LinuxDeviceCgroup) (any, bool, string, error) {
	var n deviceNumbers
	for i := range rules {
		if m := rules[i].Major; m != nil && *m >= 0 {
			n.add(&n.majors, uint32(*m))
		}
		if m := rules[i].Minor; m != nil && *m >= 0 {
			n.add(&n.minors, uint32(*m))
		}
	}
	var got any
	var decide func(access) (bool, error)
	var err error
	if dir := h.cfg.Cgroup.V1["devices"]; dir != "" {
		got, decide, err = devicesList(dir, &n)
	} else {
		got, decide, err = devicePrograms(h.cfg.Cgroup.V2, &n)
	}
	if err != nil {
		return nil, false, "", err
	}
	n.fresh()
	if decide == nil {
		return devicesByDefault(rules, &n)
	}
	const most = 400_000 // accesses; a list with more needs another way
	if len(n.majors)*len(n.minors)*2*len(allParts) > most {
		return nil, false, "", errors.New("too many device numbers to try them all")
	}
	for _, major := range n.majors {
		for _, minor := range n.minors {
			for _, kind := range []string{"c", "b"} {
				for _, parts := range allParts {
					a := access{kind, major, minor, parts}
					allowed, err := decide(a)
					if err != nil {
						return nil, false, "", err
					}
					if want := wantDevice(rules, a); allowed != want && !(allowed && h.deviceByDefault(rules, a)) {
						return got, false, fmt.Sprintf("%s is %s, and should be %s", a, allows(allowed), allows(want)), nil
					}
				}
			}
		}
	}
	return got, true, "", nil
}

// deviceByDefault: another engine allows it beyond the rules, as it documents.
func (h *held) deviceByDefault(rules []specs.LinuxDeviceCgroup, a access) bool {
	return len(h.devicesAllowed) > 0 && wantDevice(append(slices.Clip(rules), h.devicesAllowed...), a)
}

func allows(yes bool) string {
	if yes {
		return "allowed"
	}
	return "denied"
}

// wantDevice is what the rules say of an access: each part is decided by the
// last rule that has it, and is denied if there is none.
func wantDevice(rules []specs.LinuxDeviceCgroup, a access) bool {
	matches := func(want *int64, n uint32) bool { return want == nil || *want < 0 || *want == int64(n) }
	for _, part := range a.parts {
		allowed := false
		for i := range rules {
			r := &rules[i]
			if (r.Type == "" || r.Type == "a" || r.Type == a.kind) && matches(r.Major, a.major) && matches(r.Minor, a.minor) &&
				(r.Access == "" || strings.ContainsRune(r.Access, part)) {
				allowed = r.Allow
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// devicePrograms reads the programs that are in effect in a cgroup, its own and
// those of its ancestors: an access must be allowed by all of them. Without any
// everything is allowed.
func devicePrograms(dir string, n *deviceNumbers) (any, func(access) (bool, error), error) {
	f, err := os.OpenFile(dir, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	const effective = 1 // BPF_F_QUERY_EFFECTIVE
	q, err := link.QueryPrograms(link.QueryOptions{Target: int(f.Fd()), Attach: ebpf.AttachCGroupDevice, QueryFlags: effective})
	if err != nil {
		return nil, nil, fmt.Errorf("device programs of %s: %w", dir, err)
	}
	var programs [][]byte
	for _, p := range q.Programs {
		code, err := instructions(p.ID)
		if err != nil {
			return nil, nil, fmt.Errorf("device program %d: %w", p.ID, err)
		}
		programs = append(programs, code)
		for _, c := range devicebpf.Constants(code) {
			n.add(&n.majors, c)
			n.add(&n.minors, c)
		}
	}
	decide := func(a access) (bool, error) {
		c := devicebpf.Context{Type: map[string]uint16{"b": 1, "c": 2}[a.kind], Major: a.major, Minor: a.minor}
		for _, p := range a.parts {
			c.Access |= map[rune]uint16{'m': 1, 'r': 2, 'w': 4}[p]
		}
		for _, p := range programs {
			if v, err := devicebpf.Run(p, c); err != nil || v == 0 {
				return false, err
			}
		}
		return true, nil
	}
	return fmt.Sprintf("%d programs", len(programs)), decide, nil
}

func instructions(id ebpf.ProgramID) ([]byte, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return nil, err
	}
	list, err := info.Instructions()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := list.Marshal(&b, binary.LittleEndian); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// devicesList reads devices.list of version 1. It shows what is allowed where
// the default is to deny, and nothing of what is denied where it is to allow
// (devcgroup_seq_show, security/device_cgroup.c); then there is no answer here.
func devicesList(dir string, n *deviceNumbers) (any, func(access) (bool, error), error) {
	b, err := os.ReadFile(filepath.Join(dir, "devices.list"))
	if err != nil {
		return nil, nil, err
	}
	text := strings.TrimSpace(string(b))
	if text == "a *:* rwm" {
		return text, nil, nil
	}
	type entry struct {
		kind, major, minor, parts string
	}
	var list []entry
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, nil, fmt.Errorf("devices.list: %q", line)
		}
		major, minor, _ := strings.Cut(f[1], ":")
		list = append(list, entry{f[0], major, minor, f[2]})
		for _, x := range []struct {
			to   *[]uint32
			text string
		}{{&n.majors, major}, {&n.minors, minor}} {
			if v, err := strconv.ParseUint(x.text, 10, 32); err == nil {
				n.add(x.to, uint32(v))
			}
		}
	}
	decide := func(a access) (bool, error) {
		for _, e := range list {
			same := func(pattern string, v uint32) bool {
				return pattern == "*" || pattern == strconv.FormatUint(uint64(v), 10)
			}
			if e.kind != a.kind || !same(e.major, a.major) || !same(e.minor, a.minor) {
				continue
			}
			if strings.Trim(a.parts, e.parts) == "" { // one entry must have all parts
				return true, nil
			}
		}
		return false, nil
	}
	return strings.ReplaceAll(text, "\n", ", "), decide, nil
}

// devicesByDefault judges a version 1 cgroup that allows what it does not deny:
// it says so, but not what it denies.
func devicesByDefault(rules []specs.LinuxDeviceCgroup, n *deviceNumbers) (any, bool, string, error) {
	const text = "a *:* rwm"
	for _, kind := range []string{"c", "b"} {
		for _, parts := range allParts {
			a := access{kind, n.majors[len(n.majors)-1], n.minors[len(n.minors)-1], parts}
			if !wantDevice(rules, a) {
				return text, false, fmt.Sprintf("%s is allowed by default, and should be denied", a), nil
			}
		}
	}
	return nil, false, "", errors.New("devices.list of version 1 does not show what is denied where the default is to allow")
}

// delegated looks whom the cgroup and the files of it that are for a delegatee
// belong to: user 0 of the workload's user namespace.
func (h *held) delegated() (any, bool, string, error) {
	uid, gid, err := h.root()
	if err != nil {
		return nil, false, "", err
	}
	b, err := os.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		return nil, false, "", err
	}
	for _, name := range append([]string{"."}, strings.Fields(string(b))...) {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(h.cfg.Cgroup.V2, name), &st); err != nil {
			if errors.Is(err, unix.ENOENT) && name != "." {
				continue // of a controller that is not enabled
			}
			return nil, false, "", err
		}
		if st.Uid != uid || st.Gid != gid {
			return fmt.Sprintf("%d:%d", st.Uid, st.Gid), false, fmt.Sprintf("%s belongs to %d:%d, not %d:%d", name, st.Uid, st.Gid, uid, gid), nil
		}
	}
	return fmt.Sprintf("%d:%d", uid, gid), true, "", nil
}

// root is user and group 0 of the workload's user namespace as the host sees
// them, or without a new one the ids that it will have.
func (h *held) root() (uid, gid uint32, err error) {
	l := h.req.Linux()
	if len(l.UIDMappings) == 0 {
		if h.req.Ext.KeepIDs {
			return uint32(os.Geteuid()), uint32(os.Getegid()), nil
		}
		return h.req.Process().User.UID, h.req.Process().User.GID, nil
	}
	zero := func(m []specs.LinuxIDMapping) (uint32, error) {
		for _, e := range m {
			if e.ContainerID == 0 {
				return e.HostID, nil
			}
		}
		return 0, errors.New("0 is not mapped in the workload's user namespace")
	}
	if uid, err = zero(l.UIDMappings); err == nil {
		gid, err = zero(l.GIDMappings)
	}
	return uid, gid, err
}
