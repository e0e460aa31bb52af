package main

import (
	"fmt"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/reference"
)

// explain prints what is judged of a field.
func explain(s *streams, name string) error {
	if name == "all" {
		for _, r := range reference.Checklist() {
			if _, err := fmt.Fprintf(s.out, "%-60s %s\n", r.Field, strings.Join(r.Checks, " ")); err != nil {
				return err
			}
		}
		return nil
	}
	ok, err := reference.Explain(s.out, name)
	if err != nil || ok {
		return err
	}
	var near []string
	for f := range oracle.NumFields {
		if n := f.String(); strings.Contains(n, name[strings.LastIndexByte(name, '.')+1:]) {
			near = append(near, n)
		}
	}
	if len(near) > 0 {
		return usage(fmt.Errorf("--explain: no field is called %q; perhaps %s", name, strings.Join(near, ", ")))
	}
	return usage(fmt.Errorf("--explain: no field is called %q; \"all\" lists them", name))
}
