package oracle

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// alter is a posture that is not what was asked for, in one field.
type alter struct {
	field Field
	do    func(p, caller *posture.Posture)
}

// relaxation is one thing that is not held against an engine.
type relaxation struct {
	profile Profile // nothing but what is set here is relaxed
	request string  // of sample.Requests, or a text
	// fields are those of which a difference may be no finding now.
	fields []Field
	// allowed is then no finding, but is one without the profile.
	allowed []alter
	// beyond is more than was relaxed, and a finding all the same.
	beyond []alter
}

func put32(at func(*posture.Posture) *posture.Value[uint32], n uint32) func(p, _ *posture.Posture) {
	return func(p, _ *posture.Posture) { *at(p) = posture.Known(n) }
}

const (
	bareRequest = `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/","env":["A=b"]},"holdshort":{"keepIDs":true}}`
	pidRequest  = `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/"},"linux":{"namespaces":[{"type":"pid"}]},"holdshort":{"keepIDs":true}}`
	userRequest = `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/"},"linux":{"namespaces":[{"type":"user"},{"type":"network"}],
		"uidMappings":[{"containerID":0,"hostID":1000,"size":1}],"gidMappings":[{"containerID":0,"hostID":1000,"size":1}]}}`
	capsRequest = `{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/","noNewPrivileges":true,
		"capabilities":{"bounding":["CAP_KILL"],"permitted":["CAP_KILL"],"effective":["CAP_KILL"]}},"holdshort":{"keepIDs":true}}`
)

func env(kv ...string) func(p, _ *posture.Posture) {
	return func(p, _ *posture.Posture) { p.Exec.Env = posture.Known(kv) }
}

func pidInside(n uint32) func(p, _ *posture.Posture) {
	return put32(func(p *posture.Posture) *posture.Value[uint32] { return &p.Process.PIDInside }, n)
}

func withFilters(mode, count uint32) func(p, _ *posture.Posture) {
	return func(p, _ *posture.Posture) {
		p.Seccomp = posture.Seccomp{Mode: posture.Known(mode), Count: posture.Known(count), Armed: posture.Known(mode != 0), Filters: posture.Known(make([]posture.Filter, count))}
	}
}

func bounding(set posture.CapSet) func(p, _ *posture.Posture) {
	return func(p, _ *posture.Posture) { p.Capabilities.Bounding = posture.Known(set) }
}

// putStream is with another file as one of the standard streams.
func putStream(p *posture.Posture, f posture.File) {
	now, _ := p.Files.Get()
	open := slices.Clone(now.Open)
	open[f.FD] = f
	p.Files = posture.Known(posture.Files{Open: open})
}

// deeper puts the workload into a user namespace below the one that it asked
// for.
func deeper(level uint32) func(p, _ *posture.Posture) {
	return func(p, _ *posture.Posture) {
		ns, _ := p.Namespaces.User.Get()
		ns.Inode, ns.Level = ns.Inode+100, level
		p.Namespaces.User = posture.Known(ns)
	}
}

func ownedBy(inode uint32) func(p, _ *posture.Posture) {
	return func(p, _ *posture.Posture) {
		ns, _ := p.Namespaces.Net.Get()
		ns.Owner = inode
		p.Namespaces.Net = posture.Known(ns)
	}
}

func pdeathsig(n uint32) func(p, _ *posture.Posture) {
	return put32(func(p *posture.Posture) *posture.Value[uint32] { return &p.Privilege.Pdeathsig }, n)
}

// relaxations has a row for every field of Profile, by its name.
func relaxations() map[string]relaxation {
	stream := func(fd int32, mode uint32, ino uint64) func(p, _ *posture.Posture) {
		return func(p, _ *posture.Posture) {
			putStream(p, posture.File{FD: fd, Mode: mode, Inode: posture.Inode{Dev: 1, Ino: ino}})
		}
	}
	callerUser, _ := engineCaller().Namespaces.User.Get()
	return map[string]relaxation{
		"EnvAdds": {
			profile: Profile{EnvAdds: []string{"HOME", "TERM"}}, request: bareRequest, fields: nil,
			allowed: []alter{{ExecEnv, env("A=b", "HOME=/")}, {ExecEnv, env("TERM=x", "A=b", "HOME=/root")}},
			beyond:  []alter{{ExecEnv, env("A=c", "HOME=/")}, {ExecEnv, env("HOME=/")}, {ExecEnv, env("A=b", "HOMES=/")}, {ExecEnv, env("A=b", "HOME=/", "SECRET=1")}, {ExecEnv, env("A=b", "A=c")}},
		},
		"AlwaysNoNewPrivs": {
			profile: Profile{AlwaysNoNewPrivs: true}, request: bareRequest, fields: []Field{NoNewPrivs},
			allowed: []alter{{NoNewPrivs, func(p, _ *posture.Posture) { p.Privilege.NoNewPrivs = posture.Known(true) }}},
		},
		"AlwaysPdeathsig": {
			profile: Profile{AlwaysPdeathsig: true}, request: bareRequest, fields: nil,
			allowed: []alter{{Pdeathsig, pdeathsig(9)}}, beyond: []alter{{Pdeathsig, pdeathsig(15)}, {Pdeathsig, pdeathsig(10)}},
		},
		"AlwaysFilters": {
			profile: Profile{AlwaysFilters: true}, request: bareRequest, fields: nil,
			allowed: []alter{{SeccompCount, withFilters(2, 3)}, {SeccompMode, withFilters(2, 1)}, {SeccompFilters, withFilters(2, 1)}},
			beyond:  []alter{{SeccompMode, withFilters(1, 0)}, {SeccompMode, withFilters(1, 1)}, {SeccompArmed, func(p, c *posture.Posture) { withFilters(2, 1)(p, c); p.Seccomp.Armed = posture.Known(false) }}},
		},
		"Init": {
			profile: Profile{Init: true}, request: pidRequest, fields: []Field{ProcessPIDInside},
			allowed: []alter{{ProcessPIDInside, pidInside(2)}, {ProcessPIDInside, pidInside(16)}},
			beyond:  []alter{{ProcessPIDInside, pidInside(17)}, {ProcessPIDInside, pidInside(0)}},
		},
		"NestedUserNS": {
			profile: Profile{NestedUserNS: true}, request: userRequest, fields: []Field{UserParent, UserOwnerUID},
			allowed: []alter{{NSNet, ownedBy(callerUser.Inode + 5)}},
			beyond: []alter{
				{NSUser, func(p, c *posture.Posture) { p.Namespaces.User = c.Namespaces.User }},
				{NSUser, deeper(0)},
				{NSNet, ownedBy(callerUser.Inode)},
				{NSNet, func(p, c *posture.Posture) { p.Namespaces.Net = c.Namespaces.Net }},
			},
		},
		"CopiesStreams": {
			profile: Profile{CopiesStreams: true}, request: bareRequest, fields: nil,
			allowed: []alter{{OpenFiles, stream(1, unix.S_IFIFO, 5)}, {OpenFiles, stream(0, unix.S_IFSOCK, 5)}},
			beyond:  []alter{{OpenFiles, stream(1, unix.S_IFREG, 5)}, {OpenFiles, stream(2, unix.S_IFDIR, 5)}, {OpenFiles, stream(0, unix.S_IFBLK, 5)}},
		},
		"NoBounding": {
			profile: Profile{NoBounding: true}, request: capsRequest, fields: []Field{CapBounding},
			allowed: []alter{{CapBounding, bounding(sample.AllCaps)}, {CapBounding, bounding(1<<5 | 1<<12)}},
			beyond:  []alter{{CapBounding, bounding(sample.AllCaps | 1<<50)}},
		},
	}
}

// elsewhere are fields of Profile that the oracle does not look at, and the
// tests that do.
var elsewhere = map[string]string{
	"Name":          "reports",
	"Libseccomp":    "seccomp_prop_test.go, both dialects, and harness: TestFilterJudge",
	"NewerIsENOSYS": "TestNewerIsENOSYS, and harness: TestFilterJudge",
	"Devices":       "harness: TestMoreDevices",
	"Mounts":        "harness: TestUnaskedMounts",
}

// engineCaller is who starts an engine: with three files as standard streams.
func engineCaller() *posture.Posture {
	c := sample.Caller()
	c.Files = posture.Known(posture.Files{Open: []posture.File{
		{FD: 0, Mode: unix.S_IFCHR, Inode: posture.Inode{Dev: 5, Ino: 1}},
		{FD: 1, Mode: unix.S_IFREG, Inode: posture.Inode{Dev: 5, Ino: 2}},
		{FD: 2, Mode: unix.S_IFIFO, Inode: posture.Inode{Dev: 5, Ino: 3}},
		{FD: 7, Mode: unix.S_IFREG, Inode: posture.Inode{Dev: 5, Ino: 4}},
	}})
	return c
}

// relaxedBy lists the fields of which the usual change is no finding.
func relaxedBy(t *testing.T, text string, p *Profile) []Field {
	t.Helper()
	e := expectFor(t, text, p)
	var out []Field
	for f := range NumFields {
		got := e.Sample()
		if o, _ := e.Compare(f, got); o == Unobservable {
			continue
		}
		sample.Mutations[f.String()](got)
		if o, _ := e.Compare(f, got); !o.Finding() {
			out = append(out, f)
		}
	}
	return out
}

func expectFor(t *testing.T, text string, p *Profile) *Expectation {
	t.Helper()
	features := testFeatures
	features.Profile = p
	caller := engineCaller()
	facts := testFacts()
	facts.Files = Streams(caller)
	return Expect(mustParse(t, text), caller, features).With(facts)
}

// What an engine documents is relaxed, up to there, and nothing else is.
func TestProfile_Relaxations(t *testing.T) {
	stranger := &Profile{Name: "a stranger"}
	for name, r := range relaxations() {
		t.Run(name, func(t *testing.T) {
			p := r.profile
			p.Name = "the engine"
			usual := relaxedBy(t, r.request, stranger)
			for _, f := range relaxedBy(t, r.request, &p) {
				if !slices.Contains(usual, f) && !slices.Contains(r.fields, f) {
					t.Errorf("a difference of %s is no finding", f)
				}
			}
			for _, f := range usual {
				if !slices.Contains(relaxedBy(t, r.request, &p), f) {
					t.Errorf("a difference of %s is a finding with more relaxed", f)
				}
			}
			try := func(p *Profile, a alter) (Outcome, string) {
				e := expectFor(t, r.request, p)
				got := e.Sample()
				a.do(got, engineCaller())
				return e.Compare(a.field, got)
			}
			for i, a := range r.allowed {
				if o, why := try(&p, a); o != Equal {
					t.Errorf("allowed[%d]: %s is %s: %s", i, a.field, o, why)
				}
				if o, _ := try(stranger, a); !o.Finding() {
					t.Errorf("allowed[%d]: %s is %s for any engine", i, a.field, o)
				}
			}
			for i, a := range r.beyond {
				if o, why := try(&p, a); !o.Finding() {
					t.Errorf("beyond[%d]: %s is %s: %s", i, a.field, o, why)
				}
			}
		})
	}
}

// Each field of Profile has a row.
func TestProfile_EveryRelaxationIsTested(t *testing.T) {
	rows := relaxations()
	for f := range reflect.TypeFor[Profile]().Fields() {
		name := f.Name
		r, ok := rows[name]
		if _, other := elsewhere[name]; ok == other {
			t.Errorf("%s: a row: %v, tested elsewhere: %v", name, ok, other)
			continue
		}
		if !ok {
			continue
		}
		v := reflect.ValueOf(r.profile)
		for g := range v.Type().Fields() {
			if isSet := !v.FieldByName(g.Name).IsZero(); isSet != (g.Name == name) {
				t.Errorf("%s: its row sets %s: %v", name, g.Name, isSet)
			}
		}
		if len(r.allowed) == 0 {
			t.Errorf("%s: nothing shows that it relaxes anything", name)
		}
	}
}

// What the spec leaves to any engine, by request, and nothing more.
func TestProfile_Stranger(t *testing.T) {
	session := []Field{ProcessSession, ProcessGroup, ProcessSessionLeader, SchedAutogroup, SchedAutogroupNice}
	always := []Field{ProcessParent, KeyringSession, KeyringSessionOwner}
	caps := []Field{CapBounding, CapPermitted, CapEffective} // one may be missing
	cgroup := []Field{CgroupV2, CgroupV1, MemoryMemsAllowed}
	for name, c := range map[string]struct {
		request string
		relaxed []Field
	}{
		"nothing":         {bareRequest, slices.Concat(session, always, cgroup, caps)},
		"a pid namespace": {pidRequest, slices.Concat(session, always, cgroup, caps)},
		"capabilities":    {capsRequest, slices.Concat(session, always, cgroup)},
		"a session":       {strings.Replace(bareRequest, `"keepIDs":true`, `"keepIDs":true,"session":true`, 1), slices.Concat(always, cgroup, caps)},
		"a cgroup":        {strings.Replace(bareRequest, `"holdshort"`, `"linux":{"cgroupsPath":"/x"},"holdshort"`, 1), slices.Concat(session, always, caps)},
		"a process group": {
			strings.Replace(bareRequest, `"keepIDs":true`, `"keepIDs":true,"processGroup":true`, 1),
			slices.DeleteFunc(slices.Concat(session, always, cgroup, caps), func(f Field) bool { return f == ProcessGroup }),
		},
		"a root": {
			strings.Replace(bareRequest, `"holdshort"`, `"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"}]},"holdshort"`, 1),
			slices.Concat(session, always, cgroup, caps, []Field{FSRootPropagation}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours := relaxedBy(t, c.request, nil)
			var got []Field
			for _, f := range relaxedBy(t, c.request, &Profile{Name: "a stranger"}) {
				if !slices.Contains(ours, f) {
					got = append(got, f)
				}
			}
			slices.Sort(got)
			want := slices.Clone(c.relaxed)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("relaxed are %v; want %v", got, want)
			}
		})
	}
}

// What any engine may choose, it may not choose freely.
func TestProfile_Limits(t *testing.T) {
	const terminal = `{"ociVersion":"1.3.0","process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/"},"holdshort":{"keepIDs":true}}`
	tty := func(major, minor uint32) func(p, _ *posture.Posture) {
		return func(p, _ *posture.Posture) {
			p.Process.TTY = posture.Known(posture.TTY{Major: major, Minor: minor})
			p.Process.Session = posture.Known[uint32](4000)
		}
	}
	capsOf := func(at func(*posture.Capabilities) *posture.Value[posture.CapSet], set posture.CapSet) func(p, _ *posture.Posture) {
		return func(p, _ *posture.Posture) { *at(&p.Capabilities) = posture.Known(set) }
	}
	ambient := func(c *posture.Capabilities) *posture.Value[posture.CapSet] { return &c.Ambient }
	inheritable := func(c *posture.Capabilities) *posture.Value[posture.CapSet] { return &c.Inheritable }
	effective := func(c *posture.Capabilities) *posture.Value[posture.CapSet] { return &c.Effective }
	for name, c := range map[string]struct {
		request string
		alter   alter
		fine    bool
	}{
		"another terminal":              {terminal, alter{ProcessTTY, tty(136, 55)}, true},
		"a terminal of later numbers":   {terminal, alter{ProcessTTY, tty(143, 1)}, true},
		"the caller's terminal":         {terminal, alter{ProcessTTY, tty(136, 3)}, false},
		"a virtual console":             {terminal, alter{ProcessTTY, tty(4, 1)}, false},
		"no terminal":                   {terminal, alter{ProcessTTY, tty(0, 0)}, false},
		"a session of its own":          {terminal, alter{ProcessSession, tty(136, 55)}, true},
		"the caller's session":          {terminal, alter{ProcessSession, func(p, c *posture.Posture) { p.Process.Session = c.Process.Session }}, false},
		"unasked, without a terminal":   {bareRequest, alter{ProcessTTY, tty(0, 0)}, true},
		"unasked, another terminal":     {bareRequest, alter{ProcessTTY, tty(136, 55)}, false},
		"unasked, no capabilities":      {bareRequest, alter{CapEffective, capsOf(effective, 0)}, true},
		"unasked, an inheritable one":   {bareRequest, alter{CapInheritable, capsOf(inheritable, 1)}, false},
		"unasked, an ambient one":       {bareRequest, alter{CapAmbient, capsOf(ambient, 1)}, false},
		"unasked, more than the kernel": {bareRequest, alter{CapEffective, capsOf(effective, sample.AllCaps|1<<50)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := expectFor(t, c.request, &Profile{Name: "a stranger"})
			got := e.Sample()
			c.alter.do(got, engineCaller())
			if o, why := e.Compare(c.alter.field, got); o.Finding() == c.fine || c.fine && o != Equal {
				t.Errorf("%s is %s: %s", c.alter.field, o, why)
			}
		})
	}
}

// The standard streams are the caller's, or of the kind that an engine may put
// in their place.
func TestProfile_Streams(t *testing.T) {
	const terminal = `{"ociVersion":"1.3.0","process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/"},"holdshort":{"keepIDs":true}}`
	file := func(fd int32, mode uint32, magic uint64, ino uint64) posture.File {
		return posture.File{FD: fd, Mode: mode, Magic: magic, Inode: posture.Inode{Dev: 9, Ino: ino}}
	}
	three := func(mode uint32, magic uint64, inodes ...uint64) (out []posture.File) {
		for i, ino := range inodes {
			out = append(out, file(int32(i), mode, magic, ino))
		}
		return out
	}
	before, _ := engineCaller().Files.Get()
	own := before.Open[:3]
	with := func(f posture.File) []posture.File {
		out := slices.Clone(own)
		out[f.FD] = f
		return out
	}
	for name, c := range map[string]struct {
		request string
		open    []posture.File
		fine    bool
	}{
		"the caller's":                     {bareRequest, own, true},
		"a device for the caller's device": {bareRequest, with(file(0, unix.S_IFCHR, 1, 1)), true},
		"a device for the caller's file":   {bareRequest, with(file(1, unix.S_IFCHR, 1, 1)), false},
		"another file":                     {bareRequest, with(file(1, unix.S_IFREG, 1, 1)), false},
		"the caller's, exchanged":          {bareRequest, []posture.File{own[0], {FD: 1, Mode: own[2].Mode, Inode: own[2].Inode}, {FD: 2, Mode: own[1].Mode, Inode: own[1].Inode}}, false},
		"a directory":                      {bareRequest, with(file(2, unix.S_IFDIR, 1, 1)), false},
		"an anonymous file":                {bareRequest, with(file(2, 0o600, 1, 1)), false},
		"a pipe of the engine's":           {bareRequest, with(file(2, unix.S_IFIFO, 1, 1)), false},
		"one is missing":                   {bareRequest, own[1:], false},
		"one more":                         {bareRequest, append(slices.Clone(own), file(3, unix.S_IFREG, 1, 1)), false},
		"a terminal":                       {terminal, three(unix.S_IFCHR, 0x1cd1, 4, 4, 4), true},
		"a terminal, and the caller's":     {terminal, append(three(unix.S_IFCHR, 0x1cd1, 4, 4), own[2]), false},
		"two terminals":                    {terminal, three(unix.S_IFCHR, 0x1cd1, 4, 4, 5), false},
		"a device for a terminal":          {terminal, three(unix.S_IFCHR, 0x1021994, 4, 4, 4), false},
		"no terminal":                      {terminal, own, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := expectFor(t, c.request, &Profile{Name: "the engine"})
			got := e.Sample()
			got.Files = posture.Known(posture.Files{Open: c.open})
			if o, why := e.Compare(OpenFiles, got); o.Finding() == c.fine || c.fine && o != Equal {
				t.Errorf("%s: %s", o, why)
			}
			got.Files = posture.Known(posture.Files{Open: c.open, Truncated: 1})
			if o, _ := e.Compare(OpenFiles, got); o == Equal {
				t.Error("equal, and one was not seen")
			}
		})
	}
	caller := engineCaller()
	caller.Files = posture.Known(posture.Files{Open: before.Open[1:]})
	if s := Streams(caller); len(s) != 2 || s[0].FD != 1 {
		t.Errorf("of a caller without a standard input: %v", s)
	}
	caller.Files = posture.Unreadable[posture.Files]("gone")
	if s := Streams(caller); len(s) != 3 || s[0].Inode != (posture.Inode{}) {
		t.Errorf("of a caller that was not seen: %v", s)
	}
}
