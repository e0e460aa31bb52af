package compare

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
)

// mostExplained is how many differences are shown of each fact; JSON has all.
const mostExplained = 3

// Text writes a comparison for people: findings first, then what is explained.
func (c *Comparison) Text(w io.Writer) error {
	var b strings.Builder
	for _, f := range c.Faults {
		fmt.Fprintf(&b, "%s\n", f)
	}
	show := func(d *Difference) {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(d.String(), "\n", "\n      "))
	}
	if c.Unexplained() > 0 {
		fmt.Fprintf(&b, "Kernels differ, and no known fact explains it:\n")
		for i := range c.Differences {
			if d := &c.Differences[i]; d.Fact == nil {
				show(d)
			}
		}
	}
	if c.Unexplained() < len(c.Differences) {
		fmt.Fprintf(&b, "Kernels differ, as they must:\n")
		var facts []*Fact
		for i := range c.Differences {
			if f := c.Differences[i].Fact; f != nil && !slices.Contains(facts, f) {
				facts = append(facts, f)
			}
		}
		for _, f := range facts {
			fmt.Fprintf(&b, "  %s\n      (%s; told by %s)\n", f.Text, f.Source, f.Feature)
			more := 0
			for i := range c.Differences {
				switch d := &c.Differences[i]; {
				case d.Fact != f:
				case more < mostExplained:
					fmt.Fprintf(&b, "  ")
					show(d)
					more++
				default:
					more++
				}
			}
			if more > mostExplained {
				fmt.Fprintf(&b, "    and %d more\n", more-mostExplained)
			}
		}
	}
	fmt.Fprintf(&b, "%d cases compared on %s, %d possible on fewer than two kernels, %d that came to another request on some; %d differences, %d unexplained; %d things left out that one kernel did not say twice\n",
		c.Compared, strings.Join(c.Kernels, ", "), c.Elsewhere, c.Other, len(c.Differences), c.Unexplained(), c.Unstable)
	_, err := io.WriteString(w, b.String())
	return err
}

// String is what differs, then a line for each value.
func (d *Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d cases; %d: %s)", d.What, d.Cases, d.Index, fuzz.Words(d.Example))
	values := slices.Sorted(maps.Keys(d.Values))
	for i, short := range excerpts(values) {
		fmt.Fprintf(&b, "\n%s: %s", strings.Join(d.Values[values[i]], ", "), short)
	}
	return b.String()
}

// excerpts cuts long values to the place from which on they differ.
func excerpts(values []string) []string {
	const before, most = 60, 300
	equal := 0
	if len(values) > 1 {
		first, last := values[0], values[len(values)-1] // sorted: what these have in common all have
		for equal < min(len(first), len(last)) && first[equal] == last[equal] {
			equal++
		}
	}
	out := slices.Clone(values)
	for i, v := range out {
		if len(v) <= most {
			continue
		}
		from := max(min(equal-before, len(v)-before), 0)
		to := min(from+most, len(v))
		v = strings.ToValidUTF8(v[from:to], "")
		if from > 0 {
			v = "…" + v
		}
		if to < len(out[i]) {
			v += "…"
		}
		out[i] = v
	}
	return out
}
