package historic

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Supplementary groups that are missing, or should not be there. A group that is
// missing is no gain only at first sight: files that a group may not read ("g-r")
// can then be read as others.
func groupRows() []Row {
	const state = "the user's primary group is missing from the supplementary groups"
	const without = "setgroups(2) without the primary group"
	fewer := Finds{"ids.groups": oracle.Stronger}
	return []Row{
		{
			Number: 12, ID: "CVE-2022-2989", Where: "podman before September 2022", Title: state, How: without, Finds: fewer,
			Ask: inGroups(user, false, user, 20), Do: groupsOf(user, without1, user, 20),
		},
		{
			Number: 13, ID: "CVE-2022-2990", Where: "buildah before September 2022", Title: state + ", in the steps of a build", How: "the same, for user 0", Finds: fewer,
			Ask: inGroups(0, false, 0, 20), Do: groupsOf(0, without1, 0, 20),
		},
		{
			Number: 14, ID: "CVE-2022-2995", Where: "cri-o before September 2022", Title: state, How: "setgroups(2) with no group at all", Finds: Finds{"ids.groups": oracle.Ignored},
			Ask: inGroups(user, false, user), Do: groupsOf(user, without1, user),
		},
		{
			Number: 15, ID: "CVE-2022-36109", Where: "moby before 20.10.18", Title: state, How: "setgroups(2) without the primary group, and the engine's caller has other groups", Finds: fewer,
			Ask: func(s *Scene) { inGroups(user, false, user, 20, 21)(s); s.CallerGroups(4, 24) }, Do: groupsOf(user, without1, user, 20, 21),
		},
		{
			Number: 16, ID: "CVE-2023-25173", Where: "containerd before 1.5.18 and 1.6.18", Title: state, How: "the same in a new user namespace", Finds: fewer,
			Ask: func(s *Scene) { inUserNS(s, user, user, 20) },
			Do: func(e *Engine) error {
				groups := []uint32{user, 20}
				if e.Wrong {
					groups = groups[1:]
				}
				return e.inUserNS(&syscall.Credential{Uid: user, Gid: user, Groups: groups})
			},
		},
		{
			Number: 17, ID: "containers/podman 25610", Where: "podman exec before 2.1.0 and 5.5.0", Title: "what is executed in a running container lacks groups that the container's own process has",
			How: "setgroups(2) with no group, after setns(2)", Finds: Finds{"ids.groups": oracle.Ignored},
			Ask: inGroups(user, true, 20, 30), Do: groupsOf(user, func([]int) []int { return nil }, 20, 30),
		},
		{
			Number: 18, ID: "crun 0.19.1", Where: "crun exec before 0.19.1", Title: "what is executed in a running container has the groups of the container's own process, and not those of its own configuration",
			How: "setgroups(2) with what /proc/PID/status has of the container", Finds: Finds{"ids.groups": oracle.Weaker},
			Ask: func(s *Scene) {
				s.JoinWith(&syscall.Credential{Groups: []uint32{50, 51}})
				inGroups(user, false, 20)(s)
			},
			Do: func(e *Engine) error {
				i := box(user)
				i.Groups = []int{20}
				if e.Wrong {
					var err error
					if i.Groups, err = groupsOfProcess(e.Container); err != nil {
						return err
					}
				}
				return i.become()
			},
		},
		{
			Number: 19, ID: "opencontainers/runc 04da969aa", Where: "runc before 0.1.0", Title: "the supplementary groups of the host survive in a new user namespace",
			How: "no setgroups(2) after CLONE_NEWUSER", Finds: Finds{"ids.groups": oracle.Ignored},
			Ask: func(s *Scene) { inUserNS(s, 0); s.CallerGroups(4, 24) },
			Do: func(e *Engine) error {
				return e.inUserNS(&syscall.Credential{NoSetGroups: e.Wrong})
			},
		},
	}
}

// CallerGroups starts the engine with supplementary groups.
func (s *Scene) CallerGroups(groups ...uint32) {
	s.attributes().Credential = &syscall.Credential{Groups: groups}
}

func without1(groups []int) []int { return groups[1:] }

func inGroups(uid uint32, exec bool, groups ...int) func(*Scene) {
	return func(s *Scene) {
		s.Helper()
		if exec {
			s.Join()
		}
		i := box(uid)
		i.Groups = groups
		i.ask(s)
	}
}

func groupsOf(uid uint32, wrong func([]int) []int, groups ...int) func(*Engine) error {
	return func(e *Engine) error {
		i := box(uid)
		if i.Groups = groups; e.Wrong {
			i.Groups = wrong(slices.Clone(groups))
		}
		return i.become()
	}
}

func groupsOfProcess(pid int) ([]int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	var out []int
	for l := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(l, "Groups:"); ok {
			for f := range strings.FieldsSeq(list) {
				g, err := strconv.Atoi(f)
				if err != nil {
					return nil, err
				}
				out = append(out, g)
			}
		}
	}
	return out, nil
}

// idMap is that of the user namespaces here.
var idMap = syscall.SysProcIDMap{HostID: 100000, Size: 65536}

// inUserNS asks for a user namespace and a user in it.
func inUserNS(s *Scene, id uint32, groups ...uint32) {
	l, p := s.Request.Spec.Linux, s.Request.Spec.Process
	l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	l.UIDMappings = []specs.LinuxIDMapping{{HostID: uint32(idMap.HostID), Size: uint32(idMap.Size)}}
	l.GIDMappings = l.UIDMappings
	s.Request.Ext.KeepIDs = false
	p.User = specs.User{UID: id, GID: id, AdditionalGids: groups}
}

// inUserNS executes the program in a new user namespace.
func (e *Engine) inUserNS(c *syscall.Credential) error {
	if e.Stage > 0 {
		return nil
	}
	x, err := e.child(syscall.CLONE_NEWUSER)
	if err != nil {
		return err
	}
	a := x.SysProcAttr
	a.UidMappings, a.GidMappings = []syscall.SysProcIDMap{idMap}, []syscall.SysProcIDMap{idMap}
	a.GidMappingsEnableSetgroups, a.Credential = true, c
	if err := x.Start(); err != nil {
		return err
	}
	return e.wait(x)
}
