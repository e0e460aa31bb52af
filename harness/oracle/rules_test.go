package oracle

import (
	"slices"
	"testing"

	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/probes/posture"
)

// notDetermined are fields that a request may change without saying to what.
var notDetermined = []Field{FSRootReadOnly, KeyringSessionOwner}

// TestEveryFieldHolds: a posture that is as expected has no finding, and
// nothing that was asked for is left without evidence.
func TestEveryFieldHolds(t *testing.T) {
	for name, text := range sample.Requests {
		t.Run(name, func(t *testing.T) {
			e := Expect(mustParse(t, text), sample.Caller(), testFeatures).With(facts(name))
			got := e.Sample()
			for f := range NumFields {
				switch o, why := e.Compare(f, got); {
				case o.Finding():
					t.Errorf("%s: %s (%s), want %v, got %v", f, o, why, e.Want(f), f.Value(got))
				case o == Unobservable && !slices.Contains(notDetermined, f):
					t.Errorf("%s: unobservable: %s", f, why)
				}
			}
		})
	}
}

// TestEveryFieldCanFail: a difference in one field is a finding of that field,
// and of no other.
func TestEveryFieldCanFail(t *testing.T) {
	for name, text := range sample.Requests {
		t.Run(name, func(t *testing.T) {
			e := Expect(mustParse(t, text), sample.Caller(), testFeatures).With(facts(name))
			for f := range NumFields {
				if sample.Mutations[f.String()] == nil {
					t.Errorf("%s has no mutation", f)
					continue
				}
				if o, _ := e.Compare(f, e.Sample()); o == Unobservable {
					continue
				}
				got := e.Sample()
				sample.Mutations[f.String()](got)
				for g := range NumFields {
					o, why := e.Compare(g, got)
					if (g == f) != o.Finding() {
						t.Errorf("after a change of %s, %s is %s (%s): want %v, got %v", f, g, o, why, e.Want(g), g.Value(got))
					}
				}
			}
		})
	}
}

// TestEveryFieldCanBeMissing: what was not read is never called equal.
func TestEveryFieldCanBeMissing(t *testing.T) {
	for name, text := range sample.Requests {
		e := Expect(mustParse(t, text), sample.Caller(), testFeatures).With(facts(name))
		for f := range NumFields {
			got := e.Sample()
			f.Forget(got, "gone")
			if o, why := e.Compare(f, got); o != Unobservable || why != "gone" {
				t.Errorf("%s: %s: %s (%s), want unobservable (gone)", name, f, o, why)
			}
		}
	}
}

func facts(name string) *Facts {
	f := testFacts()
	if name == "landlocked" {
		at := func(ino uint64) posture.Value[posture.Inode] { return posture.Known(posture.Inode{Dev: 5, Ino: ino}) }
		f.LandlockPaths = map[string]posture.Value[posture.Inode]{"/a": at(20), "/b": at(21), "/same": at(20)}
	}
	if name == "joined" {
		f.Joined.Namespaces.PID = posture.Known(posture.Namespace{Inode: 4026532900, Owner: 4026531837, Level: 1})
		f.Joined.Namespaces.Net = posture.Known(posture.Namespace{Inode: 4026532901, Owner: 4026531837})
	}
	return f
}

func TestFieldNames(t *testing.T) {
	seen := map[string]bool{}
	for f := range NumFields {
		n := f.String()
		if n == "" || seen[n] || table[f].ops == nil {
			t.Errorf("field %d: name %q", f, n)
		}
		seen[n] = true
		if g, ok := FieldByName(n); !ok || g != f {
			t.Errorf("FieldByName(%q) = %d, %v; want %d", n, g, ok, f)
		}
	}
}
