package oracle

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// launch is a request, the machine and the caller that it meets, and what is
// to be said of what is seen then. All but lines are JSON.
type launch struct {
	ask    string // merged into [plainRequest]: null takes a member away
	caller string // on top of [sample.Caller]
	feat   string // on top of [testFeatures]
	facts  string // on top of [testFacts]
	seen   string // on top of the caller's posture
	// Each of lines is "CLASS FIELD (NOTE): VALUE OUTCOME (WHY), …": a value that
	// is seen in the field, and what that is called. NOTE and WHY are parts of the
	// text, and may be left out; a field without (NOTE) must have none.
	lines string
}

// plainRequest asks for nothing.
const plainRequest = `{"ociVersion":"1.3.0","process":{"args":["/bin/prog"],"cwd":"","user":{"uid":0,"gid":0}},"holdshort":{"keepIDs":true}}`

// judge goes through the tables. What is seen is never taken from the
// expectation itself.
func judge(t *testing.T, launches map[string]launch) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(launches)) {
		t.Run(name, func(t *testing.T) { launches[name].judge(t) })
	}
}

func (l launch) judge(t *testing.T) {
	t.Helper()
	e := l.expectation(t)
	base := *e.caller
	onTop(t, &base, l.seen)
	for line := range strings.Lines(l.lines) {
		if line = strings.TrimSpace(line); line != "" {
			judgeLine(t, e, &base, line)
		}
	}
}

func (l launch) expectation(t *testing.T) *Expectation {
	t.Helper()
	caller, feat, facts := sample.Caller(), testFeatures, testFacts()
	onTop(t, caller, l.caller)
	onTop(t, &feat, l.feat)
	onTop(t, facts, l.facts)
	return Expect(mustParse(t, merge(t, plainRequest, l.ask)), caller, feat).With(facts)
}

func judgeLine(t *testing.T, e *Expectation, base *posture.Posture, line string) {
	t.Helper()
	head, rest, _ := strings.Cut(line, ": ")
	head, note := parenthesis(head)
	class, name, _ := strings.Cut(head, " ")
	f, ok := FieldByName(name)
	if !ok {
		t.Fatalf("%s: no field %q", line, name)
	}
	if got := e.Class(f); got.String() != class {
		t.Errorf("%s is %s, want %s", f, got, class)
	}
	if got := e.Note(f); !strings.Contains(got, note) || (note == "") != (got == "") {
		t.Errorf("%s has the note %q, want %q", f, got, note)
	}
	for rest != "" {
		d := json.NewDecoder(strings.NewReader(rest))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		outcome, more := rest[d.InputOffset():], ""
		outcome, more, _ = strings.Cut(outcome, ", ")
		if i := strings.Index(outcome, "("); i >= 0 && !strings.Contains(outcome, ")") { // a reason with a comma
			j := strings.Index(more, ")")
			outcome, more = outcome+", "+more[:j+1], strings.TrimPrefix(more[j+1:], ", ")
		}
		rest = more
		outcome, want := parenthesis(strings.TrimSpace(outcome))
		got := *base
		set(t, &got, f, value)
		o, why := e.Compare(f, &got)
		if string(o) != outcome || !strings.Contains(why, want) {
			t.Errorf("%s: %s is %s (%s), want %s (%s)", f, value, o, why, outcome, want)
		}
		gone := got
		f.Forget(&gone, "gone")
		holds := e.Holds(f, []*posture.Posture{&got})
		switch plain := e.rules[f].pred == isEqual && e.rlimitsAsked == 0 && e.choices == nil && e.ignorable == 0; {
		case holds && o != Equal:
			t.Errorf("%s: %s holds, and is %s", f, value, o)
		case !holds && o == Equal && plain:
			t.Errorf("%s: %s does not hold, and is equal", f, value)
		case e.Holds(f, []*posture.Posture{&gone}), e.Holds(f, []*posture.Posture{&got, &gone}), e.Holds(f, []*posture.Posture{&gone, &got}):
			t.Errorf("%s: holds, and was not seen", f)
		}
	}
}

// parenthesis divides "text (remark)".
func parenthesis(s string) (text, remark string) {
	text, remark, _ = strings.Cut(s, " (")
	return text, strings.TrimSuffix(remark, ")")
}

// set has a posture say that a field has a value.
func set(t *testing.T, p *posture.Posture, f Field, value json.RawMessage) {
	t.Helper()
	if n, ok := table[f].ops.(rlimit); ok {
		all, _ := p.Rlimits.Get()
		onTop(t, &all[n], string(value))
		p.Rlimits = posture.Known(all)
		return
	}
	doc := string(value)
	if outer, inner, ok := strings.Cut(f.String(), "."); ok {
		doc = `{"` + outer + `":{"` + inner + `":` + doc + `}}`
	} else {
		doc = `{"` + outer + `":` + doc + `}`
	}
	onTop(t, p, doc)
}

func onTop(t *testing.T, v any, doc string) {
	t.Helper()
	if doc == "" {
		return
	}
	d := json.NewDecoder(strings.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
}

// merge is RFC 7396.
func merge(t *testing.T, doc, patch string) string {
	t.Helper()
	if patch == "" {
		return doc
	}
	var a, b any
	for text, v := range map[string]*any{doc: &a, patch: &b} {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber() // a float has not all of 64 bits
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	out, err := json.Marshal(merged(a, b))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func merged(a, b any) any {
	patch, ok := b.(map[string]any)
	if !ok {
		return b
	}
	doc, _ := a.(map[string]any)
	out := maps.Clone(doc)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range patch {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merged(out[k], v)
		}
	}
	return out
}
