package reference

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
)

// Every field that is compared is in the checklist, and nothing is in it that
// no report has.
func TestChecklist_Complete(t *testing.T) {
	for _, f := range fields() {
		if !slices.ContainsFunc(checklist, func(r Row) bool { return r.covers(f) }) {
			t.Errorf("no row is about %s", f)
		}
	}
	names := fields()
	q, err := request.Parse([]byte(everything), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range oracle.Asked(q) {
		names = append(names, b.Field)
		if !slices.ContainsFunc(checklist, func(r Row) bool { return r.covers(b.Field) }) {
			t.Errorf("no row is about %s", b.Field)
		}
	}
	for _, r := range checklist {
		if r.State == "" || len(r.Checks) == 0 && r.NotJudged == "" {
			t.Errorf("%s: says nothing", r.Field)
		}
		for _, c := range r.Checks {
			one := Row{Field: "-", Checks: []string{c}}
			if !slices.ContainsFunc(names, one.covers) {
				t.Errorf("%s: no report has %s", r.Field, c)
			}
		}
	}
}

// everything asks for each thing that no posture shows.
const everything = `{"process":{"args":["x"],"terminal":true,"consoleSize":{"height":1,"width":1},"apparmorProfile":"a","selinuxLabel":"s"},"root":{"path":"/r"},
"mounts":[{"destination":"/m","type":"tmpfs"},{"destination":"/dev","type":"tmpfs"}],"hooks":{"poststop":[{"path":"/x"}]},
"linux":{"namespaces":[{"type":"mount"}],"rootfsPropagation":"private","maskedPaths":["/a"],"readonlyPaths":["/b"],"devices":[{"path":"/dev/x","type":"c","major":1,"minor":3}],
"sysctl":{"net.x":"1"},"mountLabel":"l","intelRdt":{"closID":"c"},"netDevices":{"eth0":{}},
"resources":{"devices":[{"allow":false}],"memory":{"limit":1},"cpu":{"shares":2},"pids":{"limit":1},"blockIO":{"weight":10},"hugepageLimits":[{"pageSize":"2MB","limit":1}],
"network":{"classID":1},"rdma":{"a":{"hcaHandles":1}},"unified":{"memory.high":"1"}}},"holdshort":{"cgroup":{"delegate":true}}}`

func TestExplain(t *testing.T) {
	for name, parts := range map[string][]string{
		"capabilities.effective":             {"what execve makes", "spec: https://", "read from the kernel", "read a second time"},
		"process.user.umask":                 {"runc and crun set 0022"},
		"mounts[3]":                          {"not there before"},
		"linux.maskedPaths":                  {"null device"},
		"process.capabilities.bounding":      {"exactly these sets"},
		"keyrings.session":                   {"says nothing of it"},
		"linux.resources.unified.memory.max": {"converted"},
	} {
		var b bytes.Buffer
		if ok, err := Explain(&b, name); !ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
		for _, p := range parts {
			if !strings.Contains(b.String(), p) {
				t.Errorf("%s: %q is missing in\n%s", name, p, b.String())
			}
		}
	}
	if ok, _ := Explain(&bytes.Buffer{}, "nonsense"); ok {
		t.Error("nonsense is explained")
	}
}

// The page is the table's.
func TestChecklist_PageIsCurrent(t *testing.T) {
	var b bytes.Buffer
	if err := ChecklistMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, b.Bytes()) {
		t.Error("docs/checklist.md is not what the table makes: make docs")
	}
}
