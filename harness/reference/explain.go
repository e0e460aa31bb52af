package reference

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/probes/posture"
	"github.com/holdshort/holdshort/probes/procfs"
)

// covers reports whether a row is about a name: one of a report, or one of a
// request.
func (r *Row) covers(name string) bool {
	bare, _, indexed := strings.Cut(name, "[")
	for _, c := range r.Checks {
		if c == name || strings.HasSuffix(c, ".") && strings.HasPrefix(name, c) || strings.HasSuffix(c, "[") && bare == strings.TrimSuffix(c, "[") ||
			strings.HasSuffix(c, "_") && strings.HasPrefix(name, c) {
			return true
		}
	}
	if indexed {
		name = bare
	}
	for f := range strings.SplitSeq(r.Field, ",") {
		if f = strings.TrimSpace(f); f == name || strings.HasPrefix(f, name+"[") || strings.HasPrefix(f, name+".") {
			return true
		}
	}
	return false
}

// Explain writes what is judged of a field, by its name in a report or in a
// request. It reports whether there is anything of that name.
func Explain(w io.Writer, name string) (bool, error) {
	var b strings.Builder
	for i := range checklist {
		if r := &checklist[i]; r.covers(name) {
			r.explain(&b)
		}
	}
	for _, g := range Groups() {
		for i := range g.Constraints {
			c := &g.Constraints[i]
			keys := strings.Split(strings.ReplaceAll(c.Key, " ", ""), ",")
			if slices.Contains(keys, name) || slices.ContainsFunc(c.Proof, func(p string) bool { return proves(p, name) || p == name }) {
				fmt.Fprintf(&b, "our own launcher: %s by %s\n", c.Key, or(c.Call, "nothing that the kernel is told"))
			}
		}
	}
	for _, s := range posture.Sources() {
		if s.Field == name {
			fmt.Fprintf(&b, "read from the kernel: %s\n", s.Kernel)
			if s.Since+s.Needs != "" {
				fmt.Fprintf(&b, "  since or with: %s\n", strings.TrimSpace(s.Since+" "+s.Needs))
			}
			second := "read a second time from /proc with --freeze, and must agree"
			switch why := procfs.Hidden(name); {
			case why != "":
				second = "not read a second time: " + why
			case procfs.Partial(name):
				second = "read a second time in part"
			}
			b.WriteString(second + "\n")
		}
	}
	if caught := sabotaged([]string{name}); caught != "" {
		fmt.Fprintf(&b, "planted faults that the tests saw found: %s\n", caught)
	}
	_, err := io.WriteString(w, b.String())
	return b.Len() > 0, err
}

func (r *Row) explain(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n  conforms: %s\n", r.Field, r.State)
	if r.Engines != "" {
		fmt.Fprintf(b, "  engines: %s\n", r.Engines)
	}
	if r.NotJudged != "" {
		fmt.Fprintf(b, "  not judged: %s\n", r.NotJudged)
	}
	if len(r.Checks) > 0 {
		fmt.Fprintf(b, "  in reports: %s\n", strings.Join(r.Checks, ", "))
	}
	if l := r.SpecLink(); l != "" {
		fmt.Fprintf(b, "  spec: %s\n", l)
	} else {
		b.WriteString("  spec: says nothing of it\n")
	}
	b.WriteString("\n")
}

// ChecklistMarkdown writes docs/checklist.md.
func ChecklistMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`<!-- Made by internal/cmd/gendocs from harness/reference: make docs. -->
# What is judged of an engine

Every part of an OCI request, what conforms to it at the workload's first instruction, and where engines are known to
differ. ` + "`holdshort verify --explain FIELD`" + ` prints a line of it, with where the kernel keeps the field. How to verify an
engine is in [verify.md](verify.md).

Each comparison has one outcome: ` + "`equal`, `weaker`, `stronger`, `ignored` (as if nothing had been asked for), `late` (changed\nafter execve), `inherited` (the caller's, where it should not be), `leaked` (neither the caller's nor asked for), `refused`\n(the engine said no), `unobservable`" + `. All but the first and the last are findings. What was asked for and is unobservable
makes the verdict ` + "`unknown`" + `.

† is read only with ` + "`--freeze`" + `: no task shows it.

| request | conforms | in reports | engines | not judged |
|---|---|---|---|---|
`)
	for i := range checklist {
		r := &checklist[i]
		field := r.Field
		if l := r.SpecLink(); l != "" {
			field = "[" + field + "](" + l + ")"
		}
		checks := make([]string, len(r.Checks))
		for i, c := range r.Checks {
			checks[i] = "`" + c + "`" + dagger(c)
		}
		cells := []string{field, r.State, strings.Join(checks, ", "), r.Engines, r.NotJudged}
		for i := range cells {
			cells[i] = bars(cells[i])
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// dagger marks what is not in a posture.
func dagger(check string) string {
	for _, f := range fields() {
		if f == check || strings.HasPrefix(f, check) && strings.HasSuffix(check, ".") || strings.HasPrefix(f, check) && strings.HasSuffix(check, "_") {
			return ""
		}
	}
	return " †"
}
