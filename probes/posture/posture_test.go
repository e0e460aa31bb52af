package posture

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full returns a posture in which every field is known. Only tests use
// reflection.
func full(t *testing.T) *Posture {
	t.Helper()
	p := &Posture{}
	n := 0
	fill(reflect.ValueOf(p).Elem(), &n)
	return p
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		if k := v.FieldByName("known"); k.IsValid() {
			inner := v.Field(0)
			x := reflect.New(inner.Type()).Elem()
			fill(x, n)
			b, _ := json.Marshal(x.Interface())
			if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(b); err != nil {
				panic(err)
			}
			return
		}
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", *n%5+1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 200))
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n % 200))
	}
}

// paths lists the JSON paths of all Values of the structure.
func paths(t reflect.Type, prefix string) (list []string) {
	for f := range t.Fields() {
		name := prefix + strings.Split(f.Tag.Get("json"), ",")[0]
		if _, ok := f.Type.FieldByName("known"); ok {
			list = append(list, name)
			continue
		}
		list = append(list, paths(f.Type, name+".")...)
	}
	return list
}

func TestFields_CoverTheStructureInOrder(t *testing.T) {
	want := paths(reflect.TypeFor[Posture](), "")
	var got []string
	for _, f := range Fields() {
		p := f.Path
		if strings.HasPrefix(p, "rlimits.") {
			if len(got) > 0 && got[len(got)-1] == "rlimits" {
				continue
			}
			p = "rlimits"
		}
		got = append(got, p)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("fields (-structure +table):\n%s", d)
	}
}

// Each field must see a change of its own value and of no other's.
func TestFields_EachSeesItsOwnValue(t *testing.T) {
	for _, f := range Fields() {
		t.Run(f.Path, func(t *testing.T) {
			a, b := full(t), full(t)
			if d := Diff(a, b); d != nil {
				t.Fatalf("equal postures differ: %v", d)
			}
			path := strings.Split(f.Path, ".")
			one := path[0] == "rlimits"
			if one {
				path = path[:1]
			}
			unread(reflect.ValueOf(b).Elem(), path)
			d := Diff(a, b)
			if one {
				if len(d) != 16 {
					t.Errorf("%d differences, want 16", len(d))
				}
				return
			}
			if len(d) != 1 || d[0].Path != f.Path || !d[0].Unreadable {
				t.Errorf("differences %+v, want only %s", d, f.Path)
			}
			if f.Known(b) || f.Why(b) != "not read" || f.Value(b) != nil || !strings.HasPrefix(f.Format(b), "? (") {
				t.Errorf("an unread field is shown as %q", f.Format(b))
			}
			if !f.Known(a) || f.Why(a) != "" || f.Value(a) == nil || f.Format(a) == "" {
				t.Error("a known field is not")
			}
		})
	}
}

func unread(v reflect.Value, path []string) {
	for i := range v.NumField() {
		if strings.Split(v.Type().Field(i).Tag.Get("json"), ",")[0] != path[0] {
			continue
		}
		if len(path) == 1 {
			v.Field(i).SetZero()
			return
		}
		unread(v.Field(i), path[1:])
		return
	}
	panic("no field " + path[0])
}

func TestPosture_JSONRoundTrip(t *testing.T) {
	for name, p := range map[string]*Posture{"full": full(t), "unread": {}} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var got Posture
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if d := Diff(p, &got); d != nil {
				t.Errorf("differences: %+v", d)
			}
		})
	}
}

func TestDiff_ShowsBothSides(t *testing.T) {
	a, b := full(t), full(t)
	a.Capabilities.Bounding = Known(AllCaps)
	b.Capabilities.Bounding = Known(AllCaps &^ (1 << 24))
	b.IDs.Groups = Known([]uint32{})
	want := []Difference{
		{Path: "ids.groups", A: a.format(t, "ids.groups"), B: "none"},
		{Path: "capabilities.bounding", A: "all", B: "all but sys_resource"},
	}
	if d := cmp.Diff(want, Diff(a, b)); d != "" {
		t.Error(d)
	}
}

func (p *Posture) format(t *testing.T, path string) string {
	t.Helper()
	f, ok := Lookup(path)
	if !ok {
		t.Fatalf("no field %s", path)
	}
	return f.Format(p)
}

func TestCapSet_String(t *testing.T) {
	for c, want := range map[CapSet]string{
		0: "none", AllCaps: "all", 1: "chown", 1<<21 | 1<<0: "chown,sys_admin", 1 << 63: "63", AllCaps &^ 1: "all but chown",
	} {
		if got := c.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint64(c), got, want)
		}
	}
}

func TestPosture_Table(t *testing.T) {
	text := full(t).Table()
	if n := strings.Count(text, "\n"); n != len(Fields()) {
		t.Errorf("%d lines for %d fields", n, len(Fields()))
	}
}

func BenchmarkDiff(b *testing.B) {
	t := &testing.T{}
	x, y := full(t), full(t)
	b.ReportAllocs()
	for b.Loop() {
		if Diff(x, y) != nil {
			b.Fatal("differ")
		}
	}
}
