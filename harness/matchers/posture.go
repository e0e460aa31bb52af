package matchers

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
)

// HavePosture succeeds if a field of the posture, named as in reports
// ("ids.uid", "rlimits.nofile"), matches: want is a matcher or a value to be
// equal to.
func HavePosture(field string, want any) types.GomegaMatcher {
	m, ok := want.(types.GomegaMatcher)
	if !ok {
		m = gomega.BeEquivalentTo(want)
	}
	var p *posture.Posture
	var got any
	return &matcher{
		match: func(actual any) (ok bool, err error) {
			if p, err = first(actual); err != nil {
				return false, err
			}
			i := slices.IndexFunc(posture.Fields(), func(f posture.Field) bool { return f.Path == field })
			if i < 0 {
				return false, fmt.Errorf("a posture has no field %q", field)
			}
			f := posture.Fields()[i]
			if !f.Known(p) {
				return false, fmt.Errorf("%s could not be read: %s", field, f.Why(p))
			}
			got = f.Value(p)
			return m.Match(got)
		},
		say: func(to bool) string {
			return fmt.Sprintf("%s have had at its first instruction %s:", should(to), field)
		},
		saw: func(to bool) string {
			if !to {
				return indent(m.NegatedFailureMessage(got))
			}
			return indent(m.FailureMessage(got))
		},
	}
}

// HaveCapabilities succeeds if exactly these capabilities are effective, by
// name with or without CAP_.
func HaveCapabilities(names ...string) types.GomegaMatcher {
	var got posture.CapSet
	want, bad := checkpoint.ParseCapSet(names...)
	return &matcher{
		match: func(actual any) (bool, error) {
			if bad != nil {
				return false, bad
			}
			p, err := first(actual)
			if err != nil {
				return false, err
			}
			if got, err = known("capabilities.effective", p.Capabilities.Effective); err != nil {
				return false, err
			}
			return got == posture.CapSet(want), nil
		},
		say: func(to bool) string {
			return fmt.Sprintf("%s have had exactly these capabilities in effect:\n    %s", should(to), posture.CapSet(want))
		},
		saw: func(bool) string {
			return fmt.Sprintf("  it had\n    %s%s%s", got, difference("\n  too many:\n    ", got&^posture.CapSet(want)), difference("\n  missing:\n    ", posture.CapSet(want)&^got))
		},
	}
}

func difference(words string, s posture.CapSet) string {
	if s == 0 {
		return ""
	}
	return words + s.String()
}

// HaveNoCapabilities succeeds if no capability is effective, permitted,
// inheritable or ambient, and none can be had back by executing a program: the
// bounding set is empty.
func HaveNoCapabilities() types.GomegaMatcher {
	var left []string
	return &matcher{
		match: func(actual any) (bool, error) {
			p, err := first(actual)
			if err != nil {
				return false, err
			}
			left = nil
			for _, s := range []struct {
				name string
				v    posture.Value[posture.CapSet]
			}{
				{"effective", p.Capabilities.Effective},
				{"permitted", p.Capabilities.Permitted},
				{"inheritable", p.Capabilities.Inheritable},
				{"ambient", p.Capabilities.Ambient},
				{"bounding", p.Capabilities.Bounding},
			} {
				set, err := known("capabilities."+s.name, s.v)
				if err != nil {
					return false, err
				}
				if set != 0 {
					left = append(left, s.name+": "+set.String())
				}
			}
			return len(left) == 0, nil
		},
		say: func(to bool) string { return should(to) + " have been without capabilities" },
		saw: func(bool) string {
			if len(left) == 0 {
				return ""
			}
			return "  it had\n    " + strings.Join(left, "\n    ")
		},
	}
}

// BeInNewNamespaces succeeds if the workload is in other namespaces of these
// kinds ("user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time") than the
// calling process.
func BeInNewNamespaces(kinds ...string) types.GomegaMatcher {
	var same []string
	return &matcher{
		match: func(actual any) (bool, error) {
			p, err := first(actual)
			if err != nil {
				return false, err
			}
			same = nil
			for _, k := range kinds {
				n, err := namespace(p, k)
				if err != nil {
					return false, err
				}
				own, err := ownNamespace(k)
				if err != nil {
					return false, err
				}
				if n == own {
					same = append(same, k)
				}
			}
			return len(same) == 0, nil
		},
		say: func(to bool) string {
			return fmt.Sprintf("%s have been in new namespaces: %s", should(to), strings.Join(kinds, " "))
		},
		saw: func(bool) string {
			if len(same) == 0 {
				return ""
			}
			return "  it was in this process's own: " + strings.Join(same, " ")
		},
	}
}

func namespace(p *posture.Posture, kind string) (uint32, error) {
	for _, f := range posture.Fields() {
		if f.Path != "namespaces."+kind {
			continue
		}
		if n, ok := f.Value(p).(posture.Namespace); ok {
			return n.Inode, nil
		}
		return 0, fmt.Errorf("%s could not be read: %s", f.Path, f.Why(p))
	}
	return 0, fmt.Errorf("there is no kind of namespace %q", kind)
}

func ownNamespace(kind string) (uint32, error) {
	s, err := os.Readlink("/proc/self/ns/" + kind) // "net:[4026531840]"
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.Trim(s[strings.IndexByte(s, ':')+1:], "[]"), 10, 32)
	return uint32(n), err
}

// HaveNoLeakedFDs succeeds if the workload had open what it was given and
// nothing else: 0, 1 and 2 with a bare posture, what the request passes with a
// report.
func HaveNoLeakedFDs() types.GomegaMatcher {
	var open posture.Files
	var more []string
	return &matcher{
		match: func(actual any) (bool, error) {
			p, err := first(actual)
			if err != nil {
				return false, err
			}
			if open, err = known("files", p.Files); err != nil {
				return false, err
			}
			passed := int32(3)
			if r, err := report(actual); err == nil && r.Config != nil {
				passed += int32(r.Config.Ext.PassFDs)
			}
			more = nil
			for _, f := range open.Open {
				if f.FD >= passed {
					more = append(more, f.String())
				}
			}
			if open.Truncated > 0 {
				more = append(more, fmt.Sprintf("and %d that were not looked at", open.Truncated))
			}
			return len(more) == 0, nil
		},
		say: func(to bool) string {
			if !to {
				return "should have had more descriptors than it was given"
			}
			return "should have had only the descriptors that it was given"
		},
		saw: func(bool) string {
			if len(more) == 0 {
				return fmt.Sprintf("  it had %d, all of them given", len(open.Open))
			}
			return "  it had also\n    " + strings.Join(more, "\n    ")
		},
	}
}

// RunAs succeeds if all four user and all four group ids are these, as seen
// from the initial user namespace.
func RunAs(uid, gid uint32) types.GomegaMatcher {
	var got string
	return &matcher{
		match: func(actual any) (bool, error) {
			p, err := first(actual)
			if err != nil {
				return false, err
			}
			i, ok := &p.IDs, true
			var words []string
			for _, v := range []struct {
				name string
				v    posture.Value[uint32]
				want uint32
			}{
				{"uid", i.UID, uid},
				{"euid", i.EUID, uid},
				{"suid", i.SUID, uid},
				{"fsuid", i.FSUID, uid},
				{"gid", i.GID, gid},
				{"egid", i.EGID, gid},
				{"sgid", i.SGID, gid},
				{"fsgid", i.FSGID, gid},
			} {
				id, err := known("ids."+v.name, v.v)
				if err != nil {
					return false, err
				}
				ok = ok && id == v.want
				words = append(words, v.name+" "+strconv.FormatUint(uint64(id), 10))
			}
			got = strings.Join(words, ", ")
			return ok, nil
		},
		say: func(to bool) string { return fmt.Sprintf("%s have run as user %d, group %d", should(to), uid, gid) },
		saw: func(bool) string { return "  it ran as " + got },
	}
}

// HaveNoNewPrivs succeeds if execve can give the workload no privileges.
func HaveNoNewPrivs() types.GomegaMatcher { return HavePosture("privilege.no_new_privs", true) }

// BeFiltered succeeds if the workload's system calls go through a seccomp
// filter. Whether it is the right one is a question for [BeConstrained].
func BeFiltered() types.GomegaMatcher { return HavePosture("seccomp.mode", 2) }
