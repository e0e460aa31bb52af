package oracle

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// taken are the fields that each part of a target brings, by the words of
// holdshort.enter.
var taken = map[string][]Field{
	"user":     {NSUser, UserParent, UserUIDMap, UserGIDMap, UserSetgroups, UserOwnerUID},
	"mount":    {NSMount},
	"pid":      {NSPID, NSPIDForChildren},
	"network":  {NSNet},
	"uts":      {NSUTS, UTSHostname, UTSDomainname},
	"ipc":      {NSIPC},
	"cgroupns": {NSCgroup},
	"time":     {NSTime, NSTimeForChildren, TimeMonotonic, TimeBoottime},

	"credentials": {UID, EUID, SUID, FSUID, GID, EGID, SGID, FSGID, Groups, CapBounding, CapPermitted, CapEffective, CapInheritable, CapAmbient, NoNewPrivs, Securebits},
	"limits": {
		RlimitCPU, RlimitFSize, RlimitData, RlimitStack, RlimitCore, RlimitRSS, RlimitNProc, RlimitNoFile, RlimitMemlock, RlimitAS, RlimitLocks,
		RlimitSigpending, RlimitMsgqueue, RlimitNice, RlimitRTPrio, RlimitRTTime, OOMScoreAdj,
	},
	"cgroup":  {CgroupV2, CgroupV1, CgroupFrozen},
	"seccomp": {SeccompMode, SeccompCount, SeccompFilters, SeccompArmed},
	"umask":   {FSUmask},
	"root":    {FSRoot, FSRootIsMountRoot, FSRootReadOnly, FSRootPropagation},
	"cwd":     {FSCwd, FSCwdUnderRoot},
}

const allOfIt = "user mount pid network uts ipc cgroupns time credentials limits cgroup seccomp umask root cwd"

// another is a process of which every field differs from the caller's.
func another() *posture.Posture {
	p := sample.Caller()
	for _, name := range slices.Sorted(maps.Keys(sample.Mutations)) {
		sample.Mutations[name](p)
	}
	p.FS.RootPropagation = posture.Known(posture.PropagationSlave) // a mutation makes it shared
	// All ids are the effective one's.
	i := &p.IDs
	i.UID, i.SUID, i.FSUID, i.GID, i.SGID, i.FSGID = i.EUID, i.EUID, i.EUID, i.EGID, i.EGID, i.EGID
	// Its children are where it is.
	p.Namespaces.PIDForChildren, p.Namespaces.TimeForChildren = p.Namespaces.PID, p.Namespaces.Time
	return p
}

func fieldsOf(parts string) []Field {
	var out []Field
	for p := range strings.FieldsSeq(parts) {
		out = append(out, taken[p]...)
	}
	slices.Sort(out)
	return out
}

func without(parts string) string {
	var rest []string
	for p := range strings.FieldsSeq(allOfIt) {
		if !slices.Contains(strings.Fields(parts), p) {
			rest = append(rest, p)
		}
	}
	return strings.Join(rest, " ")
}

// TestBeside: each part of the target brings its fields, and no others.
func TestBeside(t *testing.T) {
	const namespaces = "user mount pid network uts ipc cgroupns time"
	for name, tt := range map[string]struct{ ask, takes string }{
		"all of it":                    {`{"holdshort":{"enter":{"pid":7}}}`, allOfIt},
		"without credentials":          {`{"holdshort":{"enter":{"pid":7,"skip":["credentials"]}}}`, without("credentials")},
		"without limits":               {`{"holdshort":{"enter":{"pid":7,"skip":["limits"]}}}`, without("limits")},
		"without cgroup":               {`{"holdshort":{"enter":{"pid":7,"skip":["cgroup"]}}}`, without("cgroup")},
		"without seccomp":              {`{"holdshort":{"enter":{"pid":7,"skip":["seccomp"]}}}`, without("seccomp")},
		"without umask":                {`{"holdshort":{"enter":{"pid":7,"skip":["umask"]}}}`, without("umask")},
		"without cwd":                  {`{"holdshort":{"enter":{"pid":7,"skip":["cwd"]}}}`, without("cwd")},
		"only namespaces":              {`{"holdshort":{"enter":{"pid":7,"skip":["credentials","limits","cgroup","root","cwd","umask","seccomp"]}}}`, namespaces},
		"one kind of namespaces":       {`{"holdshort":{"enter":{"pid":7,"namespaces":["network"]}}}`, "network credentials limits cgroup seccomp umask"},
		"another kind":                 {`{"holdshort":{"enter":{"pid":7,"namespaces":["uts"]}}}`, "uts credentials limits cgroup seccomp umask"},
		"mounts":                       {`{"holdshort":{"enter":{"pid":7,"namespaces":["mount"]}}}`, "mount credentials limits cgroup seccomp umask root cwd"},
		"no namespaces":                {`{"holdshort":{"enter":{"pid":7,"namespaces":[]}}}`, "credentials limits cgroup seccomp umask"},
		"one of its own":               {`{"holdshort":{"enter":{"pid":7}},"linux":{"namespaces":[{"type":"network"}]}}`, without("network")},
		"a mount namespace of its own": {`{"holdshort":{"enter":{"pid":7}},"linux":{"namespaces":[{"type":"mount"}]}}`, without("mount root cwd")},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustParse(t, merge(t, plainRequest, tt.ask))
			caller, target := sample.Caller(), another()
			caller.Capabilities.Effective = posture.Known(sample.AllCaps &^ (1 << 24)) // or the score moves its floor
			p := Beside(caller, target, r)
			takes := fieldsOf(tt.takes)
			for f := range NumFields {
				if f.Equal(caller, target) {
					t.Fatalf("%s does not differ", f)
				}
				from, name := caller, "caller"
				if slices.Contains(takes, f) {
					from, name = target, "target"
				}
				if known, _ := f.Known(p); !known && !(f == FSRootPropagation && name == "caller") || known && !f.Equal(p, from) {
					t.Errorf("%s is %v, want the %s's: %v", f, f.Value(p), name, f.Value(from))
				}
			}
			for f := range NumFields {
				is := slices.Contains(takes, f)
				changed := *target
				sample.Mutations[f.String()](&changed)
				g, same := Same(target, &changed, r)
				if same == is && !derived(f) || !same && g != f && !derived(g) {
					t.Errorf("after a change of %s: same %v, in %s", f, same, g)
				}
			}
			if _, same := Same(target, another(), r); !same {
				t.Error("a posture is not the same as itself")
			}
		})
	}
}

// derived are those that Beside makes of another field of the target.
func derived(f Field) bool {
	return slices.Contains([]Field{NSPIDForChildren, NSTimeForChildren, UID, SUID, FSUID, GID, SGID, FSGID, SeccompMode, SeccompArmed}, f)
}

// Ids become the effective ones, and children are born where the target is.
func TestBeside_Derived(t *testing.T) {
	target := another()
	onTop(t, target, `{"ids":{"uid":1,"euid":2,"suid":3,"fsuid":4,"gid":5,"egid":6,"sgid":7,"fsgid":8},
		"namespaces":{"pid":{"inode":1},"pid_for_children":{"inode":2},"time":{"inode":3},"time_for_children":{"inode":4}}}`)
	p := Beside(sample.Caller(), target, mustParse(t, merge(t, plainRequest, `{"holdshort":{"enter":{"pid":7}}}`)))
	for f, want := range map[Field]any{
		UID: uint32(2), EUID: uint32(2), SUID: uint32(2), FSUID: uint32(2), GID: uint32(6), EGID: uint32(6), SGID: uint32(6), FSGID: uint32(6),
		NSPIDForChildren: posture.Namespace{Inode: 1}, NSTimeForChildren: posture.Namespace{Inode: 3},
	} {
		if got := f.Value(p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", f, got, want)
		}
	}
}

// What is not known of the target cannot be expected of the workload.
func TestUnread(t *testing.T) {
	for ask, takes := range map[string]string{
		`{"holdshort":{"enter":{"pid":7}}}`:                             allOfIt,
		`{"holdshort":{"enter":{"pid":7,"skip":["seccomp","limits"]}}}`: without("seccomp limits"),
		`{"holdshort":{"enter":{"pid":7,"namespaces":["network"]}}}`:    "network credentials limits cgroup seccomp umask",
	} {
		r := mustParse(t, merge(t, plainRequest, ask))
		if got := Unread(another(), r); len(got) > 0 {
			t.Errorf("%s: %v are not read", ask, got)
		}
		target := another()
		for f := range NumFields {
			f.Forget(target, "x")
		}
		if got := Unread(target, r); !slices.Equal(got, fieldsOf(takes)) {
			t.Errorf("%s: %v are not read, want %v", ask, got, fieldsOf(takes))
		}
		target = another()
		Groups.Forget(target, "x")
		if got := Unread(target, r); !slices.Equal(got, []Field{Groups}) {
			t.Errorf("%s: %v are not read", ask, got)
		}
		if g, same := Same(target, another(), r); same || g != Groups {
			t.Errorf("known is the same as unknown: %s", g)
		}
		if _, same := Same(target, target, r); !same {
			t.Error("unknown is not the same as unknown")
		}
	}
}
