package compare

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz"
)

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
			for i := range c.Differences {
				if d := &c.Differences[i]; d.Fact == f {
					fmt.Fprintf(&b, "  ")
					show(d)
				}
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
	for _, v := range slices.Sorted(maps.Keys(d.Values)) {
		fmt.Fprintf(&b, "\n%s: %s", strings.Join(d.Values[v], ", "), v)
	}
	return b.String()
}
