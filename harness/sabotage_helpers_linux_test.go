package harness

import (
	"errors"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// theRunner is one for all tables: to open one takes seconds. It ends with the
// process.
var theRunner = sync.OnceValues(func() (*Runner, error) { return NewRunner(bg, &RunnerOptions{Freeze: *frozenTables}) })

// frozenTables lets the tables run in freeze mode: go test ./harness -run Sabotage -freeze.
var frozenTables = flag.Bool("freeze", false, "plant the faults of the tables in frozen workloads")

func shared(t testing.TB) *Runner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	r, err := theRunner()
	if err != nil {
		t.Fatal(err)
	}
	if r.ProbesErr != nil {
		t.Skip("needs eBPF: " + r.ProbesErr.Error())
	}
	return r
}

// untouched is the shared runner with nothing planted, and afterwards as well.
func untouched(t testing.TB) *Runner {
	t.Helper()
	r := shared(t)
	r.tamper, r.parked = nil, nil
	t.Cleanup(func() { r.tamper, r.parked = nil, nil })
	return r
}

// sabotage is one fault that is planted in a launch. The same request without
// the fault must be constrained, with it violated.
type sabotage struct {
	name string
	// need names what is missing here, or is empty.
	need func(t *testing.T, r *Runner) string
	// ask changes a request that asks for nothing.
	ask  func(t *testing.T, q *request.Request)
	opts func(t *testing.T) *checkpoint.Options

	tamper func(c *checkpoint.Config, o *checkpoint.Options)
	parked func(t *testing.T, r *Runner, w *checkpoint.Workload)

	// want are the findings that must be there, also those that may be:
	// a constraint that is skipped has consequences elsewhere.
	want map[string]oracle.Outcome
	also []string
}

// found are the fields that are found wrong.
func found(c *Case) map[string]oracle.Outcome {
	out := map[string]oracle.Outcome{}
	for i := range c.Checks {
		if k := &c.Checks[i]; k.Outcome.Finding() {
			out[k.Name()] = k.Outcome
		}
	}
	return out
}

// allowed reports whether a field is in a list of which entries that end with
// a point are groups.
func allowed(list []string, field string) bool {
	return slices.ContainsFunc(list, func(a string) bool {
		return a == field || strings.HasSuffix(a, ".") && strings.HasPrefix(field, a)
	})
}

func (s *sabotage) run(t *testing.T, r *Runner) {
	t.Helper()
	t.Cleanup(func() { noteSkipped(t) })
	if s.need != nil {
		if what := s.need(t, r); what != "" {
			t.Skip("needs " + what)
		}
	}
	q := request.New("/bin/true")
	if s.ask != nil {
		s.ask(t, q)
	}
	if err := q.Validate(); err != nil {
		t.Fatal(err)
	}
	var opts *checkpoint.Options
	if s.opts != nil {
		opts = s.opts(t)
	}
	r.tamper, r.parked = nil, nil
	c, err := r.Run(bg, q, opts)
	if err != nil {
		t.Fatal("control:", err)
	}
	if c.Verdict != Constrained {
		t.Fatalf("control: verdict %s; want constrained\n%s", c.Verdict, text(c))
	}
	settle()
	defer settle()
	r.tamper = s.tamper
	if s.parked != nil {
		r.parked = func(w *checkpoint.Workload) { s.parked(t, r, w) }
	}
	defer func() { r.tamper, r.parked = nil, nil }()
	if c, err = r.Run(bg, q, opts); err != nil {
		t.Fatal(err)
	}
	s.judge(t, c)
}

func (s *sabotage) judge(t *testing.T, c *Case) {
	t.Helper()
	if c.Verdict != Violated {
		t.Errorf("verdict %s; want violated\n%s", c.Verdict, text(c))
	}
	got := found(c)
	for f, o := range s.want {
		if got[f] != o {
			t.Errorf("%s is %q; want %q", f, got[f], o)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(got)) {
		if _, ok := s.want[f]; !ok && !allowed(s.also, f) {
			t.Errorf("unrelated finding %s: %s", f, got[f])
		}
	}
	if t.Failed() {
		t.Logf("\n%s", text(c))
		return
	}
	noteCaught(t, s.want)
}

// hostLink begins the names of the host's ends of pairs.
var hostLink = "hs" + strconv.Itoa(os.Getpid()%100000)

// settle waits until the pairs of the last launch are gone, which the kernel
// takes down after the last process of their namespace has ended.
func settle() {
	for range 500 {
		if left, _ := filepath.Glob("/sys/class/net/" + hostLink + "*"); len(left) == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the kernel has no event for the end of a namespace
	}
}

func table(t *testing.T, rows []sabotage) {
	t.Helper()
	r := shared(t)
	for i := range rows {
		t.Run(rows[i].name, func(t *testing.T) { rows[i].run(t, r) })
	}
}

func ns(kinds ...specs.LinuxNamespaceType) func(*testing.T, *request.Request) {
	return func(_ *testing.T, q *request.Request) {
		for _, k := range kinds {
			q.Spec.Linux.Namespaces = append(q.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: k})
		}
	}
}

// allIDs is the identity map, so that a user namespace changes no id.
func allIDs(q *request.Request) {
	q.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1<<32 - 1}}
	q.Spec.Linux.GIDMappings = q.Spec.Linux.UIDMappings
}

func without(kind checkpoint.NamespaceKind) func(*checkpoint.Config, *checkpoint.Options) {
	return func(c *checkpoint.Config, _ *checkpoint.Options) {
		c.Namespaces = slices.DeleteFunc(c.Namespaces, func(n checkpoint.Namespace) bool { return n.Kind == kind })
	}
}

func config(f func(c *checkpoint.Config)) func(*checkpoint.Config, *checkpoint.Options) {
	return func(c *checkpoint.Config, _ *checkpoint.Options) { f(c) }
}

// cgroupDir makes a cgroup below a mount point; it is removed at the end.
func cgroupDir(t *testing.T, mount, name string) string {
	t.Helper()
	dir := filepath.Join(mount, "holdshort-sabotage-"+strconv.Itoa(os.Getpid())+"-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.Skip("needs a cgroup that can be made: " + err.Error())
	}
	t.Cleanup(func() {
		for range 200 {
			if err := os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
		}
		t.Errorf("%s is left", dir)
	})
	return dir
}

// rootfs is a directory with /bin/true, /bin/sleep and their libraries.
func rootfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"proc", "tmp", "mnt", "dev"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{"/bin/true", "/bin/sleep"}
	out, err := exec.Command("ldd", files...).Output()
	if err != nil {
		t.Skip("needs ldd(1): " + err.Error())
	}
	for f := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(f, "/") && !strings.HasSuffix(f, ":") {
			files = append(files, f)
		}
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
