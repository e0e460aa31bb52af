package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script made from the command's own model, so that it cannot
// fall behind the flags.
func (c completionCmd) Run(s *streams, k *kong.Kong) error {
	commands := map[string][]string{}
	var names []string
	for _, n := range k.Model.Children {
		names = append(names, n.Name)
		for _, f := range n.Flags {
			commands[n.Name] = append(commands[n.Name], "--"+f.Name)
		}
	}
	var b strings.Builder
	switch c.Shell {
	case "zsh":
		b.WriteString("#compdef holdshort\nautoload -U +X bashcompinit && bashcompinit\n")
		fallthrough
	case "bash":
		b.WriteString("_holdshort() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} i\n")
		b.WriteString("\tfor ((i = 1; i < COMP_CWORD; i++)); do [[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -f -- \"$cur\")); return; }; done\n")
		fmt.Fprintf(&b, "\tif ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W %q -- \"$cur\")); return; fi\n\tcase ${COMP_WORDS[1]} in\n", strings.Join(names, " "))
		for _, n := range names {
			fmt.Fprintf(&b, "\t%s) COMPREPLY=($(compgen -W %q -- \"$cur\")); [[ $cur == -* ]] || COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n", n, strings.Join(commands[n], " "))
		}
		b.WriteString("\tesac\n}\ncomplete -F _holdshort holdshort\n")
	case "fish":
		fmt.Fprintf(&b, "complete -c holdshort -n __fish_use_subcommand -f -a %q\n", strings.Join(names, " "))
		for _, n := range k.Model.Children {
			for _, f := range n.Flags {
				fmt.Fprintf(&b, "complete -c holdshort -n '__fish_seen_subcommand_from %s' -l %s -d %q\n", n.Name, f.Name, f.Help)
			}
		}
	}
	_, err := fmt.Fprint(s.out, b.String())
	return err
}
