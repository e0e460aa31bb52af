package checkpoint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What stands in place of /proc or of a file in it must not swallow what is
// meant for the kernel (CVE-2019-16884, CVE-2019-19921).
func TestFakeProc(t *testing.T) {
	needRoot(t)
	if os.Getenv("HOLDSHORT_FAKE") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestFakeProc$", "-test.v")
		cmd.Env = append(os.Environ(), "HOLDSHORT_FAKE=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS} // what is mounted here goes with it
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	mount := func(source, target, fstype string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC)
	file := filepath.Join(t.TempDir(), "fake")
	if err := os.WriteFile(file, []byte("64\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Run("a file on a sysctl", func(t *testing.T) {
		// Of net and ipc each namespace has directory entries of its own, on
		// which the host can mount nothing; of uts there is one for all.
		const name = "/proc/sys/kernel/domainname"
		mount(file, name, "", unix.MS_BIND)
		defer func() { _ = unix.Unmount(name, unix.MNT_DETACH) }()
		l := newLauncher(t)
		_, err := l.Spawn(context.Background(), &Config{
			Args: []string{"/bin/true"}, Namespaces: []Namespace{{Kind: UTS}}, Sysctls: map[string]string{"kernel.domainname": "swallowed"},
		}, nil)
		var e *Error
		if !errors.As(err, &e) || e.Stage != StageSysctl || !errors.Is(err, unix.EXDEV) {
			t.Errorf("%v; want EXDEV at %s", err, StageSysctl)
		}
		if b, _ := os.ReadFile(file); string(b) != "64\n" {
			t.Errorf("the file has got %q", b)
		}
	})
	t.Run("another null device", func(t *testing.T) {
		mount(file, "/dev/null", "", unix.MS_BIND)
		defer func() { _ = unix.Unmount("/dev/null", unix.MNT_DETACH) }()
		if l, err := New(context.Background()); !errors.Is(err, unix.ENODEV) {
			t.Errorf("%v; want ENODEV", err)
			if err == nil {
				l.Close()
			}
		}
	})
	t.Run("a directory of proc on proc", func(t *testing.T) {
		mount("/proc/sys", "/proc", "", unix.MS_BIND)
		defer func() { _ = unix.Unmount("/proc", unix.MNT_DETACH) }()
		if l, err := New(context.Background()); err == nil {
			l.Close()
			t.Error("accepted")
		}
	})
}
