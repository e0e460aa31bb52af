package compare

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/oracle"
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
	// Came is what the launches came to, if that was not the same.
	Came []string `json:"came,omitempty"`
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
		if err := e.Encode(Line{Schema: Schema, Case: One(ctx, k.Seed, i, m, launch)}); err != nil {
			return err
		}
	}
	return e.Encode(Line{Schema: Schema, End: &End{Cases: int(n)}})
}

// One launches one case twice.
func One(ctx context.Context, seed, index uint64, m *fuzz.Machine, launch Launcher) *Case {
	p := fuzz.PortableCase(seed, index, m)
	c := &Case{Index: index, Values: p.Values, Lacks: p.Lacks, Request: p.ID}
	if p.Request != nil {
		c.launch(ctx, newMachine(m), p.Request, launch)
	}
	return c
}

// names replaces what belongs to the campaign by what is the same in all.
func names(m *fuzz.Machine) *strings.Replacer {
	pairs := []string{m.Dir, "DIR", "holdshort-" + m.Tag + "-", "holdshort-TAG-", `"h` + m.Tag, `"hTAG`}
	if m.CgroupV2 != "" {
		pairs = append(pairs, m.CgroupV2+"/", "CGROUP/")
	}
	return strings.NewReplacer(pairs...)
}

func (c *Case) launch(ctx context.Context, m *machine, r *request.Request, launch Launcher) {
	var runs [2]map[string]string
	for i := range runs {
		if i > 0 {
			r = anew(r)
		}
		runs[i] = m.see(launch(ctx, r))
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
	if came := func(r map[string]string) string { return cmp.Or(r["error"], r["refused"], r["verdict"]) }; came(runs[0]) != came(runs[1]) {
		c.Came = []string{came(runs[0]), came(runs[1])}
	}
}

// again marks the names of what outlives the first launch for a while.
const again = "-again"

// anew is the same request for another launch: a keyring of the same name would
// be joined, as long as the kernel has not collected it, and perhaps not be
// allowed to.
func anew(r *request.Request) *request.Request {
	if r.Ext.Keyring == nil || r.Ext.Keyring.Name == "" {
		return r
	}
	other, k := *r, *r.Ext.Keyring
	k.Name += again
	other.Ext.Keyring = &k
	return &other
}

// see writes down what of a launch can be compared.
func (m *machine) see(c *harness.Case, err error) map[string]string {
	if err != nil {
		return map[string]string{"error": m.same(err.Error())}
	}
	seen := map[string]string{"verdict": string(c.Verdict)}
	if refused, ok := errors.AsType[*checkpoint.Error](c.Launch.Err); ok {
		seen["refused"] = m.same(string(refused.Stage) + ": " + refused.Err.Error())
		return seen
	}
	if c.Verdict == harness.Unknown {
		seen["verdict"] += ": " + string(c.Cause) // reasons may name moments
	}
	for i := range c.Checks {
		ch := &c.Checks[i]
		seen[ch.Name()] = strings.ReplaceAll(string(ch.Outcome)+value(ch, m), again, "")
	}
	return seen
}

// identifiers are fields that hold numbers which say nothing on another machine:
// of them only the outcome is compared.
var identifiers = []string{
	"namespaces.", "user_namespace.parent", "cgroup.v", "process.", "fs.root", "fs.cwd", "exec.exe", "files", "keyrings.", "landlock.rule_list",
	"sched.autogroup", "privilege.sessionid",
	"rlimits.nproc", "rlimits.sigpending", // follow from the size of memory
	"exec.comm", // of a program by descriptor it is the descriptor's number on some kernels
}

// flags are fields among them that are no identifiers after all.
var flags = []string{"process.session_leader", "process.child_subreaper", "process.threads", "process.syscall_user_dispatch", "fs.root_read_only", "fs.root_propagation", "fs.root_is_mount_root", "sched.autogroup_nice"}

func value(c *harness.Check, m *machine) string {
	name := c.Name()
	if !slices.Contains(flags, name) && slices.ContainsFunc(identifiers, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return ""
	}
	got := c.Got()
	if got == nil {
		return ""
	}
	// What was not asked for is what the caller has, on each machine another:
	// limits, processors, names, privileges. That it is so is what counts.
	if c.Class() == oracle.Kept && c.Outcome == oracle.Equal {
		return " as in the caller"
	}
	b, err := json.Marshal(got)
	if err != nil {
		return " " + err.Error()
	}
	text := m.same(string(m.value(name, b)))
	if strings.HasPrefix(name, "holdshort.network.links") { // the kernel's work queue says it, some time later
		text = strings.ReplaceAll(text, "|running", "")
	}
	if strings.Contains(text, `"type":"rootfs"`) { // its size is that of the memory
		text = ofMemory.ReplaceAllString(text, "$1=N")
	}
	if len(text) > maxValue {
		sum := sha256.Sum256([]byte(text))
		return fmt.Sprintf(" %s… (%d bytes, %x)", text[:60], len(text), sum[:4])
	}
	return " " + text
}

// maxValue is how long a value may be that is written down as it is. A fact that
// is about a part of a value needs the whole.
const maxValue = 8 << 10

var ofMemory = regexp.MustCompile(`\b(size|nr_inodes)=[0-9]+k?`)
