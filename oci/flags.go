package oci

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// flagSet is package flag with short and long names, and flags that may stand
// behind the arguments, as callers of runc have it.
type flagSet struct {
	set  *flag.FlagSet
	help []string
}

func newFlagSet(name string) *flagSet {
	f := &flagSet{set: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.set.SetOutput(io.Discard)
	return f
}

func (f *flagSet) note(long, short, value, help string) {
	names := "--" + long + value
	if short != "" {
		names = "-" + short + ", " + names
	}
	f.help = append(f.help, fmt.Sprintf("   %-28s %s", names, help))
}

func (f *flagSet) text(p *string, long, short, help string) {
	f.note(long, short, " VALUE", help)
	f.set.StringVar(p, long, *p, help)
	if short != "" {
		f.set.StringVar(p, short, *p, help)
	}
}

func (f *flagSet) number(p *int, long, short, help string) {
	f.note(long, short, " N", help)
	f.set.IntVar(p, long, *p, help)
	if short != "" {
		f.set.IntVar(p, short, *p, help)
	}
}

func (f *flagSet) flag(p *bool, long, short, help string) {
	f.note(long, short, "", help)
	f.set.BoolVar(p, long, *p, help)
	if short != "" {
		f.set.BoolVar(p, short, *p, help)
	}
}

// list is a flag that may be given more than once.
func (f *flagSet) list(p *[]string, long, short, help string) {
	f.note(long, short, " VALUE", help)
	add := func(s string) error { *p = append(*p, s); return nil }
	f.set.Func(long, help, add)
	if short != "" {
		f.set.Func(short, help, add)
	}
}

// parse returns the arguments. At most "first" of them are looked for flags
// behind them; -1 is all.
func (f *flagSet) parse(args []string, first int) ([]string, error) {
	var out []string
	for {
		if err := f.set.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usageError{err}
		}
		rest := f.set.Args()
		// "--" ends the flags for good.
		if n := len(args) - len(rest); len(rest) == 0 || n > 0 && args[n-1] == "--" || first >= 0 && len(out) >= first {
			return append(out, rest...), nil
		}
		out, args = append(out, rest[0]), rest[1:]
		if first >= 0 && len(out) >= first {
			return append(out, args...), nil
		}
	}
}

// given are the names of the flags that were on the command line, in order of
// name.
func (f *flagSet) given() []string {
	var out []string
	f.set.Visit(func(g *flag.Flag) { out = append(out, g.Name) })
	return out
}

// value is that of a flag, as text.
func (f *flagSet) value(name string) string { return f.set.Lookup(name).Value.String() }

func (f *flagSet) usage(line string) string {
	return "USAGE:\n   holdshort oci " + line + "\n\nOPTIONS:\n" + strings.Join(f.help, "\n") + "\n"
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func wrongArgs(verb string, want string) error {
	return usageError{fmt.Errorf("%s: needs %s", verb, want)}
}
