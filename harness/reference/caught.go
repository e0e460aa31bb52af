package reference

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed caught.txt
var caughtText string

// Catch is one planted fault that a test saw found.
type Catch struct {
	Field, Class, Test string
}

// Caught lists every planted fault that the sabotage tests saw found, as they
// recorded it themselves.
func Caught() []Catch {
	var out []Catch
	for l := range strings.SplitSeq(strings.TrimSpace(caughtText), "\n") {
		if f := strings.Fields(l); len(f) == 3 {
			out = append(out, Catch{f[0], f[1], f[2]})
		}
	}
	return out
}

// proves reports whether a proof of the table stands for a field's name.
func proves(proof, field string) bool {
	switch {
	case strings.HasSuffix(proof, "[]"):
		return strings.HasPrefix(field, strings.TrimSuffix(proof, "]"))
	case strings.HasSuffix(proof, "."):
		return strings.HasPrefix(field, proof)
	}
	return field == proof || strings.HasPrefix(field, proof+".")
}

// sabotaged says in a few words which faults were caught by these proofs.
func sabotaged(proofs []string) string {
	classes, tests := map[string]int{}, map[string]bool{}
	for _, c := range Caught() {
		if slices.ContainsFunc(proofs, func(p string) bool { return proves(p, c.Field) }) {
			classes[c.Class]++
			name, _, _ := strings.Cut(c.Test, "/")
			tests[name] = true
		}
	}
	if len(classes) == 0 {
		return ""
	}
	var words []string
	for _, c := range slices.Sorted(maps.Keys(classes)) {
		words = append(words, fmt.Sprintf("%s %d", c, classes[c]))
	}
	return strings.Join(words, ", ") + ": " + strings.Join(slices.Sorted(maps.Keys(tests)), ", ")
}
