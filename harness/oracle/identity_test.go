package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestSpeculate(t *testing.T) {
	for name, tt := range map[string]struct {
		before uint32
		ask    request.Speculation
		want   uint32
	}{
		"nothing":                  {0b101000, request.Speculation{}, 0b101000},
		"store bypass":             {0, request.Speculation{StoreBypass: "disable"}, 1 << 3},
		"store bypass, for good":   {0, request.Speculation{StoreBypass: "force-disable"}, 1<<3 | 1<<4},
		"indirect branch":          {1 << 3, request.Speculation{IndirectBranch: "disable"}, 1<<3 | 1<<5},
		"both":                     {0, request.Speculation{StoreBypass: "disable", IndirectBranch: "force-disable"}, 1<<3 | 1<<5 | 1<<6},
		"allowed again":            {1<<3 | 1<<5, request.Speculation{StoreBypass: "enable"}, 1 << 5},
		"the cache is no flag":     {0, request.Speculation{L1DFlush: "enable"}, 0},
		"indirect branch, allowed": {1 << 5, request.Speculation{IndirectBranch: "enable"}, 0},
	} {
		if got := speculate(tt.before, &tt.ask); got != tt.want {
			t.Errorf("%s: %#b; want %#b", name, got, tt.want)
		}
	}
}

// A joined user namespace in which the caller's ids are kept: what is left
// after execve depends on whom its map makes root.
func TestJoinedUserNamespaceWithKeptIDs(t *testing.T) {
	const text = `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":""},
		"linux":{"namespaces":[{"type":"user","path":"/proc/5/ns/user"}]},"holdshort":{"keepIDs":true}}`
	e := Expect(mustParse(t, text), sample.Caller(), testFeatures)
	seen := func(caps posture.CapSet, dumpable uint32) *posture.Posture {
		p := e.Sample()
		p.Capabilities.Permitted, p.Capabilities.Effective = posture.Known(caps), posture.Known(caps)
		p.Capabilities.Bounding = posture.Known(sample.AllCaps)
		p.Privilege.Dumpable = posture.Known(dumpable)
		p.IDs.UID = posture.Known[uint32](0)
		return p
	}
	for name, tt := range map[string]struct {
		m     posture.Value[[]posture.IDExtent]
		holds posture.CapSet
		fails posture.CapSet
	}{
		"the caller is root there": {posture.Known([]posture.IDExtent{{Count: 1000}}), sample.AllCaps, 0},
		"somebody else is":         {posture.Known([]posture.IDExtent{{Host: 100000, Count: 65536}}), 0, sample.AllCaps},
		"nobody is":                {posture.Known([]posture.IDExtent{{Inside: 7, Host: 0, Count: 1}}), 0, sample.AllCaps},
	} {
		t.Run(name, func(t *testing.T) {
			f := testFacts()
			f.Joined.UserNS.UIDMap, f.Joined.UserNS.GIDMap = tt.m, tt.m
			x := e.With(f)
			for _, field := range []Field{CapPermitted, CapEffective} {
				if o, why := x.Compare(field, seen(tt.holds, 1)); o != Equal {
					t.Errorf("%s: %s %s, want %v", field, o, why, x.Want(field))
				}
				if o, _ := x.Compare(field, seen(tt.fails, 1)); !o.Finding() {
					t.Errorf("%s: %s for a wrong set", field, o)
				}
			}
			for _, field := range []Field{CapBounding, Dumpable, UID, EUID} {
				if o, why := x.Compare(field, seen(tt.holds, 1)); o != Equal {
					t.Errorf("%s: %s %s, want %v", field, o, why, x.Want(field))
				}
			}
		})
	}
	if o, _ := e.With(testFacts()).Compare(CapEffective, seen(0, 1)); o != Unobservable {
		t.Errorf("without the map it is %s", o)
	}
}

// As many lines as the kernel takes.
func TestLongIDMap(t *testing.T) {
	const lines = 340 // UID_GID_MAP_MAX_EXTENTS
	r := request.New("/bin/true")
	r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	var seen []posture.IDExtent
	for i := range uint32(lines) {
		r.Spec.Linux.UIDMappings = append(r.Spec.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 3 * i, HostID: 100000 + 7*i, Size: 2})
		seen = append([]posture.IDExtent{{Inside: 3 * i, Host: 100000 + 7*i, Count: 2}}, seen...) // the kernel may reorder
	}
	r.Spec.Linux.GIDMappings = r.Spec.Linux.UIDMappings
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	e := Expect(r, sample.Caller(), testFeatures).With(testFacts())
	p := e.Sample()
	p.UserNS.UIDMap = posture.Known(seen)
	if o, why := e.Compare(UserUIDMap, p); o != Equal {
		t.Errorf("%s %s", o, why)
	}
	seen[200].Host++
	if o, _ := e.Compare(UserUIDMap, p); !o.Finding() {
		t.Error("a wrong line is not found")
	}
}
