package reference

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
)

func constraints() []Constraint {
	var out []Constraint
	for _, g := range Groups() {
		out = append(out, g.Constraints...)
	}
	return out
}

// leaves lists the fields of a request, those of its own structs one by one.
func leaves(t reflect.Type, prefix string) []string {
	var out []string
	for f := range t.Fields() {
		name := prefix + f.Name
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == reflect.TypeFor[checkpoint.Config]().PkgPath() && !strings.HasPrefix(f.Type.Name(), "Option[") {
			out = append(out, leaves(f.Type, name+".")...)
			continue
		}
		out = append(out, name)
	}
	return out
}

// notConstraints are options that constrain nothing.
var notConstraints = map[string]string{
	"Options.Orphan":     "what becomes of the workload if its host dies",
	"Options.Stay":       "whether it may be left parked",
	"Options.BeforeRoot": "a callback of the caller's",
	"Options.Target":     "a pidfd instead of a pid in Config.Enter",
	"Enter":              "what is taken from the target is judged as if it had been asked for; see harness/enter.go",
	"Options.Relay":      "who copies its terminal",
	"Options.Times":      "whether the time of each step is noted",

	"Options.Timeouts.Spawn":  "how long the launch may take",
	"Options.Timeouts.Parked": "how long it may be parked",
	"Options.Timeouts.Exec":   "how long the last steps may take",
	"Options.Timeouts.Run":    "how long it may run",
	"Options.Timeouts.Exit":   "how long it may take to end",
}

func TestEveryRequestFieldIsInTheTable(t *testing.T) {
	names := append(leaves(reflect.TypeFor[checkpoint.Config](), ""), leaves(reflect.TypeFor[checkpoint.Options](), "Options.")...)
	covers := func(entry, name string) bool { return entry == name || strings.HasPrefix(name, entry+".") }
	for _, name := range names {
		found := notConstraints[name] != "" || slices.ContainsFunc(constraints(), func(c Constraint) bool {
			return slices.ContainsFunc(c.Config, func(e string) bool { return covers(e, name) })
		})
		if !found {
			t.Errorf("%s of a request is not in the table", name)
		}
	}
	for _, c := range constraints() {
		for _, e := range c.Config {
			if !slices.ContainsFunc(names, func(n string) bool { return covers(e, n) }) {
				t.Errorf("the table has %s, which no request has", e)
			}
		}
	}
}

func TestEveryComparedFieldIsInTheTable(t *testing.T) {
	for _, name := range fields() {
		kept := slices.ContainsFunc(Kept, func(s State) bool { return proves(s.Field, name) })
		asked := slices.ContainsFunc(constraints(), func(c Constraint) bool {
			return slices.ContainsFunc(c.Proof, func(p string) bool { return proves(p, name) })
		})
		if !kept && !asked {
			t.Errorf("%s is compared and not in the table", name)
		}
	}
	for _, s := range Kept {
		if !slices.Contains(fields(), s.Field) {
			t.Errorf("the table has %s, which no posture has", s.Field)
		}
	}
}

func TestEveryProofIsSabotaged(t *testing.T) {
	for _, c := range constraints() {
		if len(c.Proof) == 0 && c.Unproven == "" {
			t.Errorf("%s: no proof and no reason", c.Key)
		}
		if len(c.Proof) > 0 && sabotaged(c.Proof) == "" && c.Untested == "" {
			t.Errorf("%s: %v was never caught and there is no reason", c.Key, c.Proof)
		}
		if c.Untested != "" && sabotaged(c.Proof) != "" {
			t.Errorf("%s: %v was caught, so it is not untested", c.Key, c.Proof)
		}
		// A group is proven by each of its fields.
		for _, p := range c.Proof {
			for _, f := range fields() {
				if caught := sabotaged([]string{f}) != ""; proves(p, f) && caught && c.Except[f] != "" {
					t.Errorf("%s: %s was caught, so it is no exception", c.Key, f)
				}
				if proves(p, f) && sabotaged([]string{f}) == "" && c.Untested == "" && c.Except[f] == "" && !slices.ContainsFunc(Kept, func(s State) bool { return s.Field == f }) {
					t.Errorf("%s: %s was never caught", c.Key, f)
				}
			}
		}
	}
	for _, s := range Kept {
		if caught := sabotaged([]string{s.Field}) != ""; caught == (s.Untested != "") {
			t.Errorf("%s: caught %t, untested %q", s.Field, caught, s.Untested)
		}
	}
}

func TestPageIsMadeFromTheTable(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/constraints.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Error("docs/constraints.md is not what the table says: make docs")
	}
}
