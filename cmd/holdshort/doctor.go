package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/holdshort/holdshort/harness"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the long text of "doctor --help".
func (doctorCmd) Help() string {
	return `Every hook is proven by a small process of our own: attached is not yet live. Exit status 3 if the three snapshots that a verdict needs cannot be taken here.`
}

func (c doctorCmd) Run(ctx context.Context, s *streams) error {
	d, err := harness.Examine(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		b, err := json.Marshal(d)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(s.out, string(b)); err != nil {
			return err
		}
	} else {
		printDiagnosis(s.out, d, style(s.out))
	}
	if !d.CanVerify {
		return &exit{code: harness.ExitUnsupported}
	}
	return nil
}

func printDiagnosis(out io.Writer, d *harness.Diagnosis, st harness.Style) {
	mark := func(ok bool) string {
		switch {
		case ok && st.Color:
			return "\x1b[32myes\x1b[0m"
		case st.Color:
			return "\x1b[31mno\x1b[0m "
		case ok:
			return "yes"
		}
		return "no "
	}
	fmt.Fprintf(out, "Linux %s, %s; %s\n", d.Kernel, d.Arch, d.Who)
	section := func(title string, rows []harness.Finding) {
		fmt.Fprintf(out, "\n%s\n", title)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, f := range rows {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", mark(f.OK), f.Name, f.Detail)
		}
		w.Flush()
	}
	section("hooks, each proven by a canary process", d.Hooks)
	section("launching", d.Launch)
	section("kernel", d.Kernels)
	if len(d.Unseen) > 0 {
		section("cannot be verified here", d.Unseen)
	}
	if d.CanVerify {
		fmt.Fprintln(out, "\nVerdicts can be given here.")
	} else {
		fmt.Fprintln(out, "\nNo verdict but \"unknown\" can be given here.")
	}
}
