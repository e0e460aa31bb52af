package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNotify(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: device nodes and ids")
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the workload is another user
		t.Fatal(err)
	}
	if err := run(context.Background(), dir, []string{"/bin/sh", "-c", demo}, out); err != nil {
		b, _ := os.ReadFile(out.Name())
		t.Fatalf("%v\n%s", err, b)
	}
	b, _ := os.ReadFile(out.Name())
	if !strings.Contains(string(b), "no memory device") {
		t.Errorf("%q; want that a device that does harm is refused", b)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "mine"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) || st.Uid != firstID {
		t.Errorf("%+v %v; want a null device of the workload's", st, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "memory")); err == nil {
		t.Error("there is a memory device")
	}
}
