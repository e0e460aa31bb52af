package checkpoint

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// TestRootless runs launches from a process without any privilege.
func TestRootless(t *testing.T) {
	if os.Getenv("HOLDSHORT_TEST_ROOTLESS") != "" {
		l := newLauncher(t)
		uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
		cfg := Config{
			Namespaces: all(), UIDMap: []IDMap{{0, uid, 1}}, GIDMap: []IDMap{{0, gid, 1}}, DenySetgroups: true,
			Hostname: Some("rootless"), Mounts: []Mount{{Target: "/proc", Type: "proc"}}, Network: Network{LoopbackUp: true},
			NoNewPrivs: true, Capabilities: Capabilities{Bounding: Some(CapSet(0)), Permitted: Some(CapSet(0)), Effective: Some(CapSet(0)), Inheritable: Some(CapSet(0))},
		}
		out := output(t, l, cfg, "id -u; hostname; echo $$; grep -E 'CapEff|NoNewPrivs' /proc/self/status")
		if want := "0\nrootless\n1\nCapEff:\t0000000000000000\nNoNewPrivs:\t1"; out != want {
			t.Errorf("got %q; want %q", out, want)
		}
		// Without a user namespace the kernel says no, with what to do.
		_, err := l.Spawn(bg, &Config{Args: []string{"/bin/true"}, Namespaces: []Namespace{{Kind: Net}}}, nil)
		if err == nil || !strings.Contains(err.Error(), "EPERM") || !strings.Contains(err.Error(), "user namespace") {
			t.Errorf("net namespace without privilege: %v", err)
		}
		return
	}
	needRoot(t)
	reexec(t, "^TestRootless$", "HOLDSHORT_TEST_ROOTLESS=1")
}

// TestRootlessHelper lets newuidmap and newgidmap write the maps, with a
// subordinate range that exists only in a mount namespace of the test.
func TestRootlessHelper(t *testing.T) {
	if os.Getenv("HOLDSHORT_TEST_HELPER") != "" {
		l := newLauncher(t)
		m := []IDMap{{0, 200000, 1000}}
		cfg := Config{Namespaces: []Namespace{{Kind: User}, {Kind: Mnt}}, UIDMap: m, GIDMap: m, MapHelper: true, UID: Some[uint32](7), GID: Some[uint32](8)}
		if out := output(t, l, cfg, "id -u; id -g; cat /proc/self/uid_map"); strings.Join(strings.Fields(out), " ") != "7 8 0 200000 1000" {
			t.Errorf("got %q", out)
		}
		cfg.UIDMap = []IDMap{{0, 900000, 1000}}
		cfg.Args = []string{"/bin/true"}
		if _, err := l.Spawn(bg, &cfg, nil); err == nil || !strings.Contains(err.Error(), "newuidmap") {
			t.Errorf("a range that is not ours: %v", err)
		}
		return
	}
	needRoot(t)
	if _, err := exec.LookPath("newuidmap"); err != nil {
		t.Skip("needs newuidmap (package uidmap)")
	}
	file := filepath.Join(t.TempDir(), "sub")
	if err := os.WriteFile(file, []byte("nobody:200000:65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"/etc/subuid", "/etc/subgid"} {
		if _, err := os.Stat(f); err != nil {
			t.Skip("needs " + f + " to put a range over")
		}
	}
	cmd := exec.Command("/bin/sh", "-c", `mount --make-rprivate / && mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid &&
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$1" -test.run '^TestRootlessHelper$' -test.v`, file, "/proc/self/fd/3")
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Env = append(os.Environ(), "HOLDSHORT_TEST_HELPER=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// reexec runs one test again, as nobody.
func reexec(t *testing.T, run, env string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", run, "-test.v")
	cmd.Env = append(os.Environ(), env)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
