package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// typicalBundle asks for what engines ask for by default: every mount, mask
// and read-only path of it.
func typicalBundle(root string) *request.Request {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	q := request.New("true")
	q.Ext = request.Extension{}
	s := q.Spec
	s.Root, s.Hostname = &specs.Root{Path: root, Readonly: true}, "box"
	s.Process.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}
	s.Process.Cwd, s.Process.NoNewPrivileges = "/", true
	// Not inheritable, so never ambient: engines ask for it all the same.
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps, Ambient: caps}
	s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 1024}}
	s.Mounts = []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
	}
	for _, k := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace} {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: k})
	}
	s.Linux.MaskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
		"/proc/sched_debug", "/sys/firmware", "/proc/scsi",
	}
	s.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	return q
}

func TestTypicalBundleIsConstrained(t *testing.T) {
	r := shared(t)
	r.tamper, r.parked = nil, nil
	root := rootfs(t)
	if err := os.MkdirAll(filepath.Join(root, "sys"), 0o755); err != nil {
		t.Fatal(err)
	}
	tty := terminal(t)
	mustHaveDeviceRules := r.machine.host.CgroupV2 != "" || r.machine.host.CgroupV1["devices"] != ""
	for name, c := range map[string]struct {
		change func(q *request.Request)
		opts   *checkpoint.Options
	}{
		"as it is":                {func(*request.Request) {}, nil},
		"with a cgroup namespace": {func(q *request.Request) { ns(specs.CgroupNamespace)(t, q) }, nil},
		"on a terminal":           {func(q *request.Request) { q.Spec.Process.Terminal = true }, &checkpoint.Options{Stdin: tty, Stdout: tty, Stderr: tty, Terminal: true}},
		// As "runc spec" has it: which cgroup it is, is left to us.
		"no devices, in no named cgroup": {func(q *request.Request) {
			q.Spec.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
		}, nil},
		"in a user namespace, all":  {func(q *request.Request) { ns(specs.UserNamespace)(t, q); allIDs(q) }, nil},
		"in a user namespace, some": {inUserNamespace(t, root), nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := typicalBundle(root)
			c.change(q)
			if q.Spec.Linux.Resources != nil && !mustHaveDeviceRules {
				t.Skip("no cgroup hierarchy with device rules")
			}
			if err := q.Validate(); err != nil {
				t.Fatal(err)
			}
			res, err := r.Run(bg, q, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if res.Verdict != Constrained {
				t.Errorf("verdict %s\n%s", res.Verdict, text(res))
			}
			if path := res.Report().Config.Linux().CgroupsPath; (path != "") != (q.Spec.Linux.Resources != nil) || q.Spec.Linux.CgroupsPath != "" {
				t.Errorf("launched in cgroup %q; the request now names %q", path, q.Spec.Linux.CgroupsPath)
			}
			left, _ := filepath.Glob("/sys/fs/cgroup/*/holdshort-" + strconv.Itoa(os.Getpid()) + "-*")
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// inUserNamespace maps the ids of the workload elsewhere. What its root is made
// of then belongs to nobody in there, and where a directory is missing it cannot
// make one.
func inUserNamespace(t *testing.T, root string) func(q *request.Request) {
	t.Helper()
	for d := root; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(q *request.Request) {
		ns(specs.UserNamespace)(t, q)
		q.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
		q.Spec.Linux.GIDMappings = q.Spec.Linux.UIDMappings
	}
}
