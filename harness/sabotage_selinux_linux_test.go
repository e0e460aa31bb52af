package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// initialSIDs are what a policy must have a context for, in the order in which
// the kernel numbers them (security/selinux/include/initial_sid_to_string.h).
var initialSIDs = strings.Fields(`kernel security unlabeled fs file file_labels init any_socket port netif netmsg node
	igmp_packet icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix
	sysctl_vm sysctl_dev kmod policy scmp_packet devnull`)

// The types of the policy: who launches, files, and the workload's.
const (
	hostType    = "holdshort_host_t"
	fileType    = "holdshort_file_t"
	boxType     = "holdshort_box_t"     // may not fork
	otherType   = "holdshort_other_t"   // may
	laxType     = "holdshort_lax_t"     // may not either, but permissive
	refusedType = "holdshort_refused_t" // nothing may become it
)

func selabel(name string) string { return "u:r:" + name }

// policy is as small as one can be: two classes, of which it knows only what the
// test is about. All else is unknown to it, and allowed (checkpolicy -U allow).
func policy() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("class process\nclass file")
	for _, s := range initialSIDs {
		line("sid %s", s)
	}
	line("class process { transition dyntransition fork }\nclass file { entrypoint }")
	types := []string{hostType, fileType, boxType, otherType, laxType, refusedType}
	for _, t := range types {
		line("type %s;", t)
	}
	line("permissive %s;", laxType)
	for _, t := range []string{boxType, otherType, laxType} {
		line("allow %s %s:process transition;", hostType, t)
		line("allow %s %s:file entrypoint;", t, fileType)
	}
	line("allow { %s %s } self:process fork;", hostType, otherType)
	line("role r;\nrole r types { %s };\nuser u roles { r };", strings.Join(types, " "))
	for _, s := range initialSIDs {
		of := fileType
		if s == "kernel" || s == "init" || s == "security" {
			of = hostType
		}
		line("sid %s %s", s, selabel(of))
	}
	return b.String()
}

// loadPolicy gives the kernel the test's policy. It does so only where there is
// none: a machine that somebody uses keeps its own.
func loadPolicy(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a policy of SELinux")
	}
	if !exists(selinuxfs) {
		t.Skip("needs SELinux")
	}
	if !exists(selinuxfs + "/load") {
		if err := unix.Mount("selinuxfs", selinuxfs, "selinuxfs", unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
			t.Skip("needs SELinux: " + err.Error())
		}
	}
	b, err := os.ReadFile("/proc/self/attr/current")
	if err != nil {
		t.Fatal(err)
	}
	switch l := strings.TrimRight(string(b), "\x00\n"); l {
	case selabel(hostType): // of an earlier test
		return
	case "kernel":
	default:
		t.Skip("needs SELinux without a policy, and here one is: " + l)
	}
	compiler, err := exec.LookPath("checkpolicy")
	if err != nil {
		t.Skip("needs checkpolicy(8)")
	}
	from, to := filepath.Join(t.TempDir(), "policy.conf"), filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(from, []byte(policy()), 0o644); err != nil {
		t.Fatal(err)
	}
	// Version 30 is what each kernel since 4.3 reads.
	if out, err := exec.Command(compiler, "-U", "allow", "-c", "30", "-o", to, from).CombinedOutput(); err != nil {
		t.Fatalf("checkpolicy: %v\n%s", err, out)
	}
	if b, err = os.ReadFile(to); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(selinuxfs+"/load", b, 0); err != nil { // in one write
		t.Fatal(err)
	}
}

func enforce(t *testing.T, on string) {
	t.Helper()
	if err := os.WriteFile(selinuxfs+"/enforce", []byte(on), 0); err != nil {
		t.Fatal(err)
	}
}

func TestSabotageSELinux(t *testing.T) {
	loadPolicy(t)
	t.Cleanup(func() { enforce(t, "0") })
	enforce(t, "1")
	r := frozenRunner(t, nil)
	t.Run("restrains", func(t *testing.T) {
		for label, fails := range map[string]bool{"": false, boxType: true, otherType: false} {
			q := request.New("/bin/sh", "-c", "/bin/true; exit $?")
			if label != "" {
				q.Spec.Process.SelinuxLabel = selabel(label)
			}
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Constrained || c.Launch.State != checkpoint.Exited || (c.Launch.ExitCode != 0) != fails {
				t.Errorf("label %q: %s, %s\n%s", label, c.Verdict, c.Launch.String(), text(c))
			}
		}
	})
	for name, tt := range map[string]struct {
		label string
		errno error
	}{
		"not in the policy": {selabel("holdshort_missing_t"), unix.EINVAL},
		"not allowed":       {selabel(refusedType), unix.EACCES}, // by execve, which asks for transition and entrypoint
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			q.Spec.Process.SelinuxLabel = tt.label
			c, err := r.Run(bg, q, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != Unknown || c.Cause != CannotApply || !errors.Is(c.Launch.Err, tt.errno) {
				t.Errorf("%s, %s: %v; want %v", c.Verdict, c.Cause, c.Launch.Err, tt.errno)
			}
		})
	}
	const field = "process.selinuxLabel"
	ask := func(_ *testing.T, q *request.Request) { q.Spec.Process.SelinuxLabel = selabel(boxType) }
	skip := config(func(c *checkpoint.Config) { c.LSM.SELinux = "" })
	as := func(label string) func(*checkpoint.Config, *checkpoint.Options) {
		return config(func(c *checkpoint.Config) { c.LSM.SELinux = selabel(label) })
	}
	weaker := finds{field: oracle.Weaker}
	t.Run("execve with it", func(t *testing.T) { labelled(t, r, ask) })
	for _, row := range []sabotage{
		{name: "skipped", tamper: skip, want: weaker},
		{name: "another label", tamper: as(otherType), want: weaker},
		{name: "a permissive domain", tamper: as(laxType), want: weaker},
		{
			name: "permissive altogether", want: weaker,
			parked: func(t *testing.T, _ *Runner, _ *checkpoint.Workload) { t.Helper(); enforce(t, "0") },
		},
		{
			name: "on the agent instead", tamper: skip, want: weaker,
			parked: func(t *testing.T, r *Runner, _ *checkpoint.Workload) {
				t.Helper()
				if err := writeLabel(r.launcher.AgentPID(), "exec", selabel(boxType)); err == nil {
					t.Error("the kernel lets one process label another: this table must know about it")
				}
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			enforce(t, "1")
			row.ask = ask
			row.run(t, r)
		})
	}
	// A permissive domain that is asked for restrains nothing either.
	t.Run("permissive and asked for", func(t *testing.T) {
		enforce(t, "1")
		q := request.New("/bin/true")
		q.Spec.Process.SelinuxLabel = selabel(laxType)
		c, err := r.Run(bg, q, nil)
		if err != nil {
			t.Fatal(err)
		}
		(&sabotage{want: weaker}).judge(t, c)
	})
}
