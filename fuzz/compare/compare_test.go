package compare

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// recording is what a kernel would have written.
func recording(t *testing.T, name string, features map[string]string, cases ...Case) *Recording {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	lines := []Line{{Schema: Schema, Kernel: &Kernel{Release: name, Arch: "amd64", Seed: 1, Features: features}}}
	for i := range cases {
		lines = append(lines, Line{Schema: Schema, Case: &cases[i]})
	}
	for _, l := range append(lines, Line{Schema: Schema, End: &End{Cases: len(cases)}}) {
		if err := e.Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Read(name, &b)
	if err != nil || !r.Complete {
		t.Fatal(r, err)
	}
	return r
}

func seen(index uint64, request string, s map[string]string) Case {
	return Case{Index: index, Values: map[string]string{"a": "on"}, Request: request, Seen: s}
}

func TestCompare(t *testing.T) {
	was := Facts
	defer func() { Facts = was }()
	Facts = []Fact{{What: "landlock.*", Feature: "landlock ABI", Text: "by design", Source: "landlock(7)"}}
	ok := map[string]string{"verdict": "constrained", "landlock.handled": "equal 1", "umask": "equal 18"}
	with := func(k, v string) map[string]string {
		m := maps.Clone(ok)
		if v == "" {
			delete(m, k)
		} else {
			m[k] = v
		}
		return m
	}
	old, young := map[string]string{"landlock ABI": "1"}, map[string]string{"landlock ABI": "7"}
	for name, c := range map[string]struct {
		a, b                    *Recording
		compared, differ, wrong int
		said                    string
	}{
		"equal":                 {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", ok)), 1, 0, 0, ""},
		"another value":         {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", with("umask", "equal 0"))), 1, 1, 1, "umask"},
		"another verdict":       {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", with("verdict", "violated"))), 1, 1, 1, "verdict"},
		"missing on one":        {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", with("umask", ""))), 1, 1, 1, absent},
		"explained":             {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", with("landlock.handled", "equal 2"))), 1, 1, 0, "landlock"},
		"feature is the same":   {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", old, seen(0, "r", with("landlock.handled", "equal 2"))), 1, 1, 1, "landlock"},
		"feature is not probed": {recording(t, "a", nil, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", with("landlock.handled", "equal 2"))), 1, 1, 1, "landlock"},
		"another request":       {recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "s", with("umask", "equal 0"))), 0, 0, 0, ""},
		"refused on one": {
			recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, seen(0, "r", map[string]string{"verdict": "unknown", "refused": "mounts: EPERM"})), 1, 1, 1, "EPERM",
		},
		"not possible on one": {
			recording(t, "a", old, seen(0, "r", ok)), recording(t, "b", young, Case{Index: 0, Values: map[string]string{"a": "on"}, Lacks: []string{"a"}}), 0, 1, 1, "possible: a",
		},
		"two cases, one difference": {
			recording(t, "a", old, seen(0, "r", ok), seen(1, "q", ok)),
			recording(t, "b", young, seen(0, "r", with("umask", "equal 0")), seen(1, "q", with("umask", "equal 0"))), 2, 1, 1, "2 cases",
		},
	} {
		x := Compare([]*Recording{c.a, c.b})
		var b strings.Builder
		if err := x.Text(&b); err != nil {
			t.Fatal(err)
		}
		if x.Compared != c.compared || len(x.Differences) != c.differ || x.Unexplained() != c.wrong || len(x.Faults) > 0 || !strings.Contains(b.String(), c.said) {
			t.Errorf("%s: %+v\n%s", name, x, b.String())
		}
	}
}

// What one kernel does not say twice is no difference, and is counted.
func TestUnstable(t *testing.T) {
	a := recording(t, "a", nil, Case{Request: "r", Seen: map[string]string{"x": "1"}, Unstable: []string{"y"}})
	b := recording(t, "b", nil, seen(0, "r", map[string]string{"x": "1", "y": "2"}))
	if x := Compare([]*Recording{a, b}); len(x.Differences) != 0 || x.Unstable != 1 {
		t.Errorf("%+v", x)
	}
	a = recording(t, "a", nil, Case{Request: "r", Seen: map[string]string{"x": "1"}, Came: []string{"constrained", "mounts: EPERM"}})
	if x := Compare([]*Recording{a, b}); len(x.Faults) != 1 || !strings.Contains(x.Faults[0], "another thing each time: constrained; mounts: EPERM") {
		t.Errorf("%+v", x)
	}
}

// A recording that was cut short is no agreement.
func TestIncomplete(t *testing.T) {
	a := recording(t, "a", nil, seen(0, "r", map[string]string{"x": "1"}))
	for name, text := range map[string]string{
		"no end":    `{"schema":1,"kernel":{"arch":"amd64","seed":1}}` + "\n" + `{"schema":1,"case":{"index":0,"request":"r","seen":{"x":"1"}}}` + "\n",
		"torn":      `{"schema":1,"kernel":{"arch":"amd64","seed":1}}` + "\n" + `{"schema":1,"case":{"in`,
		"one fewer": `{"schema":1,"kernel":{"arch":"amd64","seed":1}}` + "\n" + `{"schema":1,"end":{"cases":1}}` + "\n",
		"seed":      `{"schema":1,"kernel":{"arch":"amd64","seed":2}}` + "\n" + `{"schema":1,"end":{"cases":0}}` + "\n",
	} {
		b, err := Read("b", strings.NewReader(text))
		if err != nil {
			t.Fatal(name, err)
		}
		if x := Compare([]*Recording{a, b}); len(x.Faults) == 0 {
			t.Errorf("%s: %+v", name, x)
		}
	}
	if _, err := Read("b", strings.NewReader("nonsense\n")); err == nil {
		t.Error("nonsense is read")
	}
}

// Each fact has a source and a feature that is probed.
func TestFacts(t *testing.T) {
	for _, f := range Facts {
		if f.What == "" || f.Feature == "" || f.Text == "" || f.Source == "" {
			t.Errorf("%+v is not complete", f)
		}
	}
}
