package posture

import (
	"strings"
	"text/tabwriter"
)

// Difference is one field in which two postures differ.
type Difference struct {
	Path string `json:"field"`
	A    string `json:"a"`
	B    string `json:"b"`
	// Unreadable: one of the two was not read, so whether the field really
	// differs is not known.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Diff compares field by field, in the order of [Fields]. A field that neither
// posture has is no difference.
func Diff(a, b *Posture) []Difference {
	if a == b {
		return nil
	}
	var d []Difference
	for i := range fields {
		f := &fields[i]
		if f.Equal(a, b) {
			continue
		}
		d = append(d, Difference{
			Path: f.Path, A: f.Format(a), B: f.Format(b),
			Unreadable: f.Known(a) != f.Known(b),
		})
	}
	return d
}

// Lookup returns the field with this path.
func Lookup(path string) (Field, bool) {
	f, ok := byPath[path]
	return f, ok
}

var byPath = func() map[string]Field {
	m := make(map[string]Field, len(fields))
	for _, f := range fields {
		m[f.Path] = f
	}
	return m
}()

// Table writes the posture as a table of two columns, one field a line. It is
// not called String, so that printing a structure that holds a posture does not
// run to a hundred lines.
func (p *Posture) Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for i := range fields {
		_, _ = w.Write([]byte(fields[i].Path + "\t" + fields[i].Format(p) + "\n"))
	}
	_ = w.Flush()
	return b.String()
}
