package matrix

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/vm"
	"github.com/holdshort/holdshort/vm/guest"
)

// The test binary is the guests' init as well.
func TestMain(m *testing.M) {
	guest.Init()
	os.Exit(m.Run())
}

// cached is any kernel of the cache.
func cached(t *testing.T) *vm.Kernel {
	t.Helper()
	if testing.Short() {
		t.Skip("needs seconds for each guest: without -short")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64, whose guests have an exit device")
	}
	if _, err := vm.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86_64: ", err)
	}
	c, err := vm.OpenCache("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"6.1", "6.12", "5.10", "7.2", "7.3"} {
		if k, err := c.Fetch(t.Context(), name, &vm.FetchOptions{Cached: true}); err == nil {
			return k
		}
	}
	t.Skip("needs a kernel in the cache: holdshort vm get 6.1")
	return nil
}

// In a matrix of which each row but one is spoilt in its own way, each way is
// told apart from the others and named, and the sound row is sound.
func TestMatrixSabotaged(t *testing.T) {
	k := cached(t)
	kinds := map[string]struct {
		spoil  func(*vm.Guest)
		script string // in place of the second job
		says   string // in the report, on the row's own lines
		lost   bool   // the second job has no end
		guests int
	}{
		"sound":               {guests: 1},
		"init without cgroup": {spoil: func(g *vm.Guest) { g.NoCgroup = true }, says: "cgroup controller memory", guests: 1},
		"LSM off":             {spoil: func(g *vm.Guest) { g.Append = "lsm=" }, says: "LSM yama", guests: 1},
		"corrupted initramfs": {spoil: func(g *vm.Guest) { g.Spoil = func(f *os.File) { _ = f.Truncate(200 << 10) } }, says: "panic: ", lost: true, guests: 1},
		"panic":               {script: "echo alive; sleep 0.2; echo c >/proc/sysrq-trigger; sleep 100", says: "sysrq triggered crash", lost: true, guests: 2},
		"hang": {
			spoil:  func(g *vm.Guest) { g.Silence = 10 * time.Second },
			script: "echo alive; echo -1 >/proc/sys/kernel/sched_rt_runtime_us; sleep 0.2; exec chrt -f 99 sh -c 'while :; do :; done'", says: "hang: no sign of life", lost: true, guests: 2,
		},
		"full channel": {script: "cat /dev/zero | head -c 4000000", says: "printed more than 1 MB", guests: 1},
	}
	var kernels []*vm.Kernel
	names := []string{"sound", "init without cgroup", "LSM off", "corrupted initramfs", "panic", "hang", "full channel"}
	for _, n := range names {
		own := *k
		own.Name = n
		kernels = append(kernels, &own)
	}
	var programs []string
	for _, p := range []string{"sh", "cat", "sleep", "head", "chrt"} {
		path, err := vm.LookPath(p)
		if err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
		programs = append(programs, path)
	}
	shell := func(name, script string) Job {
		return Job{Name: name, Argv: []string{"/bin/sh", "-c", script}, Dir: "/"}
	}
	m := &Matrix{
		Kernels: kernels, Arch: k.Arch, Limit: time.Minute, most: 1 << 20, Guest: vm.Guest{Programs: programs},
		Jobs: []Job{shell("first", "echo one"), shell("second", "echo two"), shell("third", "echo three")},
		spoil: func(k *vm.Kernel, g *vm.Guest) {
			c := kinds[k.Name]
			if c.spoil != nil {
				c.spoil(g)
			}
			for i := range g.Commands {
				if c.script != "" && g.Commands[i].Argv[2] == "echo two" {
					g.Commands[i].Argv = []string{"/bin/sh", "-c", c.script}
				}
			}
		},
	}
	rep := m.Run(t.Context())
	var text strings.Builder
	if err := rep.Text(&text); err != nil {
		t.Fatal(err)
	}
	if rep.Good {
		t.Errorf("the matrix is good:\n%s", text.String())
	}
	for i, row := range rep.Rows {
		c := kinds[names[i]]
		said := strings.Join(slices.Concat(row.Faults, row.Deficits), "\n")
		for _, p := range row.Programs {
			said += "\n" + p.Tail
		}
		if c.says == "" && strings.TrimSpace(said) != "" || !strings.Contains(said, c.says) {
			t.Errorf("%s: says %q, want %q", row.Kernel, said, c.says)
		}
		if c.says != "" && !strings.Contains(text.String(), c.says) {
			t.Errorf("%s: the text does not say %q", row.Kernel, c.says)
		}
		for other, o := range kinds {
			if other != row.Kernel && o.says != "" && !strings.Contains(c.says, o.says) && !strings.Contains(o.says, "panic: ") && strings.Contains(said, o.says) {
				t.Errorf("%s looks like %q: %s", row.Kernel, other, said)
			}
		}
		if row.Guests != c.guests {
			t.Errorf("%s: %d guests, want %d", row.Kernel, row.Guests, c.guests)
		}
		if len(row.Programs) != 3 {
			t.Fatalf("%s: %d programs", row.Kernel, len(row.Programs))
		}
		second := slices.IndexFunc(row.Programs, func(p Ran) bool { return p.Name == "second" })
		if lost := row.Programs[second].Outcome == Lost; lost != c.lost {
			t.Errorf("%s: %+v", row.Kernel, row.Programs[second])
		}
		// what came before is known, and what comes after is run in another guest
		if names[i] != "corrupted initramfs" && (row.Programs[0].Last != "one" || row.Programs[2].Last != "three") {
			t.Errorf("%s: %+v", row.Kernel, row.Programs)
		}
	}
}
