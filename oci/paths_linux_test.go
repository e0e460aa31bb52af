package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// victim is a directory of the host that nothing may be made in.
func victim(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"sub", "proc", "dev"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, dir)
	t.Cleanup(func() {
		if now := listing(t, dir); now != before {
			t.Errorf("outside of the root there is now\n%s\nand was\n%s", now, before)
		}
	})
	return dir
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintf(&out, "%s %s\n", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func symlink(t *testing.T, target, at string) {
	t.Helper()
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
}

// TestLinksInTheRoot: absolute and climbing links in every path of a
// configuration lead inside of the root, or nowhere.
func TestLinksInTheRoot(t *testing.T) {
	out := victim(t)
	up := strings.Repeat("../", 30)
	mode := os.FileMode(0o666)
	for name, change := range map[string]func(s *specs.Spec){
		"mount": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/abs/sub", Type: "tmpfs", Source: "tmpfs"}, specs.Mount{Destination: "/climb/sub/new", Type: "tmpfs", Source: "tmpfs"})
		},
		"bind mount": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/climb/file", Source: "/etc/hostname", Options: []string{"bind"}})
		},
		"dots in a mount": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/tmp/" + up + out + "/x", Type: "tmpfs", Source: "tmpfs"})
		},
		"device": func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/climb/node", Type: "c", Major: 1, Minor: 3, FileMode: &mode}}
		},
		"device directory": func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/abs/new/node", Type: "p", FileMode: &mode}}
		},
		"masked path":    func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/abs/sub", "/climb", "/tmp/" + up + out} },
		"read-only path": func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/abs/sub", "/climb", "/tmp/" + up + out} },
		"dev":            func(s *specs.Spec) { s.Mounts[1].Destination = "/abs/dev" },
		"proc":           func(s *specs.Spec) { s.Mounts[0].Destination = "/climb/proc" },
	} {
		t.Run(name, func(t *testing.T) {
			c, id := newCommand(t), id(t)
			dir := bundle(t, []string{"/bin/true"}, change)
			root := filepath.Join(dir, "rootfs")
			symlink(t, out, filepath.Join(root, "abs"))
			symlink(t, up+out, filepath.Join(root, "climb"))
			before, _ := os.ReadFile("/proc/self/mountinfo")
			code, _, err := c.run("create", "--bundle", dir, id)
			after, _ := os.ReadFile("/proc/self/mountinfo")
			if strings.Count(string(after), out) != strings.Count(string(before), out) {
				t.Errorf("mounted outside of the root: %s", after)
			}
			if code != 0 {
				t.Logf("refused: %s", err)
				return
			}
			pid := c.state(id).Pid
			c.must("delete", "--force", id)
			reap(t, pid)
		})
	}
}

// TestDescriptorsOfTheSetUp: no descriptor of the parked process leads to the
// host, as working directory or on the way to the program (CVE-2024-21626).
func TestDescriptorsOfTheSetUp(t *testing.T) {
	for n := 3; n < 40; n++ {
		for what, change := range map[string]func(s *specs.Spec){
			"cwd":  func(s *specs.Spec) { s.Process.Cwd = fmt.Sprintf("/proc/self/fd/%d", n) },
			"args": func(s *specs.Spec) { s.Process.Args = []string{fmt.Sprintf("/proc/self/fd/%d/../bin/true", n)} },
			"deep": func(s *specs.Spec) {
				s.Process.Args = []string{fmt.Sprintf("/proc/self/fd/%d/../../../../../bin/true", n)}
			},
		} {
			c, id := newCommand(t), fmt.Sprintf("%s-%d-%s", id(t), n, what)
			dir := bundle(t, []string{"/bin/true"}, change)
			if code, _, _ := c.run("create", "--bundle", dir, id); code != 0 {
				continue
			}
			pid := c.state(id).Pid
			if code, _, _ := c.run("start", id); code == 0 {
				t.Errorf("%s: descriptor %d is a way out", what, n)
			}
			_ = unix.Kill(pid, unix.SIGKILL)
			reap(t, pid)
			c.must("delete", "--force", id)
		}
	}
}

// TestRootThatChanges: somebody exchanges a directory of the root for a link to
// the host, again and again, while containers are made in it.
func TestRootThatChanges(t *testing.T) {
	out := victim(t)
	mode := os.FileMode(0o666)
	dir := bundle(t, []string{"/bin/true"}, func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/a/sub", Type: "tmpfs", Source: "tmpfs"}, specs.Mount{Destination: "/a/new/er", Type: "tmpfs", Source: "tmpfs"},
			specs.Mount{Destination: "/a/file", Source: "/etc/hostname", Options: []string{"bind"}})
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/a/node", Type: "c", Major: 1, Minor: 3, FileMode: &mode}}
		s.Linux.MaskedPaths = []string{"/a/sub"}
		s.Linux.ReadonlyPaths = []string{"/a"}
	})
	a, b := filepath.Join(dir, "rootfs", "a"), filepath.Join(dir, "rootfs", "b")
	if err := os.Mkdir(a, 0o755); err != nil {
		t.Fatal(err)
	}
	symlink(t, strings.Repeat("../", 30)+out, b)
	var stop atomic.Bool
	swaps := make(chan int, 1)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) != nil {
				break
			}
		}
		swaps <- n
	}()
	c, made := newCommand(t), 0
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for i := range rounds {
		id := fmt.Sprintf("%s-%d", id(t), i)
		if code, _, _ := c.run("create", "--bundle", dir, id); code == 0 {
			made++
			pid := c.state(id).Pid
			c.must("delete", "--force", id)
			reap(t, pid)
		}
	}
	stop.Store(true)
	if n := <-swaps; n < rounds {
		t.Errorf("changed %d times only", n)
	}
	t.Logf("%d of %d were made", made, rounds)
	if info, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(info), out) {
		t.Errorf("mounted outside of the root: %s", info)
	}
}
