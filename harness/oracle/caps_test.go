package oracle

import (
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

const (
	kill     = posture.CapSet(1 << 5)
	bindPort = posture.CapSet(1 << 10)
	audit    = posture.CapSet(1 << 29)
)

// TestCreds_Exec has what was measured on real engines, and each rule of
// capabilities(7) once.
func TestCreds_Exec(t *testing.T) {
	three := kill | bindPort | audit
	for name, tt := range map[string]struct {
		before Creds
		file   Program
		p, e   posture.CapSet
		a      posture.CapSet
		result ExecResult
	}{
		"root gets the bounding set": {
			before: Creds{Bounding: three, Permitted: kill, Effective: kill}, p: three, e: three,
			result: ExecResult{Cleared: true, Changed: true},
		},
		"root without new privileges keeps to what it has": {
			before: Creds{Bounding: three, Permitted: kill, Effective: kill, NoNewPrivs: true}, p: kill, e: kill,
			result: ExecResult{Cleared: true},
		},
		"a user loses all": {before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, Permitted: kill, Effective: kill}},
		"a user keeps the ambient set": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, Permitted: three, Inheritable: kill, Ambient: kill}, p: kill, e: kill, a: kill,
		},
		"root adds what is inheritable": {
			before: Creds{Bounding: kill, Permitted: kill | audit, Inheritable: audit}, p: kill | audit, e: kill | audit,
		},
		"root that is not privileged": {
			before: Creds{Bounding: three, Permitted: three, Effective: three, Securebits: SecureNoRoot},
		},
		"root that is not privileged, with ambient": {
			before: Creds{Bounding: three, Permitted: three, Inheritable: kill, Ambient: kill, Securebits: SecureNoRoot}, p: kill, e: kill, a: kill,
		},
		"root of the host in a namespace that does not have it": {
			before: Creds{Root: NoID, Bounding: three, Permitted: three, Effective: three},
		},
		"user 0 of a namespace": {
			before: Creds{UID: 100000, EUID: 100000, SUID: 100000, Root: 100000, Bounding: three, Permitted: three, Effective: three}, p: three, e: three,
		},
		"file capabilities": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three}, file: Program{HasFileCaps: true, FilePermitted: kill, FileEffective: true},
			p: kill, e: kill, result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"file capabilities without new privileges": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, NoNewPrivs: true}, file: Program{HasFileCaps: true, FilePermitted: kill, FileEffective: true},
			result: ExecResult{Cleared: true, Secure: true},
		},
		"file capabilities beyond the bounding set": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000}, file: Program{HasFileCaps: true, FilePermitted: kill, FileEffective: true},
			result: ExecResult{Refused: true, Secure: true},
		},
		"setuid root": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three}, file: Program{SetUID: posture.Known[uint32](0)},
			p: three, e: three, result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"file capabilities that are inheritable": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, Inheritable: kill | audit}, file: Program{HasFileCaps: true, FileInheritable: kill | bindPort},
			p: kill, result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"file capabilities that are not effective": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: kill | audit, Permitted: kill}, file: Program{HasFileCaps: true, FilePermitted: kill | bindPort},
			p: kill, result: ExecResult{Secure: true},
		},
		"file capabilities end the ambient set": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, Permitted: audit, Inheritable: audit, Ambient: audit}, file: Program{HasFileCaps: true, FilePermitted: kill, FileEffective: true},
			p: kill, e: kill, result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"a change of user ends the ambient set": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, Permitted: audit, Inheritable: audit, Ambient: audit}, file: Program{SetUID: posture.Known[uint32](1001)},
			result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"a change of group ends the ambient set": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, Permitted: audit, Inheritable: audit, Ambient: audit}, file: Program{SetGID: posture.Known[uint32](1001)},
			result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"setuid root with file capabilities": { // gives those, and not root's
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three}, file: Program{SetUID: posture.Known[uint32](0), HasFileCaps: true, FilePermitted: kill},
			p: kill, result: ExecResult{Secure: true, Cleared: true, Changed: true},
		},
		"setuid root with file capabilities, for root": {
			before: Creds{Bounding: three, Permitted: three}, file: Program{SetUID: posture.Known[uint32](0), HasFileCaps: true, FilePermitted: kill},
			p: three, e: three, result: ExecResult{Cleared: true},
		},
		"file capabilities, for root": {
			before: Creds{Bounding: three, Permitted: three}, file: Program{HasFileCaps: true, FilePermitted: kill},
			p: three, e: three,
		},
		"only the real user is root": { // permitted, and not effective
			before: Creds{EUID: 1000, SUID: 1000, Bounding: three, Permitted: three}, p: three,
			result: ExecResult{Secure: true},
		},
		"only the effective user is root": {
			before: Creds{UID: 1000, SUID: 1000, Bounding: three, Permitted: three}, p: three, e: three,
			result: ExecResult{Secure: true},
		},
		"setuid root without new privileges": {
			before: Creds{UID: 1000, EUID: 1000, SUID: 1000, Bounding: three, NoNewPrivs: true}, file: Program{SetUID: posture.Known[uint32](0)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := tt.before
			c.Securebits |= SecureKeepCaps
			r := c.Exec(&tt.file)
			if c.Permitted != tt.p || c.Effective != tt.e || c.Ambient != tt.a || c.Bounding != tt.before.Bounding || c.Inheritable != tt.before.Inheritable {
				t.Errorf("permitted %#x effective %#x ambient %#x bounding %#x inheritable %#x; want %#x %#x %#x, the others unchanged",
					c.Permitted, c.Effective, c.Ambient, c.Bounding, c.Inheritable, tt.p, tt.e, tt.a)
			}
			if c.Securebits&SecureKeepCaps != 0 {
				t.Error("SECBIT_KEEP_CAPS survived")
			}
			if c.SUID != c.EUID {
				t.Errorf("saved user id %d, effective %d", c.SUID, c.EUID)
			}
			if r != tt.result {
				t.Errorf("%+v, want %+v", r, tt.result)
			}
		})
	}
}

// TestCreds_SetUID has each rule of "Effect of user ID changes on capabilities"
// in capabilities(7).
func TestCreds_SetUID(t *testing.T) {
	all := func(c Creds) Creds {
		c.Bounding, c.Permitted, c.Effective, c.Inheritable, c.Ambient = kill|audit, kill|audit, kill, kill, kill
		return c
	}
	inside := func(c Creds) Creds { c.Root = 100; return c }
	for name, tt := range map[string]struct {
		before  Creds
		to      uint32
		p, e, a posture.CapSet
	}{
		"root becomes a user":                              {all(Creds{}), 1000, 0, 0, 0},
		"root stays root":                                  {all(Creds{}), 0, kill | audit, kill, kill},
		"a user becomes another":                           {all(Creds{UID: 1, EUID: 2, SUID: 3}), 1000, kill | audit, kill, kill},
		"a user becomes root":                              {all(Creds{UID: 1, EUID: 2, SUID: 3}), 0, kill | audit, kill | audit, kill},
		"the real one was root":                            {all(Creds{EUID: 2, SUID: 3}), 1000, 0, 0, 0},
		"the effective one was root":                       {all(Creds{UID: 1, SUID: 3}), 1000, 0, 0, 0},
		"the saved one was root":                           {all(Creds{UID: 1, EUID: 2}), 1000, 0, 0, 0},
		"keeping capabilities":                             {all(Creds{Securebits: SecureKeepCaps}), 1000, kill | audit, 0, 0},
		"keeping capabilities, the real one was root":      {all(Creds{EUID: 2, SUID: 3, Securebits: SecureKeepCaps}), 1000, kill | audit, kill, 0},
		"nothing happens":                                  {all(Creds{Securebits: SecureNoSetUIDFixup}), 1000, kill | audit, kill, kill},
		"nothing happens to a user either":                 {all(Creds{UID: 1, EUID: 2, SUID: 3, Securebits: SecureNoSetUIDFixup}), 0, kill | audit, kill, kill},
		"root of a namespace":                              {inside(all(Creds{UID: 100, EUID: 100, SUID: 100})), 1000, 0, 0, 0},
		"root of a namespace, the real one":                {inside(all(Creds{UID: 100, EUID: 2, SUID: 3})), 1000, 0, 0, 0},
		"becomes root of a namespace":                      {inside(all(Creds{UID: 1, EUID: 2, SUID: 3})), 100, kill | audit, kill | audit, kill},
		"root of the host is a user of a namespace":        {inside(all(Creds{})), 1000, kill | audit, kill, kill},
		"a user of a namespace becomes root of the host":   {inside(all(Creds{UID: 1, EUID: 2, SUID: 3})), 0, kill | audit, kill, kill},
		"a namespace without root":                         {func() Creds { c := all(Creds{}); c.Root = NoID; return c }(), 1000, kill | audit, kill, kill},
		"a namespace without root, and an id that is none": {func() Creds { c := all(Creds{UID: NoID, EUID: NoID, SUID: NoID}); c.Root = NoID; return c }(), 1000, kill | audit, kill, kill},
	} {
		c := tt.before
		c.SetUID(tt.to)
		if c.UID != tt.to || c.EUID != tt.to || c.SUID != tt.to {
			t.Errorf("%s: ids %d %d %d", name, c.UID, c.EUID, c.SUID)
		}
		if c.Permitted != tt.p || c.Effective != tt.e || c.Ambient != tt.a || c.Inheritable != tt.before.Inheritable || c.Bounding != tt.before.Bounding {
			t.Errorf("%s: permitted %#x effective %#x ambient %#x, want %#x %#x %#x; inheritable %#x bounding %#x",
				name, c.Permitted, c.Effective, c.Ambient, tt.p, tt.e, tt.a, c.Inheritable, c.Bounding)
		}
	}
}

// capset(2) takes from the ambient set what is not both permitted and inheritable.
func TestCreds_Capset(t *testing.T) {
	three := kill | bindPort | audit
	c := Creds{Bounding: three, Permitted: three, Effective: three, Inheritable: three, Ambient: three}
	c.Capset(kill|audit, kill, kill|bindPort)
	if want := (Creds{Bounding: three, Permitted: kill | audit, Effective: kill, Inheritable: kill | bindPort, Ambient: kill}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	c.Capset(three, three, three)
	if c.Ambient != kill {
		t.Errorf("ambient %#x: capset(2) gives none", c.Ambient)
	}
}

// TestExpect_Capabilities goes through the whole launch.
func TestExpect_Capabilities(t *testing.T) {
	caps := func(more string) string {
		return `"capabilities":{"bounding":["CAP_KILL","CAP_NET_BIND_SERVICE","CAP_AUDIT_WRITE"],"permitted":["CAP_KILL"],"effective":["CAP_KILL"]` + more + `}`
	}
	three := kill | bindPort | audit
	for name, tt := range map[string]struct {
		process, linux, ext string
		b, p, e, i, a       posture.CapSet
		dumpable            uint32
	}{
		"user 0":                         {process: `"user":{"uid":0,"gid":0},` + caps(""), b: three, p: three, e: three, dumpable: 7},
		"user 0, no new privileges":      {process: `"user":{"uid":0,"gid":0},"noNewPrivileges":true,` + caps(""), b: three, p: kill, e: kill, dumpable: 1},
		"user 1000":                      {process: `"user":{"uid":1000,"gid":0},` + caps(""), b: three, dumpable: 1},
		"user 1000, ambient":             {process: `"user":{"uid":1000,"gid":0},` + caps(`,"inheritable":["CAP_KILL"],"ambient":["CAP_KILL"]`), b: three, p: kill, e: kill, i: kill, a: kill, dumpable: 1},
		"user 1000, no object":           {process: `"user":{"uid":1000,"gid":0}`, b: sample.AllCaps, dumpable: 1},
		"the caller's user, no object":   {process: `"user":{"uid":0,"gid":0}`, ext: `"keepIDs":true`, b: sample.AllCaps, p: sample.AllCaps, e: sample.AllCaps, dumpable: 1},
		"empty object":                   {process: `"user":{"uid":0,"gid":0},"capabilities":{}`, dumpable: 1},
		"root that is not privileged":    {process: `"user":{"uid":0,"gid":0},` + caps(""), ext: `"securebits":1`, b: three, dumpable: 1},
		"user 0 of a new user namespace": {process: `"user":{"uid":0,"gid":0}`, linux: `"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":5000,"size":10}],"gidMappings":[{"containerID":0,"hostID":5000,"size":10}]`, b: sample.AllCaps, p: sample.AllCaps, e: sample.AllCaps, dumpable: 1},
		"user 3 of a new user namespace": {process: `"user":{"uid":3,"gid":3}`, linux: `"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":5000,"size":10}],"gidMappings":[{"containerID":0,"hostID":5000,"size":10}]`, b: sample.AllCaps, dumpable: 1},
		"user 0 of a joined one":         {process: `"user":{"uid":0,"gid":0}`, linux: `"namespaces":[{"type":"user","path":"/x"}]`, b: sample.AllCaps, p: sample.AllCaps, e: sample.AllCaps, dumpable: 1},
		"unmapped, in a new one":         {process: `"user":{"uid":0,"gid":0}`, ext: `"keepIDs":true`, linux: `"namespaces":[{"type":"user"}]`, b: sample.AllCaps, dumpable: 1},
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"ociVersion":"1.3.0","process":{"args":["true"],"cwd":"/",` + tt.process + `},"linux":{` + tt.linux + `},"holdshort":{` + tt.ext + `}}`
			f := testFeatures
			f.SuidDumpable = 7 // to tell it from the others
			e := Expect(mustParse(t, text), sample.Caller(), f)
			w := e.Sample()
			for _, x := range []struct {
				f    Field
				want posture.CapSet
			}{{CapBounding, tt.b}, {CapPermitted, tt.p}, {CapEffective, tt.e}, {CapInheritable, tt.i}, {CapAmbient, tt.a}} {
				if got := x.f.Value(w); got != x.want {
					t.Errorf("%s: %#x, want %#x", x.f, got, x.want)
				}
			}
			if got := Dumpable.Value(w); got != tt.dumpable {
				t.Errorf("dumpable %v, want %d", got, tt.dumpable)
			}
		})
	}
}

func TestExpect_PdeathsigUndone(t *testing.T) {
	const text = `{"ociVersion":"1.3.0","process":{"args":["true"],"cwd":"/","user":{"uid":0,"gid":0},"noNewPrivileges":NNP,
		"capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL"]}},"holdshort":{"pdeathsig":"KILL"}}`
	for nnp, want := range map[string]uint32{"false": 0, "true": 9} {
		e := Expect(mustParse(t, strings.ReplaceAll(text, "NNP", nnp)), sample.Caller(), testFeatures)
		if got := Pdeathsig.Value(e.Sample()); got != want || (want == 0) != (e.Note(Pdeathsig) != "") {
			t.Errorf("no_new_privs %s: signal %v, want %d; note %q", nnp, got, want, e.Note(Pdeathsig))
		}
	}
}

func TestExpect_Personality(t *testing.T) {
	// ADDR_NO_RANDOMIZE does not outlive an execve that gives privileges.
	const text = `{"ociVersion":"1.3.0","process":{"args":["true"],"cwd":"/","user":{"uid":0,"gid":0},"noNewPrivileges":NNP,
		"capabilities":{"bounding":["CAP_KILL"],"permitted":[PERM]}},"holdshort":{"personality":262152}}`
	for _, tt := range []struct {
		nnp, permitted string
		want           uint32
	}{{"false", ``, 8}, {"true", ``, 8}, {"false", `"CAP_KILL"`, 262152}} {
		e := Expect(mustParse(t, strings.NewReplacer("NNP", tt.nnp, "PERM", tt.permitted).Replace(text)), sample.Caller(), testFeatures)
		if got := Personality.Value(e.Sample()); got != tt.want {
			t.Errorf("no_new_privs %s, permitted [%s]: %#x, want %#x", tt.nnp, tt.permitted, got, tt.want)
		}
	}
}

// TestExpect_Nothing: without a caller there is hardly anything to expect, and
// nothing is made up.
func TestExpect_Nothing(t *testing.T) {
	for name, text := range sample.Requests {
		e := Expect(mustParse(t, text), &posture.Posture{}, Features{}).With(&Facts{})
		got := sample.Caller()
		for _, f := range []Field{NSUser, NSPID, NSNet, UID, CapPermitted, CapEffective, CgroupV2, ExecExe, KeyringSession} {
			if o, _ := e.Compare(f, got); o != Unobservable && o.Finding() == false {
				t.Errorf("%s: %s is %s without anything known", name, f, o)
			}
		}
	}
}

func TestMaps(t *testing.T) {
	parent := []posture.IDExtent{{Inside: 0, Host: 1000, Count: 1}, {Inside: 1, Host: 100000, Count: 65536}}
	req := mustParse(t, `{"ociVersion":"1.3.0","process":{"args":["true"],"cwd":"/","user":{"uid":0,"gid":0}},"linux":{"namespaces":[{"type":"user"}],
		"uidMappings":[{"containerID":0,"hostID":5,"size":10},{"containerID":20,"hostID":0,"size":1}],"gidMappings":[{"containerID":0,"hostID":0,"size":2}]}}`)
	caller := sample.Caller()
	caller.UserNS.UIDMap, caller.UserNS.GIDMap = posture.Known(parent), posture.Known(parent)
	caller.IDs.EUID = posture.Known[uint32](1000)
	e := Expect(req, caller, testFeatures)
	w := e.Sample()
	got, _ := w.UserNS.UIDMap.Get()
	if want := []posture.IDExtent{{Inside: 0, Host: 100004, Count: 10}, {Inside: 20, Host: 1000, Count: 1}}; !equalMaps(got, want) {
		t.Errorf("uid map %v, want %v", got, want)
	}
	if w.UserNS.GIDMap.IsKnown() {
		t.Error("a line that spans two of the parent's is refused by the kernel, and has a wanted value here")
	}
	if uid, _ := w.IDs.UID.Get(); uid != 100004 {
		t.Errorf("uid %d", uid)
	}
	if o, _ := w.UserNS.OwnerUID.Get(); o != 1000 {
		t.Errorf("owner %d", o)
	}
}

func TestCache(t *testing.T) {
	var c Cache
	req, caller, f := mustParse(t, sample.Requests["typical"]), sample.Caller(), testFeatures
	first := c.Expect(req, caller, &f)
	if c.Expect(req, sample.Caller(), &f) != first {
		t.Error("an equal caller was not recognised")
	}
	for name := range sample.Mutations {
		other := sample.Caller()
		sample.Mutations[name](other)
		if c.Expect(req, other, &f) == first {
			t.Errorf("a caller with another %s was taken for the same", name)
		}
		first = c.Expect(req, caller, &f)
	}
	unread := sample.Caller()
	CapEffective.Forget(unread, "x")
	if c.Expect(req, unread, &f) == first {
		t.Error("what was not read was taken for the same")
	}
	first = c.Expect(req, unread, &f)
	if c.Expect(req, caller, &f) == first {
		t.Error("what was read now was taken for the same")
	}
	first = c.Expect(req, unread, &f)
	again := sample.Caller()
	CapEffective.Forget(again, "x")
	if c.Expect(req, again, &f) != first {
		t.Error("two callers of whom the same was not read are not the same")
	}
	first = c.Expect(req, caller, &f)
	g := f
	g.SuidDumpable = 2
	if c.Expect(req, caller, &g) == first {
		t.Error("other features were taken for the same")
	}
	if c.Expect(mustParse(t, sample.Requests["typical"]), caller, &f) == first {
		t.Error("another request was taken for the same")
	}
}
