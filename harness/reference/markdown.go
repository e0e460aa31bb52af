package reference

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
)

//go:embed intro.md
var intro string

//go:embed surprises.md
var surprises string

// Markdown writes docs/constraints.md.
func Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(intro)
	for _, g := range Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n", g.Title)
		b.WriteString("| field | config.json | system call | since | proven by | sabotage caught |\n|---|---|---|---|---|---|\n")
		for i := range g.Constraints {
			b.WriteString(g.Constraints[i].row())
		}
	}
	b.WriteString("\n## Not asked for, and compared all the same\n\n| field | must be | sabotage caught |\n|---|---|---|\n")
	for _, s := range Kept {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.Field, s.Want, or(sabotaged([]string{s.Field}), "none: "+s.Untested))
	}
	b.WriteString("\n")
	b.WriteString(surprises)
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Constraint) row() string {
	var proof []string
	for _, p := range c.Proof {
		proof = append(proof, p+seen(p))
	}
	proven := strings.Join(proof, ", ")
	if c.Note != "" {
		proven += ": " + c.Note
	}
	if c.Unproven != "" {
		proven = strings.TrimPrefix(proven+"; not proven: "+c.Unproven, "; ")
	}
	caught := ""
	if c.Unproven == "" || len(c.Proof) > 0 {
		caught = or(sabotaged(c.Proof), "none: "+c.Untested)
		for _, f := range slices.Sorted(maps.Keys(c.Except)) {
			caught += "; not " + f + ": " + c.Except[f]
		}
	}
	cells := []string{strings.Join(c.Config, ", "), c.Key, c.Call, c.Since, proven, caught}
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// seen marks what is not in a posture.
func seen(proof string) string {
	if slices.ContainsFunc(fields(), func(f string) bool { return proves(proof, f) }) {
		return ""
	}
	return " †"
}

// fields are the names of all fields that a posture has.
func fields() []string {
	out := make([]string, 0, oracle.NumFields)
	for f := range oracle.NumFields {
		out = append(out, f.String())
	}
	return out
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
