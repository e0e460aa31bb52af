package historic

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

//go:embed intro.md
var intro string

// Markdown writes docs/historic.md.
func Markdown(w io.Writer) error {
	var b strings.Builder
	rows := Rows()
	raised, unseen, missing := 0, 0, 0
	for i := range rows {
		here, kernels := rows[i].Raised()
		switch {
		case rows[i].Unseen != "":
			unseen++
		case here || len(kernels) > 0:
			raised++
		default:
			missing++
		}
	}
	fmt.Fprintf(&b, intro, len(rows), raised, unseen, missing)
	b.WriteString("\n| | what was wrong | where | made again by | raised as | seen |\n|---|---|---|---|---|---|\n")
	for i := range rows {
		b.WriteString(rows[i].markdown())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Row) markdown() string {
	var finds []string
	for _, f := range slices.Sorted(maps.Keys(r.Finds)) {
		finds = append(finds, fmt.Sprintf("`%s` %s", f, r.Finds[f]))
	}
	how, as := r.How, strings.Join(finds, ", ")
	if r.Frozen {
		as += " †"
	}
	if r.Unseen != "" {
		how, as = r.Unseen, "not observable"
	}
	return fmt.Sprintf("| %d | %s (%s) | %s | %s | %s | %s |\n", r.Number, r.Title, r.ID, r.Where, bars(how), as, r.seen())
}

// seen says where the tests saw the row raised.
func (r *Row) seen() string {
	here, kernels := r.Raised()
	switch guests := "in guests of " + strings.Join(kernels, ", "); {
	case r.Unseen != "":
		return ""
	case here && len(kernels) > 0:
		return "here, " + guests
	case here:
		return "here"
	case len(kernels) > 0:
		return guests
	}
	return "nowhere yet: needs " + r.Needs
}

func bars(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
