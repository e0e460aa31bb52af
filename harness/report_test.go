package harness

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
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

var meta = Meta{Kernel: "6.18.44", Engine: "native", Seed: 7, Index: 12, Workload: Workload{HostPID: 4123, PID: 1}}

// reports are one of each kind.
func reports(t *testing.T) map[string]*Report {
	t.Helper()
	e := expectation(t, "typical")
	good := Judge(e, seen(e.Sample()), nil, 0)

	bad := e.Sample()
	bad.Privilege.NoNewPrivs = posture.Known(false)
	bad.Capabilities.Bounding = posture.Known[posture.CapSet](1 | 1<<5 | 1<<21)
	open, _ := bad.Files.Get()
	bad.Files = posture.Known(posture.Files{Open: append(open.Open[:5:5], posture.File{FD: 15})})
	snaps := seen(bad)
	snaps[0].Posture.Cgroup.V2 = posture.Known[uint64](100)

	blind := e.Sample()
	oracle.SeccompFilters.Forget(blind, "needs CONFIG_CHECKPOINT_RESTORE")
	oracle.LandlockLayers.Forget(blind, "needs BTF of landlock")

	root := oracle.Expect(parse(t, `{"ociVersion":"1.3.0","process":{"args":["/bin/true"],"cwd":"","user":{"uid":0,"gid":0},
		"capabilities":{"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL"]}},"holdshort":{"pdeathsig":"KILL"}}`),
		sample.Caller(), features).With(facts())
	planned := meta
	planned.Plan = plan()
	return map[string]*Report{
		"planned":     NewReport(good, planned),
		"constrained": NewReport(good, meta),
		"violated":    NewReport(Judge(e, snaps, nil, 0), meta),
		"unknown":     NewReport(Judge(e, seen(blind), nil, 0), meta),
		"lost":        NewReport(Judge(e, nil, nil, 3), Meta{Kernel: "6.18.44", Engine: "native"}),
		"refused":     NewReport(Refuse(e, "seccomp", "checkpoint: seccomp in child: permission denied (EACCES): needs no_new_privs"), meta),
		"notes":       NewReport(Judge(root, seen(root.Sample()), nil, 0), meta),
	}
}

// plan has a long row of alike steps.
func plan() []checkpoint.PlannedStep {
	list := []checkpoint.PlannedStep{
		{By: checkpoint.ByAgent, Stage: checkpoint.StageClone, Index: -1, Object: "net", Calls: []string{"clone3"}},
		{By: checkpoint.ByHost, Stage: checkpoint.StageNetwork, Index: -1, Object: "eth0"},
	}
	for i, c := range []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID"} {
		list = append(list, checkpoint.PlannedStep{By: checkpoint.ByChild, Stage: checkpoint.StageBounding, Index: i, Object: c, Calls: []string{"prctl"}})
	}
	return append(list, checkpoint.PlannedStep{By: checkpoint.ByChild, Stage: checkpoint.StageExec, Index: -1, Object: "/bin/true", Calls: []string{"execve"}})
}

func TestReport_Text(t *testing.T) {
	for name, r := range reports(t) {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := r.Text(&b, Style{}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.Bytes())
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			if len(lines) > 40 {
				t.Errorf("%d lines, more than a screen", len(lines))
			}
			for _, l := range lines {
				if n := utf8.RuneCountInString(l); n > 80 {
					t.Errorf("%d columns: %s", n, l)
				}
			}
			if strings.Contains(b.String(), "\x1b") {
				t.Error("colour, though none was asked for")
			}
			var c bytes.Buffer
			_ = r.Text(&c, Style{Color: true})
			if !strings.Contains(c.String(), "\x1b[1;3") {
				t.Error("no colour, though it was asked for")
			}
		})
	}
}

func TestReport_JSON(t *testing.T) {
	for name, r := range reports(t) {
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if name == "violated" {
			golden(t, name+".json", append(b, '\n'))
		}
		again, err := ReadReport(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again.Verdict != r.Verdict || again.ExitCode() != r.ExitCode() || len(again.Checks) != len(r.Checks) || again.Findings != r.Findings {
			t.Errorf("%s: read back as %s, %d checks", name, again.Verdict, len(again.Checks))
		}
		c, err := json.MarshalIndent(again, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if third, err := ReadReport(c); err != nil || third.Findings != r.Findings {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{`{"schema":2,"verdict":"constrained"}`, `{"verdict":"constrained"}`, `{"schema":1,"verdict":"fine"}`, ``} {
		if _, err := ReadReport([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// TestReport_Members holds the report's form to what other programs rely on.
func TestReport_Members(t *testing.T) {
	b, err := json.Marshal(reports(t)["violated"])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	need := func(m any, names string) {
		for n := range strings.FieldsSeq(names) {
			if _, ok := m.(map[string]any)[n]; !ok {
				t.Errorf("no member %s", n)
			}
		}
	}
	need(m, "schema verdict kernel engine seed index workload snapshots checks findings lost config")
	need(m["workload"], "argv host_pid pid exit_code signal")
	need(m["snapshots"].([]any)[0], "at ip_is_entry ns_since_proceed posture")
	need(m["checks"].([]any)[0], "field want got at outcome why")
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		v    Verdict
		c    Cause
		want int
	}{
		{Constrained, NoCause, 0},
		{Violated, NoCause, 1},
		{Unknown, CannotObserve, 3},
		{Unknown, CannotApply, 3},
		{Unknown, EvidenceLost, 4},
		{Unknown, NoCause, 4},
		{"", NoCause, 4},
	} {
		if got := ExitCode(tt.v, tt.c); got != tt.want {
			t.Errorf("%q, %q: exit %d, want %d", tt.v, tt.c, got, tt.want)
		}
	}
}
