package shim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
)

// The calls of those that call runtimes, as they were seen or as their sources
// have them.
func TestParseCall(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		want Call
		rest string
	}{
		"podman creates": {
			"--cgroup-manager cgroupfs --log /x create --bundle /b --pid-file /p --console-socket /c ID", Call{Verb: "create", ID: "ID", Bundle: "/b", PIDFile: "/p"}, "",
		},
		"containerd creates": {
			"--root /run/containerd/runc/ns --log /l/log.json --log-format json create --bundle /b --pid-file /b/init.pid ID",
			Call{Verb: "create", ID: "ID", Root: "/run/containerd/runc/ns", Bundle: "/b", PIDFile: "/b/init.pid"},
			"",
		},
		"containerd executes":   {"--root /r --log-format=json exec --process /p.json --detach --pid-file=/p ID", Call{Verb: "exec", ID: "ID", Root: "/r", Process: "/p.json", PIDFile: "/p"}, ""},
		"podman executes":       {"exec --pid-file /p --process /q -d ID", Call{Verb: "exec", ID: "ID", Process: "/q", PIDFile: "/p"}, ""},
		"somebody executes":     {"exec -t -e A=b ID sh -c x", Call{Verb: "exec", ID: "ID"}, "sh -c x"},
		"somebody runs":         {"run --bundle=/b -d ID", Call{Verb: "run", ID: "ID", Bundle: "/b"}, ""},
		"runs where it is":      {"run ID", Call{Verb: "run", ID: "ID", Bundle: "."}, ""},
		"starts":                {"--rootless=auto start ID", Call{Verb: "start", ID: "ID"}, ""},
		"asks":                  {"--version", Call{}, ""},
		"the state":             {"--root /r state ID", Call{Verb: "state", ID: "ID", Root: "/r"}, ""},
		"with a systemd cgroup": {"--systemd-cgroup create --bundle /b ID", Call{Verb: "create", ID: "ID", Bundle: "/b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ParseCall(strings.Fields(c.args))
			if rest := strings.Join(got.args, " "); rest != c.rest {
				t.Errorf("what follows: %q; want %q", rest, c.rest)
			}
			a, b := *got, c.want
			a.flags, a.args = nil, nil
			x, _ := json.Marshal(a)
			y, _ := json.Marshal(b)
			if string(x) != string(y) {
				t.Errorf("got %s; want %s", x, y)
			}
		})
	}
}

// What is asked of a second process comes from the call; where it is, from the
// container.
func TestInside(t *testing.T) {
	container, err := request.Parse([]byte(`{"process":{"args":["/x"],"env":["A=1"],"cwd":"/","noNewPrivileges":true},
		"linux":{"namespaces":[{"type":"pid"},{"type":"mount"}],"maskedPaths":["/proc/keys"],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}`), true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseCall(strings.Fields("exec --cwd /t -e B=2 -u 5:6 ID /y z")).inside(container, 77)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"args":["/y","z"]`, `"env":["A=1","B=2"]`, `"cwd":"/t"`, `"uid":5`, `"gid":6`, `"noNewPrivileges":true`,
		`"path":"/proc/77/ns/pid"`, `"path":"/proc/77/ns/mnt"`, `"seccomp"`,
	} {
		if !strings.Contains(string(b), part) {
			t.Errorf("%s is missing in %s", part, b)
		}
	}
	if strings.Contains(string(b), "maskedPaths") {
		t.Errorf("a second process masks nothing: %s", b)
	}
	if _, err := ParseCall(strings.Fields("exec ID")).inside(container, 77); err == nil {
		t.Error("an exec of nothing is accepted")
	}
}
