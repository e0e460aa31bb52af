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

//go:embed caught-guests.txt
var guestsText string

// Catch is one planted fault that a test saw found.
type Catch struct {
	Field, Class, Test string
	// Kernels are the guests' in which it was seen, oldest first; empty if it
	// is seen on the machine that the page is made on.
	Kernels []string
}

// Caught lists every planted fault that the sabotage tests saw found, as they
// recorded it themselves.
func Caught() []Catch {
	var out []Catch
	for l := range strings.SplitSeq(strings.TrimSpace(caughtText), "\n") {
		if f := strings.Fields(l); len(f) == 3 {
			out = append(out, Catch{Field: f[0], Class: f[1], Test: f[2]})
		}
	}
	for l := range strings.SplitSeq(strings.TrimSpace(guestsText), "\n") {
		if f := strings.Fields(l); len(f) == 4 {
			out = append(out, Catch{f[0], f[1], f[2], strings.Split(f[3], ",")})
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
	var here, guests counts
	for _, c := range Caught() {
		if slices.ContainsFunc(proofs, func(p string) bool { return proves(p, c.Field) }) {
			if len(c.Kernels) == 0 {
				here.add(c)
			} else {
				guests.add(c)
			}
		}
	}
	text := here.String()
	if g := guests.String(); g != "" {
		if text != "" {
			text += "; "
		}
		text += "in guests of " + strings.Join(guests.kernels, ", ") + ": " + g
	}
	return text
}

// counts sums up what was caught.
type counts struct {
	classes map[string]int
	tests   map[string]bool
	kernels []string
}

func (n *counts) add(c Catch) {
	if n.classes == nil {
		n.classes, n.tests = map[string]int{}, map[string]bool{}
	}
	n.classes[c.Class]++
	name, _, _ := strings.Cut(c.Test, "/")
	n.tests[name] = true
	for _, k := range c.Kernels {
		if i, found := slices.BinarySearchFunc(n.kernels, k, older); !found {
			n.kernels = slices.Insert(n.kernels, i, k)
		}
	}
}

// older orders series of kernels: 5.10 before 6.1.
func older(a, b string) int {
	var x, y [2]int
	_, _ = fmt.Sscanf(a, "%d.%d", &x[0], &x[1])
	_, _ = fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return slices.Compare(x[:], y[:])
}

func (n *counts) String() string {
	if len(n.classes) == 0 {
		return ""
	}
	var words []string
	for _, c := range slices.Sorted(maps.Keys(n.classes)) {
		words = append(words, fmt.Sprintf("%s %d", c, n.classes[c]))
	}
	return strings.Join(words, ", ") + ": " + strings.Join(slices.Sorted(maps.Keys(n.tests)), ", ")
}
