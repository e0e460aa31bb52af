package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func table(w io.Writer, list []*stateOutput) error {
	t := tabwriter.NewWriter(w, 12, 1, 3, ' ', 0)
	fmt.Fprint(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return t.Flush()
}

// pids are the processes of a container: those of its cgroup, or, if it has
// none, the first alone.
func (c *container) pids() ([]int, error) {
	if c.status() == specs.StateStopped {
		return nil, errNotRunning
	}
	if dir := c.anyCgroup(); dir != "" {
		return pidsBelow(dir)
	}
	return []int{c.Process.PID}, nil
}

func verbPS(r *invocation, f *flagSet, args []string) error {
	format := "table"
	f.text(&format, "format", "f", "table or json")
	rest, err := f.parse(args, 1)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return wrongArgs("ps", "a container ID")
	}
	c, err := findContainer(r.root, rest[0], false)
	if err != nil {
		return err
	}
	defer c.close()
	pids, err := c.pids()
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return json.NewEncoder(r.stdout).Encode(pids)
	case "table":
	default:
		return usageError{fmt.Errorf("--format: %q is neither table nor json", format)}
	}
	options := rest[1:]
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	out, err := exec.CommandContext(r.ctx, "ps", options...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ps: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return filterPS(r.stdout, string(out), pids)
}

// filterPS keeps the heading and the lines whose column PID is wanted.
func filterPS(w io.Writer, out string, pids []int) error {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	column := -1
	for i, name := range strings.Fields(lines[0]) {
		if name == "PID" {
			column = i
		}
	}
	if column < 0 {
		return errors.New("ps: no column PID in its output")
	}
	want := map[string]bool{}
	for _, pid := range pids {
		want[strconv.Itoa(pid)] = true
	}
	fmt.Fprintln(w, lines[0])
	for _, l := range lines[1:] {
		if f := strings.Fields(l); len(f) > column && want[f[column]] {
			fmt.Fprintln(w, l)
		}
	}
	return nil
}
