package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/vm/matrix"
)

var update = flag.Bool("update", false, "write the golden files")

// hostile is text that must be nothing but text wherever it comes to.
const hostile = "</script><img src=x onerror=alert(1)>'\"`|]]>&{{.}}\x1b[31m\x00\u202e -->"

func lines(t testing.TB, list ...*campaign.Line) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	for _, l := range list {
		l.Schema = campaign.Schema
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	return &b
}

// sample has everything that a document can have.
func sample(t testing.TB, text string) *Set {
	t.Helper()
	s := &Set{}
	read := func(name string, b []byte) {
		if err := s.Read(name, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	read("whole.jsonl", results(t, 0, 1))
	info := campaign.Info{Model: "m" + text, Seed: 2, Strength: 2, Kernel: "5.10" + text, Engine: "runc" + text}
	other := func(l *campaign.Line) *campaign.Line { l.Campaign = info.ID(); return l }
	key := text + "capabilities.bounding: weaker"
	read("other "+text+".jsonl", lines(
		t, other(&campaign.Line{Info: &info}),
		other(&campaign.Line{Block: &campaign.Block{First: 64, Judged: 0xff, Others: 0x100}}),
		other(&campaign.Line{Incident: &campaign.Incident{Index: 64, Class: campaign.Finding, Key: key, Hits: 3, Runs: 4, Values: map[string]string{"p" + text: "v" + text, "q": "on"}}}),
		other(&campaign.Line{Minimal: &campaign.Minimal{Index: 64, Key: key, Values: map[string]string{"p" + text: "v" + text}, Executions: 12}}),
		other(&campaign.Line{Timeline: &campaign.Timeline{Index: 64, Key: key, Events: []campaign.Moment{{What: "exec" + text, NS: 700_000, By: "kernel"}, {What: "spawned", NS: 90_000, By: "launcher" + text}}}}),
		other(&campaign.Line{Incident: &campaign.Incident{Index: 65, Oracle: "order" + text, Class: campaign.Flaky, Key: "fs.umask: late", Hits: 1, Runs: 5}}),
		other(&campaign.Line{Incident: &campaign.Incident{Index: 66, Class: campaign.Finding, Key: "refused: devices: ENOENT", Hits: 3, Runs: 3, Values: map[string]string{"devices": "on"}}}),
		other(&campaign.Line{Incident: &campaign.Incident{Index: 72, Class: campaign.Unknown, Key: "unknown: evidence-lost" + text, Hits: 5, Runs: 5}}),
	).Bytes())
	read("cut.jsonl", []byte(`{"schema":1,"campaign":"x","info":{"model":"`+strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' {
			return -1
		}
		return r
	}, text)))
	m := &matrix.Report{Schema: 1, Rows: []*matrix.Row{
		{Kernel: "5.10", Release: "5.10.0", Features: []matrix.Feature{{Name: "landlock" + text, OK: false, Detail: text}}, Fuzz: &matrix.Fuzz{Judged: 64, Findings: []string{"fs.umask: ignored" + text}}, Tests: []matrix.Test{{Package: "p" + text, Name: "TestA", Outcome: matrix.Fail, Why: "because " + text, Seconds: 1}, {Package: "p" + text, Name: "TestB", Outcome: matrix.Skip, Why: text}}},
		{Kernel: "6.1", Features: []matrix.Feature{{Name: "landlock" + text, OK: true, Detail: "ABI 2"}}, Tests: []matrix.Test{{Package: "p" + text, Name: "TestA", Outcome: matrix.Pass}, {Package: "q", Name: "TestC", Outcome: matrix.Lost}}, Programs: []matrix.Ran{{Name: "soak" + text, Outcome: matrix.Fail, Status: 1, Last: text}}, Faults: []string{text}},
	}, Differences: []matrix.Difference{{Test: "p TestA" + text, Passed: []string{"6.1"}, Failed: []string{"5.10"}}}, Never: []matrix.Unrun{{Test: "p TestB", Reasons: []string{text}}}}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	read("matrix.json", b)
	b, err = json.Marshal(map[string]any{
		"schema": 1, "verdict": "violated", "kernel": "6.18", "engine": "crun", "workload": map[string]any{"argv": []string{"/bin/true", text}},
		"snapshots": []any{map[string]any{"at": "first", "ns_since_proceed": 51234}},
		"checks":    []any{map[string]any{"field": "fs.root", "outcome": "weaker", "why": text}}, "config": map[string]any{"process": map[string]any{"args": []string{text}, "cwd": "/", "user": map[string]any{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	read("case.json", b)
	return s
}

// TestGolden holds every form of the sample to what is committed, where its
// readers find it: the module in report/schema validates the SARIF.
func TestGolden(t *testing.T) {
	d := sample(t, "").Document()
	for name, write := range map[string]func(*bytes.Buffer) error{
		"sample.txt":   func(b *bytes.Buffer) error { return d.Text(b) },
		"sample.md":    func(b *bytes.Buffer) error { return d.Markdown(b) },
		"sample.sarif": func(b *bytes.Buffer) error { return d.SARIF(b, "1.2.3") },
		"sample.xml":   func(b *bytes.Buffer) error { return d.JUnit(b) },
		"hostile.sarif": func(b *bytes.Buffer) error {
			return sample(t, hostile).Document().SARIF(b, "")
		},
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (go test ./report -run Golden -update):\n%s", name, diff)
		}
	}
}

// TestJUnitAddsUp: attributes are what is inside, and nothing is lost.
func TestJUnitAddsUp(t *testing.T) {
	for _, text := range []string{"", hostile} {
		var b bytes.Buffer
		if err := sample(t, text).Document().JUnit(&b); err != nil {
			t.Fatal(err)
		}
		var all junitSuites
		if err := xml.Unmarshal(b.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		var tests, failures, errs, skipped int
		names := map[string]bool{}
		for _, s := range all.Suites {
			was := *s
			s.Tests, s.Failures, s.Errors, s.Skipped = 0, 0, 0, 0
			s.count()
			if was.Tests != s.Tests || was.Failures != s.Failures || was.Errors != s.Errors || was.Skipped != s.Skipped {
				t.Errorf("suite %s says %+v and has %+v", s.Name, was, *s)
			}
			tests, failures, errs, skipped = tests+s.Tests, failures+s.Failures, errs+s.Errors, skipped+s.Skipped
			for _, c := range s.Cases {
				id := s.Name + "\x00" + c.Class + "\x00" + c.Name
				if names[id] || c.Name == "" || c.Class == "" {
					t.Errorf("test %q twice, or without a name", id)
				}
				names[id] = true
			}
		}
		if all.Tests != tests || all.Failures != failures || all.Errors != errs || all.Skipped != skipped || tests == 0 || failures < 5 || errs == 0 {
			t.Errorf("%+v, and there are %d tests, %d failures, %d errors, %d skipped", all, tests, failures, errs, skipped)
		}
	}
}

// TestFingerprintsAreStable: not of the seed, the case, the kernel, or the file.
func TestFingerprintsAreStable(t *testing.T) {
	of := func(seed, index uint64, kernel, file string) string {
		info := campaign.Info{Model: "m", Seed: seed, Kernel: kernel, Engine: "native"}
		s := &Set{}
		l := &campaign.Line{Minimal: &campaign.Minimal{Index: index, Key: "fs.umask: ignored", Values: map[string]string{"umask": "077"}}}
		l.Campaign = info.ID()
		if err := s.Read(file, lines(t, &campaign.Line{Campaign: info.ID(), Info: &info}, l)); err != nil {
			t.Fatal(err)
		}
		return s.Document().Groups[0].Findings[0].Fingerprint
	}
	want := of(1, 2, "5.10", "a")
	if got := of(9, 77, "7.2", "b"); got != want {
		t.Errorf("%s and %s", want, got)
	}
	if want != "0376b5bfe379ab7fc89838c919151bfd" {
		t.Errorf("%s: code scanning would show old findings as new ones", want)
	}
}

// TestVerdicts: no results are no pass, nor is a campaign without a judged case.
func TestVerdicts(t *testing.T) {
	if v := (&Set{}).Document().Verdict; v != Fault {
		t.Errorf("nothing at all: %s", v)
	}
	info := campaign.Info{Model: "m", Engine: "native"}
	of := func(l ...*campaign.Line) Verdict {
		for _, x := range l {
			x.Campaign = info.ID()
		}
		s := &Set{}
		if err := s.Read("a", lines(t, append(l, &campaign.Line{Campaign: info.ID(), Info: &info})...)); err != nil {
			t.Fatal(err)
		}
		return s.Document().Verdict
	}
	judged := &campaign.Line{Block: &campaign.Block{Judged: 7}}
	incident := func(index uint64, c campaign.Class, key string) *campaign.Line {
		return &campaign.Line{Incident: &campaign.Incident{Index: index, Class: c, Key: key}}
	}
	for name, c := range map[string]struct{ got, want Verdict }{
		"nothing judged":    {of(), Fault},
		"clean":             {of(judged), Clean},
		"finding":           {of(judged, incident(1, campaign.Finding, "a"), incident(2, campaign.Flaky, "a")), Found},
		"flaky":             {of(judged, incident(1, campaign.Flaky, "a"), incident(9, campaign.Unknown, "unknown: evidence-lost")), Flaky},
		"lost":              {of(judged, incident(9, campaign.Unknown, "unknown: evidence-lost")), Fault},
		"cannot observe":    {of(judged, incident(9, campaign.Unknown, "unknown: cannot-observe")), Unsupported},
		"lost, no word why": {of(judged, &campaign.Line{Block: &campaign.Block{First: 64, Others: 1}}), Fault},
		"lost, then seen":   {of(judged, incident(2, campaign.Unknown, "unknown: evidence-lost")), Clean},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if got := []int{Clean.ExitCode(), Found.ExitCode(), Flaky.ExitCode(), Unsupported.ExitCode(), Fault.ExitCode()}; !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("exit codes %v", got)
	}
}

// TestBrokenLines: what a kill left is named, and what is around it counts.
func TestBrokenLines(t *testing.T) {
	good := func(first string) string {
		return `{"schema":1,"campaign":"x","block":{"first":` + first + `,"judged":"000000000000000f","others":"0000000000000000"}}`
	}
	s := &Set{}
	// The second run went on behind what the first had not written to its end.
	text := good("0") + "\n" + `{"schema":1,"campaign":"x","blo` + good("64") + "\n\x00\x00\nnonsense\n" + `{"schema":1,"campaign":"x","block":{"fi`
	if err := s.Read("f", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	d := s.Document()
	var at []int
	for _, p := range d.Problems {
		at = append(at, p.Line)
	}
	if d.Judged != 8 || !slices.Equal(at, []int{2, 3, 4, 5}) || !strings.HasPrefix(d.Problems[3].Why, "cut short") || d.Files[0].Lines != 2 {
		t.Errorf("%d judged, problems %v, files %v", d.Judged, d.Problems, d.Files)
	}
}

// What cannot be read may be what was found, unless a kill cut it short.
func TestUnreadableIsNoPass(t *testing.T) {
	good := `{"schema":1,"campaign":"x","block":{"first":0,"judged":"000000000000000f","others":"0000000000000000"}}` + "\n"
	for name, tt := range map[string]struct {
		files map[string]string
		want  Verdict
	}{
		"whole":                      {map[string]string{"a": good}, Clean},
		"cut short at the end":       {map[string]string{"a": good + `{"schema":1,"campaign":"x","incid`}, Clean},
		"damaged in the middle":      {map[string]string{"a": good + `{"schema":1,"campaign":"x","incidXnt":{"index":1,"class":"finding","key":"k"}}` + "\n" + good}, Fault},
		"no JSON":                    {map[string]string{"a": good + "hello\n"}, Fault},
		"one of them empty":          {map[string]string{"a": good, "b": ""}, Fault},
		"one of them of the future":  {map[string]string{"a": good, "b": `{"schema":9,"rows":[]}`}, Fault},
		"a report that is no report": {map[string]string{"a": good, "b": `{"schema":1,"verdict":"fine"}`}, Fault},
	} {
		s := &Set{}
		for f, text := range tt.files {
			if err := s.Read(f, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		if v := s.Document().Verdict; v != tt.want {
			t.Errorf("%s: %s; want %s (%v)", name, v, tt.want, s.Document().Problems)
		}
	}
}

// TestTimelines: for each finding the one that says most, in the order of time.
func TestTimelines(t *testing.T) {
	line := func(index uint64, key string, events ...campaign.Moment) *campaign.Line {
		return &campaign.Line{Campaign: "x", Timeline: &campaign.Timeline{Index: index, Key: key, Events: events}}
	}
	s := &Set{}
	late, early := campaign.Moment{What: "exec", NS: 9, By: "kernel"}, campaign.Moment{What: "clone", NS: 0, By: "agent"}
	if err := s.Read("a", lines(t, line(1, "a", late), line(2, "a", late, early), line(3, "a", late), line(4, "b", early))); err != nil {
		t.Fatal(err)
	}
	d := s.Document()
	if len(d.Timelines) != 2 || d.Timelines[0].Index != 2 || d.Timelines[0].Events[0] != early || d.Timelines[1].Name != "b" {
		t.Errorf("%+v", d.Timelines)
	}
}

// TestRefusedCasesCoverNothing, although they were judged.
func TestRefusedCasesCoverNothing(t *testing.T) {
	of := func(negative campaign.Bits) *Campaign {
		md, _ := described(t)
		info := campaign.Info{Model: md.Hash, Seed: 5, Strength: 1}
		s := &Set{}
		if err := s.Read("a", lines(t, &campaign.Line{Campaign: info.ID(), Info: &info}, &campaign.Line{Campaign: info.ID(), Model: md},
			&campaign.Line{Campaign: info.ID(), Block: &campaign.Block{Judged: 0xff, Negative: negative}})); err != nil {
			t.Fatal(err)
		}
		return s.Document().Campaigns[0]
	}
	all, some, none := of(0), of(0xf0), of(0xff)
	if all.Judged != 8 || some.Judged != 8 || some.Coverage.Negative != 4 || none.Coverage.Pairs != 0 || some.Coverage.Pairs >= all.Coverage.Pairs || some.Coverage.Pairs == 0 {
		t.Errorf("%+v\n%+v\n%+v", all.Coverage, some.Coverage, none.Coverage)
	}
}

// TestOracleInTheKey: it is said once, and findings of oracles are with the others of
// their field.
func TestOracleInTheKey(t *testing.T) {
	s := &Set{}
	if err := s.Read("a", lines(t,
		&campaign.Line{Campaign: "x", Incident: &campaign.Incident{Index: 1, Class: campaign.Finding, Oracle: "enter", Key: "enter: fs.umask: leaked", Hits: 3, Runs: 3}},
		&campaign.Line{Campaign: "x", Incident: &campaign.Incident{Index: 2, Class: campaign.Finding, Key: "fs.umask: ignored", Hits: 3, Runs: 3}})); err != nil {
		t.Fatal(err)
	}
	g := s.Document().Groups
	if len(g) != 1 || g[0].Field != "fs.umask" || len(g[0].Findings) != 2 || g[0].Findings[0].Title() != "enter: fs.umask: leaked" || g[0].Findings[0].Outcome != "leaked" {
		t.Errorf("%+v", g)
	}
}
