package vm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdshort/holdshort/vm/guest"
	"golang.org/x/sys/unix"
)

// The test binary is the guests' init as well.
func TestMain(m *testing.M) {
	guest.Init()
	os.Exit(m.Run())
}

// testKernel is the kernel that these tests boot: any that is in the cache.
func testKernel(t *testing.T) *Kernel {
	t.Helper()
	if testing.Short() {
		t.Skip("needs seconds for each guest: without -short")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64, whose guests have an exit device")
	}
	if _, err := findQEMU("amd64"); err != nil {
		t.Skip("needs qemu-system-x86_64: ", err)
	}
	c, err := OpenCache("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"6.1", "6.12", "5.10", "7.2", "7.3"} {
		if k, err := c.Fetch(t.Context(), name, &FetchOptions{Cached: true}); err == nil {
			return k
		}
	}
	t.Skip("needs a kernel in the cache: holdshort vm get 6.1")
	return nil
}

// scripted is a guest that runs shell scripts, one after the other.
func scripted(t *testing.T, k *Kernel, scripts ...string) *Guest {
	t.Helper()
	g := &Guest{Kernel: k}
	for _, name := range []string{"sh", "cat", "sleep", "head", "chrt", "grep"} {
		p, err := LookPath(name)
		if err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
		g.Programs = append(g.Programs, p)
	}
	for _, s := range scripts {
		g.Commands = append(g.Commands, Command{Argv: []string{"/bin/sh", "-c", s}})
	}
	return g
}

func runGuest(t *testing.T, g *Guest) (*Result, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	if g.Stdout == nil {
		g.Stdout = &out
	}
	g.Stderr = &errs
	r, err := Run(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return r, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	k := testKernel(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte("from the host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := scripted(t, k,
		`echo out; echo err >&2; cat data; exit 3`,
		`kill -9 $$`,
		`sleep 100 & exec sleep 100`,
		`[ "$(cat /proc/1/comm)" = init ] && cat /sys/fs/cgroup/cgroup.subtree_control && cat /proc/sys/kernel/osrelease`,
	)
	g.Commands[0].Dir, g.Files = dir, []File{{Host: dir}}
	g.Commands[2].Limit = time.Second
	g.Commands = append(g.Commands, Command{Argv: []string{"/bin/sh"}, Dir: "/nowhere"})
	var order []int
	g.Ended = func(i int, _ Ending) { order = append(order, i) }
	r, out, errs := runGuest(t, g)
	if !r.Clean() {
		t.Fatal(r.Error())
	}
	if want := "out\nfrom the host\n"; !strings.HasPrefix(out, want) {
		t.Errorf("stdout %q; want it to begin with %q", out, want)
	}
	if errs != "err\n" {
		t.Errorf("stderr %q", errs)
	}
	if !strings.Contains(out, "memory") || !strings.Contains(out, r.Guest.Release) {
		t.Errorf("no controllers or release in %q", out)
	}
	if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
		t.Errorf("ended in the order %v", order)
	}
	var got []int
	for _, c := range r.Commands {
		got = append(got, Status(c))
	}
	// the directory /nowhere is made, as the program is told to start there
	if want := []int{3, 137, 124, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("statuses %v; want %v", got, want)
	}
	if d := k.Deficits(r.Guest); len(d) > 0 {
		t.Errorf("deficits of an unspoilt guest: %v", d)
	}
}

// Each way in which a guest can fail is told apart from the others, and what
// it wrote before is there.
func TestRunSabotaged(t *testing.T) {
	k := testKernel(t)
	const alive = "echo alive; "
	for name, c := range map[string]struct {
		script  string
		spoil   func(*Guest)
		end     End
		why     string // in the description
		deficit string
		mute    bool // nothing can have been written
	}{
		"panic":   {script: alive + "sleep 0.2; echo c >/proc/sysrq-trigger; sleep 100", end: Panicked, why: "sysrq triggered crash"},
		"no init": {spoil: func(g *Guest) { g.Append = "rdinit=/nonexistent" }, end: Panicked, why: "Unable to mount root fs", mute: true},
		"corrupted initramfs": {
			spoil: func(g *Guest) { g.Spoil = func(f *os.File) { _ = f.Truncate(200 << 10) } },
			end:   Panicked, mute: true,
		},
		"hang": {
			script: alive + "echo -1 >/proc/sys/kernel/sched_rt_runtime_us; sleep 0.2; exec chrt -f 99 sh -c 'while :; do :; done'",
			spoil:  func(g *Guest) { g.Silence = 5 * time.Second },
			end:    Hung, why: "no sign of life",
		},
		"time limit":     {script: alive + "sleep 100", spoil: func(g *Guest) { g.TimeLimit = 2 * time.Second }, end: Overtime, why: "still running after 2s"},
		"QEMU killed":    {script: alive + "sleep 100", end: Killed, why: "killed"},
		"power off":      {script: alive + "sleep 0.2; echo o >/proc/sysrq-trigger; sleep 100", end: Cut, why: "without a last record"},
		"no boot":        {spoil: func(g *Guest) { g.BootLimit = 300 * time.Millisecond }, end: NoBoot, mute: true},
		"QEMU refuses":   {spoil: func(g *Guest) { g.Append, g.CPUs = "", 100000 }, end: QEMUError, mute: true},
		"full channel":   {script: alive + "cat /dev/zero", spoil: func(g *Guest) { g.Silence = 2 * time.Second }, end: Blocked, why: "not been taken"},
		"LSM off":        {script: alive, spoil: func(g *Guest) { g.Append = "lsm=" }, end: Exited, deficit: "LSM yama"},
		"cgroup missing": {script: alive, spoil: func(g *Guest) { g.NoCgroup = true }, end: Exited, deficit: "cgroup controller memory"},
	} {
		t.Run(name, func(t *testing.T) {
			g := scripted(t, k, c.script+"\n:")
			if c.spoil != nil {
				c.spoil(g)
			}
			seen := &witness{on: "alive"}
			switch name {
			case "QEMU killed":
				g.Spoil = func(*os.File) { seen.then = killQEMU }
			case "full channel":
				block := make(chan struct{})
				t.Cleanup(func() { close(block) })
				seen.then = func() { <-block }
			}
			g.Stdout = seen
			r, err := Run(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			if r.End != c.end || !strings.Contains(r.Error()+strings.Join(r.Console, "\n"), c.why) {
				t.Errorf("end %s, want %s with %q: %s", r.End, c.end, c.why, r.Error())
			}
			if !c.mute && !seen.saw() {
				t.Error("what was written before is lost")
			}
			if c.end != Exited && r.Why == "" {
				t.Error("no reason given")
			}
			if c.deficit != "" && !slices.ContainsFunc(k.Deficits(r.Guest), func(d string) bool { return strings.Contains(d, c.deficit) }) {
				t.Errorf("deficits %q; want one with %q", k.Deficits(r.Guest), c.deficit)
			}
		})
	}
}

// witness looks for a word in what is written to it, and acts on it once.
type witness struct {
	on   string
	then func()

	mu   sync.Mutex
	buf  bytes.Buffer
	done bool
}

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	if !w.done {
		w.buf.Write(p)
	}
	act := !w.done && strings.Contains(w.buf.String(), w.on)
	w.done = w.done || act
	w.mu.Unlock()
	if act && w.then != nil {
		w.then()
	}
	return len(p), nil
}

func (w *witness) saw() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// killQEMU kills the QEMU that is our child.
func killQEMU() {
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for pid := range strings.FieldsSeq(string(b)) {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			if strings.HasPrefix(string(comm), "qemu-system") {
				n := 0
				for _, c := range pid {
					n = n*10 + int(c-'0')
				}
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
	}
}

func TestRunCancelled(t *testing.T) {
	k := testKernel(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := scripted(t, k, "echo alive; sleep 100")
	g.Stdout = &witness{on: "alive", then: cancel}
	r, err := Run(ctx, g)
	if err != nil || r.End != Cancelled {
		t.Errorf("%v %v", r, err)
	}
}

// A guest leaves no file and no process behind, however it ends.
func TestRunLeavesNothing(t *testing.T) {
	k := testKernel(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	before, _ := os.ReadDir("/proc/self/fd")
	r, _, _ := runGuest(t, scripted(t, k, "exit 0"))
	if !r.Clean() {
		t.Fatal(r.Error())
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
	if after, _ := os.ReadDir("/proc/self/fd"); len(after) > len(before)+1 { // the poller's, once
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %v", err)
	}
}

func TestRunWithoutProgram(t *testing.T) {
	k := testKernel(t)
	_, err := Run(t.Context(), &Guest{Kernel: k, Stdout: io.Discard, Commands: []Command{{Argv: []string{"/nonexistent/program"}}}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v; want one that names the program", err)
	}
}
