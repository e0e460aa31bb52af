package compare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
)

// Schema is the version of the form of a [Line]. Members may be added.
const Schema = 1

// Line is one line of a recording; all but Schema and one other are empty.
type Line struct {
	Schema int     `json:"schema"`
	Kernel *Kernel `json:"kernel,omitempty"` // the first line
	Case   *Case   `json:"case,omitempty"`
	End    *End    `json:"end,omitempty"` // the last line
}

// Kernel is what a recording was made on.
type Kernel struct {
	Release string `json:"release"`
	Arch    string `json:"arch"`
	Seed    uint64 `json:"seed"`
	// Features were found by trying; see [Probe].
	Features map[string]string `json:"features"`
}

// Case is one case on one kernel.
type Case struct {
	Index  uint64            `json:"index"`
	Values map[string]string `json:"values"` // parameters that are on
	// Lacks names what the machine does not have of them; it was not launched
	// then.
	Lacks   []string          `json:"lacks,omitempty"`
	Request string            `json:"request,omitempty"` // hash of the request
	Seen    map[string]string `json:"seen,omitempty"`    // what is compared
	// Unstable are the keys of Seen that differed between two launches, and
	// were left out.
	Unstable []string `json:"unstable,omitempty"`
}

// End says that a recording is complete.
type End struct {
	Cases int `json:"cases"`
}

// Launcher runs one request twice and more.
type Launcher func(ctx context.Context, r *request.Request) (*harness.Case, error)

// Record launches the first n cases twice each and writes what was seen. dir is
// where the requests' files are, m what the machine can do.
func Record(ctx context.Context, out io.Writer, k Kernel, m *fuzz.Machine, n uint64, launch Launcher) error {
	e := json.NewEncoder(out)
	if err := e.Encode(Line{Schema: Schema, Kernel: &k}); err != nil {
		return err
	}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := fuzz.PortableCase(k.Seed, i, m)
		c := &Case{Index: i, Values: p.Values, Lacks: p.Lacks}
		if p.Request != nil {
			if err := c.launch(ctx, m.Dir, p.Request, launch); err != nil {
				return fmt.Errorf("case %d: %w", i, err)
			}
		}
		if err := e.Encode(Line{Schema: Schema, Case: c}); err != nil {
			return err
		}
	}
	return e.Encode(Line{Schema: Schema, End: &End{Cases: int(n)}})
}

func (c *Case) launch(ctx context.Context, dir string, r *request.Request, launch Launcher) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(bytes.ReplaceAll(b, []byte(dir), []byte("DIR")))
	c.Request = hex.EncodeToString(sum[:8])
	var runs [2]map[string]string
	for i := range runs {
		runs[i] = see(dir)(launch(ctx, r))
	}
	c.Seen = map[string]string{}
	for _, one := range runs {
		for k := range one {
			if runs[0][k] == runs[1][k] {
				c.Seen[k] = one[k]
			} else if !slices.Contains(c.Unstable, k) {
				c.Unstable = append(c.Unstable, k)
			}
		}
	}
	slices.Sort(c.Unstable)
	return nil
}

// see returns a function that writes down what of a launch can be compared.
func see(dir string) func(*harness.Case, error) map[string]string {
	return func(c *harness.Case, err error) map[string]string {
		if err != nil {
			return map[string]string{"error": strings.ReplaceAll(err.Error(), dir, "DIR")}
		}
		seen := map[string]string{"verdict": string(c.Verdict)}
		if refused, ok := errors.AsType[*checkpoint.Error](c.Launch.Err); ok {
			seen["refused"] = string(refused.Stage) + ": " + refused.Err.Error()
			return seen
		}
		if c.Verdict == harness.Unknown {
			seen["verdict"] += ": " + string(c.Cause) // reasons may name moments
		}
		for i := range c.Checks {
			ch := &c.Checks[i]
			seen[ch.Name()] = string(ch.Outcome) + value(ch, dir)
		}
		return seen
	}
}

// identifiers are fields that hold numbers which say nothing on another machine:
// of them only the outcome is compared.
var identifiers = []string{
	"namespaces.", "user_namespace.parent", "cgroup.v", "process.", "fs.root", "fs.cwd", "exec.exe", "files", "keyrings.", "landlock.rule_list",
	"sched.autogroup", "privilege.sessionid",
}

// flags are fields among them that are no identifiers after all.
var flags = []string{"process.session_leader", "process.child_subreaper", "process.threads", "process.syscall_user_dispatch", "fs.root_read_only", "fs.root_propagation", "fs.root_is_mount_root", "sched.autogroup_nice"}

func value(c *harness.Check, dir string) string {
	name := c.Name()
	if !slices.Contains(flags, name) && slices.ContainsFunc(identifiers, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return ""
	}
	got := c.Got()
	if got == nil {
		return ""
	}
	b, err := json.Marshal(got)
	if err != nil {
		return " " + err.Error()
	}
	b = bytes.ReplaceAll(b, []byte(dir), []byte("DIR"))
	if len(b) > 120 {
		sum := sha256.Sum256(b)
		return fmt.Sprintf(" %s… (%d bytes, %x)", b[:60], len(b), sum[:4])
	}
	return " " + string(b)
}
