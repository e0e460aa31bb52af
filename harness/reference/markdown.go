package reference

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
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
		b.WriteString("| field | config.json | system call | since | proven by | in freeze mode | sabotage caught |\n|---|---|---|---|---|---|---|\n")
		for i := range g.Constraints {
			b.WriteString(g.Constraints[i].row())
		}
	}
	b.WriteString("\n## Not asked for, and compared all the same\n\n| field | must be | sabotage caught |\n|---|---|---|\n")
	for _, s := range Kept {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.Field, s.Want, or(sabotaged([]string{s.Field}), "none: "+s.Untested))
	}
	kept(&b)
	b.WriteString("\n")
	b.WriteString(surprises)
	_, err := io.WriteString(w, b.String())
	return err
}

// kept tells where the kernel has what is observed, and what is not read of a
// task.
func kept(b *strings.Builder) {
	b.WriteString("\n## Where the kernel has it\n\nThe way from `struct task_struct` to each field of a posture, in the names of the newest kernel.\n\n" +
		"| field | kernel | since | needs |\n|---|---|---|---|\n")
	for _, s := range posture.Sources() {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", s.Field, bars(s.Kernel), s.Since, s.Needs)
	}
	b.WriteString("\nNot read of a task, and why:\n\n| what | where it is | why not |\n|---|---|---|\n")
	for _, n := range posture.NotRead() {
		fmt.Fprintf(b, "| %s | %s | %s |\n", n.What, bars(n.Kernel), n.Why)
	}
}

func bars(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

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
	cells := []string{strings.Join(c.Config, ", "), c.Key, c.Call, c.Since, proven, frozen(c.Proof), caught}
	for i := range cells {
		cells[i] = bars(cells[i])
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// frozen says what of a proof is read a second time, from /proc.
func frozen(proof []string) string {
	var not, partly []string
	n := 0
	for _, p := range proof {
		if seen(p) != "" {
			n++ // read at the entry point instead of before
			continue
		}
		for _, f := range fields() {
			if !proves(p, f) {
				continue
			}
			switch {
			case procfs.Hidden(f) != "":
				not = append(not, f)
			case procfs.Partial(f):
				partly = append(partly, f)
			}
			n++
		}
	}
	switch {
	case n == 0:
		return ""
	case len(not) == n:
		return "no: " + procfs.Hidden(not[0])
	case len(not) > 0:
		return "all but " + strings.Join(not, ", ")
	case len(partly) > 0:
		return "in part"
	}
	return "yes"
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
