// Package vmtest is a project whose tests depend on the kernel. With one flag
// they run on another:
//
//	go test -exec 'holdshort vm exec --kernel 6.1 --' ./...
//	holdshort matrix --kernels 5.10,6.1,6.12 ./...
package vmtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A change to a file below an overlay is seen above it only.
func TestOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	sub := func(name string) string {
		p := filepath.Join(dir, name)
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	lower, upper, work, merged := sub("lower"), sub("upper"), sub("work"), sub("merged")
	golden, err := os.ReadFile("testdata/lower.txt") // the package's directory is in the guest
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lower, "f"), golden, 0o644); err != nil {
		t.Fatal(err)
	}
	opts := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	err = syscall.Mount("overlay", merged, "overlay", 0, opts)
	if errors.Is(err, syscall.ENODEV) {
		t.Skip("needs a kernel with overlayfs")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(merged, 0)
	if err := os.WriteFile(filepath.Join(merged, "f"), []byte("changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(lower, "f")); string(b) != string(golden) {
		t.Errorf("below: %q", b)
	}
}

// Which kernel that was is in the log.
func TestKernel(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	release := strings.TrimSpace(string(b))
	t.Log("Linux", release)
	if want := os.Getenv("WANT_KERNEL"); !strings.HasPrefix(release, want) {
		t.Errorf("this is Linux %s; want %s", release, want)
	}
}
