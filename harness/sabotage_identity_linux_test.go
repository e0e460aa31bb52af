package harness

import (
	"os"
	"runtime"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

func TestSabotageIdentity(t *testing.T) {
	group := func(_ *testing.T, q *request.Request) { q.Ext.ProcessGroup = true }
	reaper := func(_ *testing.T, q *request.Request) { q.Ext.Subreaper = true }
	const perm = 0x3f1f0000
	keyring := func(_ *testing.T, q *request.Request) {
		q.Ext.Keyring = &request.Keyring{Name: "holdshort-test", Permissions: new(uint32(perm))}
	}
	program := func(memfd bool, number int) func(*testing.T, *request.Request) {
		return func(_ *testing.T, q *request.Request) {
			q.Spec.Process.Args = []string{"anything", "one"}
			q.Ext.Program = &request.Program{Host: "/bin/true", Memfd: memfd, Number: number}
		}
	}
	byName := func(c *checkpoint.Config, o *checkpoint.Options) {
		o.Program, o.ProgramNumber, c.Path = nil, 0, "/bin/true"
	}
	another := func(_ *checkpoint.Config, o *checkpoint.Options) {
		o.Program = opened(t, "/bin/false")
	}
	spec := func(set func(*request.Speculation)) func(*testing.T, *request.Request) {
		return func(_ *testing.T, q *request.Request) { set(&q.Ext.Speculation) }
	}
	leaves := func(control uintptr) func(*testing.T, *Runner) string {
		return func(t *testing.T, _ *Runner) string {
			t.Helper()
			done := make(chan error, 1)
			go func() {
				runtime.LockOSThread() // and never unlocked
				done <- unix.Prctl(unix.PR_SET_SPECULATION_CTRL, control, unix.PR_SPEC_DISABLE, 0, 0)
			}()
			if err := <-done; err != nil {
				return "a kernel that leaves speculation to processes: " + err.Error()
			}
			return ""
		}
	}
	noSSB, noIB := leaves(unix.PR_SPEC_STORE_BYPASS), leaves(unix.PR_SPEC_INDIRECT_BRANCH)
	ssb := spec(func(s *request.Speculation) { s.StoreBypass = "force-disable" })
	ib := spec(func(s *request.Speculation) { s.IndirectBranch = "disable" })
	skip := config(func(c *checkpoint.Config) { c.Speculation = checkpoint.Speculation{} })
	table(t, []sabotage{
		{name: "store bypass/skipped", need: noSSB, ask: ssb, tamper: skip, want: finds{"privilege.spec_flags": oracle.Ignored}},
		{name: "store bypass/not forced", need: noSSB, ask: ssb, tamper: config(func(c *checkpoint.Config) { c.Speculation.StoreBypass = "disable" }), want: finds{"privilege.spec_flags": oracle.Weaker}},
		{name: "store bypass/unasked", need: noSSB, tamper: config(func(c *checkpoint.Config) { c.Speculation.StoreBypass = "disable" }), want: finds{"privilege.spec_flags": oracle.Leaked}},
		{name: "indirect branch/skipped", need: noIB, ask: ib, tamper: skip, want: finds{"privilege.spec_flags": oracle.Ignored}},
		{name: "indirect branch/forced", need: noIB, ask: ib, tamper: config(func(c *checkpoint.Config) { c.Speculation.IndirectBranch = "force-disable" }), want: finds{"privilege.spec_flags": oracle.Stronger}},

		{name: "process group/skipped", ask: group, tamper: config(func(c *checkpoint.Config) { c.ProcessGroup = false }), want: finds{"process.process_group": oracle.Ignored}},
		{
			name: "process group/unasked", tamper: config(func(c *checkpoint.Config) { c.ProcessGroup = true }),
			want: finds{"process.process_group": oracle.Leaked},
		},
		{
			name: "process group/a session instead", ask: group, tamper: config(func(c *checkpoint.Config) { c.Session = true }),
			want: finds{"process.session": oracle.Leaked, "process.session_leader": oracle.Inherited}, also: []string{"process.tty", "sched.autogroup"},
		},
		{name: "subreaper/skipped", ask: reaper, tamper: config(func(c *checkpoint.Config) { c.Subreaper = false }), want: finds{"process.child_subreaper": oracle.Ignored}},
		{name: "subreaper/unasked", tamper: config(func(c *checkpoint.Config) { c.Subreaper = true }), want: finds{"process.child_subreaper": oracle.Leaked}},

		{
			name: "named keyring/skipped", ask: keyring, tamper: config(func(c *checkpoint.Config) { c.Keyring = checkpoint.Keyring{} }),
			want: finds{"keyrings.session": oracle.Ignored, "holdshort.keyring": oracle.Weaker},
		},
		{name: "named keyring/another name", ask: keyring, tamper: config(func(c *checkpoint.Config) { c.Keyring.Name += "2" }), want: finds{"holdshort.keyring": oracle.Weaker}},
		{name: "named keyring/anonymous", ask: keyring, tamper: config(func(c *checkpoint.Config) {
			c.NewKeyring, c.Keyring.Name = true, ""
		}), want: finds{"holdshort.keyring": oracle.Weaker}},
		{name: "named keyring/more permissions", ask: keyring, tamper: config(func(c *checkpoint.Config) { c.Keyring.Permissions.Value = 0x3f1f0001 }), want: finds{"holdshort.keyring": oracle.Weaker}},
		{name: "named keyring/unasked", tamper: config(func(c *checkpoint.Config) { c.Keyring.Name = "holdshort-test" }), want: finds{"keyrings.session": oracle.Leaked}},

		{name: "program by descriptor/another", ask: program(false, 0), tamper: another, want: finds{"exec.exe": oracle.Weaker}},
		{name: "program by descriptor/left open", ask: program(false, 0), tamper: func(_ *checkpoint.Config, o *checkpoint.Options) { o.ProgramNumber = 7 }, want: finds{"files": oracle.Leaked}},
		{name: "program by descriptor/another number", ask: program(false, 4), tamper: func(_ *checkpoint.Config, o *checkpoint.Options) { o.ProgramNumber = 7 }, want: finds{"files": oracle.Leaked}},
		{name: "memfd/the file itself", ask: program(true, 0), tamper: byName, want: finds{"exec.exe": oracle.Weaker, "exec.exe_nlink": oracle.Weaker}},
		{name: "memfd/another", ask: program(true, 0), tamper: another, want: finds{"exec.exe": oracle.Weaker, "exec.exe_nlink": oracle.Weaker}},
	})
}

func opened(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
