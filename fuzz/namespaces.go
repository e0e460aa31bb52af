package fuzz

import (
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ns(name string, kind specs.LinuxNamespaceType, can func(*Machine) bool, more func(*drawer)) dimension {
	return dimension{
		name: name, can: can,
		draw: func(d *drawer) {
			l := d.r.Spec.Linux
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind})
			if more != nil {
				more(d)
			}
		},
		has: func(r *request.Request) bool { return r.Namespace(kind).Fresh() },
	}
}

func shape(name string, is func(m []specs.LinuxIDMapping) bool) dimension {
	return dimension{
		name: name, needs: []string{"ns user"},
		has: func(r *request.Request) bool { m := r.Linux().UIDMappings; return len(m) > 0 && is(m) },
	}
}

func offset(m []specs.LinuxIDMapping) bool {
	for _, e := range m {
		if e.ContainerID == 0 {
			return false
		}
	}
	return true
}

var namespaces = []dimension{
	ns("ns user", specs.UserNamespace, func(m *Machine) bool { return m.UserNS }, idMaps),
	shape("id map, one line", func(m []specs.LinuxIDMapping) bool { return len(m) == 1 }),
	shape("id map, several lines", func(m []specs.LinuxIDMapping) bool { return len(m) > 1 }),
	shape("id map, single id", func(m []specs.LinuxIDMapping) bool { return len(m) == 1 && m[0].Size == 1 }),
	shape("id map, without 0", offset),
	ns("ns mnt", specs.MountNamespace, root, nil),
	ns("ns pid", specs.PIDNamespace, root, nil),
	{
		name: "init", needs: []string{"ns pid"},
		draw: func(d *drawer) { d.r.Ext.Init = true },
		has:  func(r *request.Request) bool { return r.Ext.Init },
	},
	{
		name: "ns net", can: root,
		draw: func(d *drawer) {
			n := specs.LinuxNamespace{Type: specs.NetworkNamespace}
			if d.wanted == 1 {
				n.Path = PooledNet(d.m.Dir)
			}
			d.r.Spec.Linux.Namespaces = append(d.r.Spec.Linux.Namespaces, n)
		},
		has: func(r *request.Request) bool { return r.Namespace(specs.NetworkNamespace).Asked },
	},
	ns("ns uts", specs.UTSNamespace, root, nil),
	ns("ns ipc", specs.IPCNamespace, root, nil),
	ns("ns cgroup", specs.CgroupNamespace, root, nil),
	ns("ns time", specs.TimeNamespace, func(m *Machine) bool { return m.Root && m.TimeNS }, nil),
	{
		name: "hostname", needs: []string{"ns uts"},
		draw: func(d *drawer) { d.r.Spec.Hostname = d.word(1, 64) },
		has:  func(r *request.Request) bool { return r.Spec.Hostname != "" },
	},
	{
		name: "domainname", needs: []string{"ns uts"},
		draw: func(d *drawer) { d.r.Spec.Domainname = d.word(1, 64) },
		has:  func(r *request.Request) bool { return r.Spec.Domainname != "" },
	},
	{
		name: "time offsets", needs: []string{"ns time"},
		draw: func(d *drawer) {
			// Forward only: no clock may be set before its zero.
			o := map[string]specs.LinuxTimeOffset{}
			clocks := some(d, 60, []string{"monotonic", "boottime"})
			for _, c := range clocks {
				o[c] = specs.LinuxTimeOffset{Secs: int64(d.in(0, 1<<30)), Nanosecs: uint32(d.in(1, 999_999_999))}
			}
			d.r.Spec.Linux.TimeOffsets = o
		},
		has: func(r *request.Request) bool { return len(r.Linux().TimeOffsets) > 0 },
	},
}

// PooledNet is the path by which a request asks for a network namespace that is
// there already, from a pool: the launcher of a campaign puts that of a free one
// in its place. dir is [Machine].Dir.
func PooledNet(dir string) string { return dir + "/netns/pooled" }

// idMaps draws both maps, of one shape but not always the same.
func idMaps(d *drawer) {
	l := d.r.Spec.Linux
	base := uint32(100000 + 65536*d.in(0, 50))
	switch d.choose(5) {
	case 0: // one line
		n := uint32(pick(d, 2, 1000, 65536))
		l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: base, Size: n}}
		l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: base, Size: n}}
	case 1: // several lines, the outside ids in another order than the inside ones; more than 16 cannot be observed
		lines := func(n int) []specs.LinuxIDMapping {
			var m []specs.LinuxIDMapping
			in := uint32(0)
			for i := range n {
				size := uint32(d.in(1, 1000))
				m = append(m, specs.LinuxIDMapping{ContainerID: in, HostID: base + uint32(n-i)*2000, Size: size})
				in += size + uint32(d.in(0, 3))
			}
			return m
		}
		l.UIDMappings, l.GIDMappings = lines(pick(d, 2, 3, 5, 6, 16)), lines(pick(d, 2, 4, 5, 12, 16))
	case 2, 5: // a single id
		id := uint32(pick(d, 0, 0, 1000))
		if v, ok := d.chosen(); ok {
			id = map[int]uint32{2: 0, 5: 1000}[v]
		}
		host := uint32(pick(d, 0, 1000, int(base)))
		l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: id, HostID: host, Size: 1}}
		l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: id, HostID: host, Size: 1}}
	case 3: // no user 0 inside
		first := uint32(d.in(1, 5000))
		l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: first, HostID: base, Size: uint32(d.in(1, 1000))}}
		l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: first + 7, HostID: base, Size: uint32(d.in(1, 1000))}}
	default: // the machine's own ids
		l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 65536}}
		l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 65536}}
	}
}

const letters = "abcdefghijklmnopqrstuvwxyz0123456789"

// word is a name of lo to hi letters and digits.
func (d *drawer) word(lo, hi int) string {
	var b strings.Builder
	for range d.in(lo, hi) {
		b.WriteByte(letters[d.IntN(len(letters))])
	}
	return b.String()
}
