package oci

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestDeleteSparesAnother: a create that was killed has written down cgroups
// which another container then made, or made anew. Deleting the first does not
// end the other.
func TestDeleteSparesAnother(t *testing.T) {
	for name, remains := range map[string]func(k *container, dir string){
		"planned":   func(k *container, dir string) { k.Planned = []string{dir} },
		"made anew": func(k *container, dir string) { k.Planned, k.Made = []string{dir}, []madeCgroup{{dir, 1}} },
	} {
		t.Run(name, func(t *testing.T) {
			c, id := newCommand(t), id(t)
			c.must("create", "--bundle", bundle(t, []string{"/bin/sleep", "1000"}, func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + id }), id)
			pid := c.state(id).Pid
			other, err := findContainer(c.root, id, false)
			if err != nil {
				t.Fatal(err)
			}
			other.close()
			dead, err := makeContainer(c.root, "dead")
			if err != nil {
				t.Fatal(err)
			}
			if len(other.Made) == 0 {
				t.Skip("needs a cgroup hierarchy")
			}
			for _, m := range other.Made {
				if now, err := inodeOf(m.Path); err != nil || now != m.Inode {
					t.Errorf("%s was written down as %d and is %d, %v", m.Path, m.Inode, now, err)
				}
			}
			remains(dead, other.Made[0].Path)
			if err := dead.save(); err != nil {
				t.Fatal(err)
			}
			dead.close()
			c.must("delete", "--force", "dead")
			if s := c.state(id); s.Status != specs.StateCreated {
				t.Errorf("the other is %s", s.Status)
			}
			c.must("delete", "--force", id)
			reap(t, pid)
			if _, err := inodeOf(other.Made[0].Path); err == nil {
				t.Errorf("%s is left", other.Made[0].Path)
			}
		})
	}
}

// TestDeleteThatFails keeps the record, so that it can be tried again.
func TestDeleteThatFails(t *testing.T) {
	bundle(t, nil, nil)
	c, id, dir := newCommand(t), id(t), t.TempDir()
	inode, err := inodeOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file") // a directory with a file in it is not removed
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := makeContainer(c.root, id)
	if err != nil {
		t.Fatal(err)
	}
	k.Made = []madeCgroup{{dir, inode}}
	if err := k.save(); err != nil {
		t.Fatal(err)
	}
	k.close()
	c.fails("not empty", "delete", id)
	c.fails("not empty", "delete", id)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.must("delete", id)
	c.fails("does not exist", "state", id)
}

// TestDeleteOfWhatDoesNotEnd: the first process of a pid namespace ends when the
// last zombie there is reaped, here by us, who have not.
func TestDeleteOfWhatDoesNotEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s: the time that is given to a process to end")
	}
	c, id := newCommand(t), id(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	c.must("create", "--bundle", bundle(t, []string{"/bin/sleep", "1000"}, nil), id)
	c.must("start", id)
	c.must("exec", "--detach", "--pid-file", pidFile, id, "/bin/sleep", "1000")
	pid := c.state(id).Pid
	c.fails(errNoEnd.Error(), "delete", "--force", id)
	if s := c.state(id); s.ID != id {
		t.Errorf("%+v", s)
	}
	reapUntil(t, pid)
	c.must("delete", "--force", id)
}

// TestShowsItsOwnCgroups: a mount of cgroups without a namespace of its own shows
// the container's, in every hierarchy, and not those of who called us.
func TestShowsItsOwnCgroups(t *testing.T) {
	c, id := newCommand(t), id(t)
	dir := bundle(t, []string{"/bin/sh", "-c", "cat /proc/self/mountinfo >/out/file"}, func(s *specs.Spec) {
		s.Root.Readonly = false
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys", Type: "tmpfs", Source: "tmpfs"}, specs.Mount{
			Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"},
		})
	})
	c.must("run", "--bundle", dir, id)
	b, err := os.ReadFile(filepath.Join(dir, "rootfs", "out", "file"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); strings.HasPrefix(after, "cgroup") {
			if seen++; f[3] != "/"+id {
				t.Errorf("%s shows %s", f[4], f[3])
			}
		}
	}
	host, err := readHost()
	if err != nil {
		t.Fatal(err)
	}
	if len(host.CgroupV1)+len(host.CgroupV2) > 0 && seen == 0 {
		t.Errorf("no cgroups are shown: %s", b)
	}
}

// TestKillAllSparesOthers: all are those that are certainly the container's. Of
// two containers in one cgroup, only the one that is meant is signalled; where
// its processes cannot be told from others, none is.
func TestKillAllSparesOthers(t *testing.T) {
	c, name := newCommand(t), id(t)
	shared := func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + name }
	sleeper := []string{"/bin/sh", "-c", "sleep 1000 & exec sleep 1000"}
	c.must("run", "--detach", "--bundle", bundle(t, sleeper, shared), name+"-first")
	c.must("run", "--detach", "--bundle", bundle(t, sleeper, shared), name+"-second")
	first, second := c.state(name+"-first").Pid, c.state(name+"-second").Pid

	c.must("kill", "--all", name+"-second", "KILL") // whose cgroup it is not
	reapUntil(t, second)
	if s := c.state(name + "-first"); s.Status != specs.StateRunning {
		t.Fatalf("the other container is %s", s.Status)
	}
	c.must("kill", "--all", name+"-second", "KILL") // it has ended: nobody is meant
	if s := c.state(name + "-first"); s.Status != specs.StateRunning {
		t.Fatalf("the other container is %s", s.Status)
	}
	c.must("delete", name+"-second")

	noPIDs := func(s *specs.Spec) { shared(s); s.Linux.Namespaces = s.Linux.Namespaces[1:] }
	c.must("run", "--detach", "--bundle", bundle(t, sleeper, noPIDs), name+"-third")
	c.fails(errShared.Error(), "kill", "--all", name+"-third", "KILL")
	if s := c.state(name + "-first"); s.Status != specs.StateRunning {
		t.Fatalf("the other container is %s", s.Status)
	}
	c.must("delete", "--force", name+"-third")
	c.must("kill", "--all", name+"-first", "KILL")
	reapUntil(t, first)
}

// TestKillAllReachesOrphans: without a pid namespace they outlive the first
// process, and are still the container's.
func TestKillAllReachesOrphans(t *testing.T) {
	c, id := newCommand(t), id(t)
	dir := bundle(t, []string{"/bin/sh", "-c", "sleep 1000 & echo $! >/out/pid"}, func(s *specs.Spec) {
		s.Root.Readonly, s.Linux.Namespaces = false, s.Linux.Namespaces[1:]
	})
	c.must("create", "--bundle", dir, id)
	pid := c.state(id).Pid
	c.must("start", id)
	reapUntil(t, pid)
	b, err := os.ReadFile(filepath.Join(dir, "rootfs", "out", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	c.fails("not running", "kill", id, "KILL")
	c.must("kill", "--all", id, "USR1")
	if st := reap(t, orphan); st.Signal() != unix.SIGUSR1 {
		t.Errorf("status %v", st)
	}
	c.must("kill", "--all", id, "KILL") // an empty cgroup
	c.must("delete", id)
}

// v1Memory is a new cgroup of version 1 with limits, or skips the test.
func v1Memory(t *testing.T) (host, path string) {
	t.Helper()
	h, err := readHost()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.CgroupV1["memory"], id(t))
	if _, err := os.Stat(filepath.Join(h.CgroupV1["memory"], "memory.memsw.limit_in_bytes")); h.CgroupV1["memory"] == "" || err != nil {
		t.Skip("needs the memory controller of cgroup version 1, with swap")
	}
	return dir, "/" + id(t)
}

// TestLimitsOfACgroupThatIsThere: the kernel takes the two limits of memory in
// one order only, which depends on what they are.
func TestLimitsOfACgroupThatIsThere(t *testing.T) {
	dir, path := v1Memory(t)
	c, id := newCommand(t), id(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Rmdir(dir) }()
	for _, name := range []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("50593792"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int64{151781376, 67108864} {
		c.must("run", "--bundle", bundle(t, []string{"/bin/true"}, func(s *specs.Spec) {
			s.Linux.CgroupsPath = path
			s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &n, Swap: &n}}
		}), id)
		if b, _ := os.ReadFile(filepath.Join(dir, "memory.memsw.limit_in_bytes")); strings.TrimSpace(string(b)) != strconv.FormatInt(n, 10) {
			t.Errorf("memory and swap: %s, want %d", b, n)
		}
	}
}

// TestRefusesWhatIsForgotten: a limit that the kernel takes and does not keep.
func TestRefusesWhatIsForgotten(t *testing.T) {
	dir, path := v1Memory(t)
	file := filepath.Join(filepath.Dir(dir), "memory.kmem.limit_in_bytes")
	if _, err := os.Stat(file); err != nil {
		t.Skip("needs a kernel that has memory.kmem.limit_in_bytes: ", err)
	}
	c, id := newCommand(t), id(t)
	n := int64(1 << 26)
	code, _, errs := c.run("run", "--bundle", bundle(t, []string{"/bin/cat", "/proc/self/status"}, func(s *specs.Spec) {
		s.Linux.CgroupsPath = path
		s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Kernel: &n}} //nolint:staticcheck // deprecated, and still asked for
	}), id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Rmdir(dir) }()
	kept := false
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(strconv.FormatInt(n, 10)), 0); err == nil {
		b, _ := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
		kept = strings.TrimSpace(string(b)) == strconv.FormatInt(n, 10)
	}
	if kept != (code == 0) || !kept && !strings.Contains(errs, "memory.k") {
		t.Errorf("status %d, %q; this kernel keeps the limit: %v", code, errs, kept)
	}
}
