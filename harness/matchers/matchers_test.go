package matchers

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// reports are one that is as asked for, and one that is not.
func reports(t *testing.T) (good, bad, blind *harness.Report) {
	t.Helper()
	req, err := request.Parse([]byte(`{"ociVersion":"1.3.0","process":{"args":["/bin/true"],"cwd":"","user":{"uid":1000,"gid":1001},"noNewPrivileges":true,
		"capabilities":{"bounding":[],"permitted":[],"effective":[],"inheritable":[],"ambient":[]}},
		"linux":{"namespaces":[{"type":"network"},{"type":"pid"}]}}`), true)
	if err != nil {
		t.Fatal(err)
	}
	caller := sample.Caller()
	// The sample's is that of every machine's initial namespace, so our own may be the same.
	caller.Namespaces.Net = posture.Known(posture.Namespace{Inode: 4026539999, Owner: 4026531837})
	exp := oracle.Expect(req, caller, oracle.Features{AllCaps: sample.AllCaps, CPUs: []uint64{0xf}}).With(&oracle.Facts{
		Files: []posture.File{{FD: 0}, {FD: 1}, {FD: 2}},
	})
	judge := func(p *posture.Posture) *harness.Report {
		var snaps []harness.Snapshot
		for _, at := range []harness.At{harness.AtExec, harness.AtReturn, harness.AtFirst} {
			snaps = append(snaps, harness.Snapshot{At: at, IPIsEntry: posture.Known(true), Posture: p})
		}
		return harness.NewReport(harness.Judge(exp, snaps, nil, 0), harness.Meta{Kernel: "6.18.44", Engine: "native", Workload: harness.Workload{Argv: []string{"/bin/true"}}})
	}
	wrong := exp.Sample()
	wrong.Capabilities.Effective = posture.Known[posture.CapSet](1<<5 | 1<<21)
	wrong.Capabilities.Bounding = posture.Known[posture.CapSet](1 << 21)
	wrong.Privilege.NoNewPrivs = posture.Known(false)
	wrong.IDs.EGID = posture.Known[uint32](0)
	wrong.Namespaces.Net = posture.Known(posture.Namespace{Inode: own(t, "net")})
	wrong.Files = posture.Known(posture.Files{Open: []posture.File{{FD: 0}, {FD: 1}, {FD: 2}, {FD: 9, Mode: unix.S_IFDIR | 0o755, Inode: posture.Inode{Dev: 27, Ino: 4}}}})
	unread := exp.Sample()
	unread.Capabilities.Effective = posture.Unreadable[posture.CapSet]("a reason")
	unread.Namespaces.Net = posture.Unreadable[posture.Namespace]("a reason")
	unread.Files = posture.Unreadable[posture.Files]("a reason")
	unread.IDs.EGID = posture.Unreadable[uint32]("a reason")
	unread.Privilege.NoNewPrivs = posture.Unreadable[bool]("a reason")
	bad = judge(wrong)
	bad.Workload.Signal = int(unix.SIGSYS)
	return judge(exp.Sample()), bad, judge(unread)
}

func own(t *testing.T, kind string) uint32 {
	t.Helper()
	n, err := ownNamespace(kind)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Each matcher is shown with a workload that it is true of and with one that it
// is not, in both directions; the texts are golden.
func TestMatchers(t *testing.T) {
	good, bad, blind := reports(t)
	failed := &checkpoint.Error{Stage: checkpoint.StageClone, Index: -1, Err: unix.EPERM}
	for name, c := range map[string]struct {
		m         func() types.GomegaMatcher
		yes, no   any
		unread    any // an error, since the field was not read
		unhealthy any // an error, for another reason
	}{
		"BeConstrained": {m: BeConstrained, yes: good, no: bad},
		"BeViolated":    {m: BeViolated, yes: bad, no: good},
		"BeUnknown":     {m: BeUnknown, yes: blind, no: good},
		"HaveFinding":   {m: func() types.GomegaMatcher { return HaveFinding("privilege.no_new_privs") }, yes: bad, no: good},
		"HaveFinding outcome": {m: func() types.GomegaMatcher {
			return HaveFinding("privilege.no_new_privs", oracle.Late, oracle.Inherited)
		}, no: bad},
		"HaveCapabilities":     {m: func() types.GomegaMatcher { return HaveCapabilities("CAP_KILL", "sys_admin") }, yes: bad, no: good, unread: blind},
		"HaveCapabilities too": {m: func() types.GomegaMatcher { return HaveCapabilities("KILL", "NET_RAW") }, no: bad},
		"HaveCapabilities bad": {m: func() types.GomegaMatcher { return HaveCapabilities("CAP_NONSENSE") }, unhealthy: good},
		"HaveNoCapabilities":   {m: HaveNoCapabilities, yes: good, no: bad, unread: blind},
		"BeInNewNamespaces":    {m: func() types.GomegaMatcher { return BeInNewNamespaces("net", "pid") }, yes: good, no: bad, unread: blind},
		"BeInNewNamespaces x":  {m: func() types.GomegaMatcher { return BeInNewNamespaces("nonsense") }, unhealthy: good},
		"HaveNoLeakedFDs":      {m: HaveNoLeakedFDs, yes: good, no: bad, unread: blind},
		"RunAs":                {m: func() types.GomegaMatcher { return RunAs(1000, 1001) }, yes: good, no: bad, unread: blind},
		"HaveNoNewPrivs":       {m: HaveNoNewPrivs, yes: good, no: bad, unread: blind},
		"BeFiltered":           {m: BeFiltered, no: good},
		"HavePosture":          {m: func() types.GomegaMatcher { return HavePosture("ids.uid", gomega.BeNumerically(">", 999)) }, yes: good},
		"HavePosture nonsense": {m: func() types.GomegaMatcher { return HavePosture("ids.nonsense", 1) }, unhealthy: good},
		"HaveExited":           {m: func() types.GomegaMatcher { return HaveExited(0) }, yes: good, no: bad},
		"HaveExited status":    {m: func() types.GomegaMatcher { return HaveExited(3) }, no: good},
		"BeKilledBy":           {m: func() types.GomegaMatcher { return BeKilledBy(unix.SIGSYS) }, yes: bad, no: good},
		"FailAt":               {m: func() types.GomegaMatcher { return FailAt(checkpoint.StageClone) }, yes: failed, no: errors.New("another"), unhealthy: good},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			try := func(what string, actual any, want string) {
				if actual == nil {
					return
				}
				m := c.m()
				ok, err := m.Match(actual)
				got := fmt.Sprint(ok)
				if err != nil {
					got = "error"
				}
				if got != want {
					t.Errorf("%s: %s (%v); want %s", what, got, err, want)
				}
				switch {
				case err != nil:
					fmt.Fprintf(&b, "== %s: error\n%v\n", what, err)
				case ok:
					fmt.Fprintf(&b, "== %s: not to\n%s\n", what, m.NegatedFailureMessage(actual))
				default:
					fmt.Fprintf(&b, "== %s: to\n%s\n", what, m.FailureMessage(actual))
				}
			}
			try("true", c.yes, "true")
			try("false", c.no, "false")
			try("not read", c.unread, "error")
			try("unhealthy", c.unhealthy, "error")
			golden(t, strings.ReplaceAll(name, " ", "_")+".txt", bytes.ReplaceAll(b.Bytes(), fmt.Append(nil, own(t, "net")), []byte("OWN")))
		})
	}
}

// Nothing, and things of other types, are errors, which fail To and NotTo.
func TestMatchers_OfNothing(t *testing.T) {
	for name, m := range map[string]types.GomegaMatcher{
		"BeConstrained": BeConstrained(), "HaveFinding": HaveFinding("x"), "HaveNoCapabilities": HaveNoCapabilities(),
		"BeInNewNamespaces": BeInNewNamespaces("net"), "HaveNoLeakedFDs": HaveNoLeakedFDs(), "RunAs": RunAs(0, 0),
		"HavePosture": HavePosture("ids.uid", 0), "HaveExited": HaveExited(0), "HaveCapabilities": HaveCapabilities(),
	} {
		for _, actual := range []any{nil, (*harness.Report)(nil), (*harness.Case)(nil), &harness.Case{}, "text", 7} {
			if ok, err := m.Match(actual); ok || err == nil {
				t.Errorf("%s of %T: %t, %v", name, actual, ok, err)
			}
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s (-update rewrites it):\n%s", path, got)
	}
}
