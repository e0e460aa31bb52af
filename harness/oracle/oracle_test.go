package oracle

import (
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var testFeatures = Features{AllCaps: sample.AllCaps, LandlockABI: 7, Seccomp: approve{}}

type approve struct{}

type seccompPolicy = specs.LinuxSeccomp

func (approve) JudgeFilter(*seccompPolicy, *posture.Filter) (Outcome, string) { return Equal, "" }

func testFacts() *Facts {
	return &Facts{
		PID: posture.Known[uint32](1234), PIDInside: posture.Known[uint32](17), Parent: posture.Known[uint32](900),
		CgroupV2: posture.Known[uint64](4711), CgroupV1: []posture.CgroupV1{{Controller: "memory", ID: 99}},
		Root: posture.Known(posture.Inode{Dev: 5, Ino: 6}), Cwd: posture.Known(posture.Inode{Dev: 5, Ino: 7}),
		Exe: posture.Known(posture.Inode{Dev: 5, Ino: 8}), ExeNlink: posture.Known[uint32](1),
		TTY: posture.Known(posture.TTY{Major: 136, Minor: 9}),
	}
}

// mustParse makes a request of the members of a config.json.
func mustParse(t testing.TB, text string) *request.Request {
	t.Helper()
	r, err := request.Parse([]byte(text), true)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		t.Fatalf("request %s: %v", text, err)
	}
	return r
}
