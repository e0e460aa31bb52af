package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/harness/engine"
)

// fakeResctrl is a tree like that of a resctrl file system, which no machine has
// that QEMU translates for: what the kernel does with it is not tested here, only
// what is written where, and when.
func fakeResctrl(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	fill := func(dir, schemata string) {
		t.Helper()
		for name, text := range map[string]string{"schemata": schemata, "tasks": ""} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(dir, "mon_groups"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fill(root, "")
	if err := os.Mkdir(filepath.Join(root, "info"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "info", "last_cmd_status"), []byte("no such luck\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "gold"), 0o755); err != nil {
		t.Fatal(err)
	}
	fill(filepath.Join(root, "gold"), "    MB:0=100;1=100\n    L3:0=00f;1=7ff\n")
	wasHost, wasMake, wasRemove := hostOf, makeResctrl, removeResctrl
	t.Cleanup(func() { hostOf, makeResctrl, removeResctrl = wasHost, wasMake, wasRemove })
	hostOf = func() (engine.Host, error) {
		h, err := readHost()
		h.Resctrl = root
		return h, err
	}
	makeResctrl = func(dir string) error {
		if strings.Contains(dir, "full") {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrPermission}
		}
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			fill(dir, "")
		}
		return err
	}
	removeResctrl = os.RemoveAll
	return root
}

func withRDT(t *testing.T, rdt *specs.LinuxIntelRdt) string {
	t.Helper()
	return bundle(t, []string{"/bin/sleep", "1000"}, func(s *specs.Spec) { s.Linux.IntelRdt = rdt })
}

func TestRDT(t *testing.T) {
	root := fakeResctrl(t)
	read := func(path ...string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	c := newCommand(t)
	t.Run("a class of its own", func(t *testing.T) {
		c, id := &command{t, c.root}, id(t)
		c.must("create", "--bundle", withRDT(t, &specs.LinuxIntelRdt{
			L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20", Schemata: []string{"L2:0=1", "L2:1=3"}, EnableMonitoring: true,
		}), id)
		pid := strconv.Itoa(c.state(id).Pid)
		if got, want := read(id, "schemata"), "L3:0=f\nMB:0=20\nL2:0=1\nL2:1=3\n"; got != want {
			t.Errorf("schemata %q, want %q", got, want)
		}
		if a, b := read(id, "tasks"), read(id, "mon_groups", id, "tasks"); a != pid || b != pid {
			t.Errorf("tasks %q and %q, want %s", a, b, pid)
		}
		c.must("start", id)
		pidFile := filepath.Join(t.TempDir(), "pid")
		c.must("exec", "--pid-file", pidFile, id, "/bin/true")
		b, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(id, "tasks"); got != pid+string(b) {
			t.Errorf("tasks %q after an exec, want %s and %s", got, pid, b)
		}
		c.must("delete", "--force", id)
		if _, err := os.Stat(filepath.Join(root, id)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it stays: %v", err)
		}
	})
	t.Run("one that is there", func(t *testing.T) {
		c, id := &command{t, c.root}, id(t)
		for _, rdt := range []*specs.LinuxIntelRdt{{ClosID: "gold"}, {ClosID: "gold", L3CacheSchema: "L3:1=7FF"}, {ClosID: "gold", EnableMonitoring: true, MemBwSchema: "MB:0=100"}} {
			before := read("gold", "schemata")
			c.must("create", "--bundle", withRDT(t, rdt), id)
			if got, want := read("gold", "tasks"), strconv.Itoa(c.state(id).Pid); !strings.HasSuffix(got, want) {
				t.Errorf("tasks %q, want %s in it", got, want)
			}
			c.must("delete", "--force", id)
			if got := read("gold", "schemata"); got != before {
				t.Errorf("schemata %q, were %q", got, before)
			}
			if list := entries(filepath.Join(root, "gold", "mon_groups")); len(list) > 0 {
				t.Errorf("%v stay", list)
			}
		}
		c.must("create", "--bundle", withRDT(t, &specs.LinuxIntelRdt{ClosID: "/"}), id)
		if got, want := read("tasks"), strconv.Itoa(c.state(id).Pid); got != want {
			t.Errorf("tasks of the default %q, want %s", got, want)
		}
		c.must("delete", "--force", id)
	})
	t.Run("one that is made and stays", func(t *testing.T) {
		c, id := &command{t, c.root}, id(t)
		c.must("create", "--bundle", withRDT(t, &specs.LinuxIntelRdt{ClosID: "silver", Schemata: []string{"L3:0=3"}}), id)
		c.must("delete", "--force", id)
		if got := read("silver", "schemata"); got != "L3:0=3\n" {
			t.Errorf("schemata %q", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c, id := &command{t, c.root}, id(t)
		for want, rdt := range map[string]*specs.LinuxIntelRdt{
			"it has to be there":         {ClosID: "bronze"},
			"is there and has not":       {ClosID: "gold", L3CacheSchema: "L3:0=7ff"},
			"names no class of service":  {ClosID: "../gold"},
			"names no class of":          {ClosID: "info"},
			"begins with something else": {MemBwSchema: "L3:0=f"},
			"schemata[1]: has a newline": {Schemata: []string{"L3:0=f", "a\nb"}},
			"(no such luck)":             {ClosID: "full", Schemata: []string{"L3:0=f"}},
		} {
			c.fails(want, "create", "--bundle", withRDT(t, rdt), id)
			c.fails("does not exist", "state", id)
		}
		// Another's directory of the container's name is not taken, and not removed.
		if err := os.Mkdir(filepath.Join(root, id), 0o755); err != nil {
			t.Fatal(err)
		}
		c.fails("file already exists", "create", "--bundle", withRDT(t, &specs.LinuxIntelRdt{}), id)
		if _, err := os.Stat(filepath.Join(root, id)); err != nil {
			t.Error(err)
		}
	})
}

// TestRDTWithoutResctrl: refused by name, where there is none.
func TestRDTWithoutResctrl(t *testing.T) {
	host, err := readHost()
	if err != nil {
		t.Fatal(err)
	}
	if host.Resctrl != "" {
		t.Skip("needs a machine without resctrl")
	}
	c, id := newCommand(t), id(t)
	c.fails("linux.intelRdt (no resctrl file system", "create", "--bundle", withRDT(t, &specs.LinuxIntelRdt{ClosID: "x"}), id)
}
