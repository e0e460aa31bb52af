package vm

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
)

// archive is what is in an initial ramfs: contents by name, "-> target" for
// links, "/" for directories.
func archive(t *testing.T, f *os.File) map[string]string {
	t.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := cpio.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got["/"+h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		if dir := filepath.Dir("/" + h.Name); dir != "/" && got[dir] != "/" {
			t.Errorf("%s comes before its directory", h.Name)
		}
		switch h.Mode &^ cpio.ModePerm &^ (cpio.ModeSetuid | cpio.ModeSetgid | cpio.ModeSticky) {
		case cpio.TypeDir:
			got["/"+h.Name] = "/"
		case cpio.TypeSymlink:
			got["/"+h.Name] = "-> " + h.Linkname
		default:
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			got["/"+h.Name] = string(b)
		}
	}
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "A", "sub/b": "B", ".git/config": "no"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	im, err := newImage()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		im.tree("/w", dir), im.bytes("/bin/x", []byte("X"), 0o755), im.bytes("/usr/bin/x", []byte("second"), 0o755), im.dir("/w", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := im.finish()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := archive(t, f)
	for name, want := range map[string]string{
		"/w": "/", "/w/a": "A", "/w/sub": "/", "/w/sub/b": "B", "/w/link": "-> a", "/bin": "-> usr/bin", "/usr/bin/x": "X", "/w/.git/config": "",
	} {
		if got[name] != want {
			t.Errorf("%s is %q; want %q", name, got[name], want)
		}
	}
	if err := im.file("/dev/x", os.DevNull); err == nil {
		t.Error("a device was taken as a file")
	}
}

// A program brings its interpreter and its libraries.
func TestImageProgram(t *testing.T) {
	sh, err := LookPath("sh")
	if err != nil {
		t.Skip("needs sh: ", err)
	}
	im, err := newImage()
	if err != nil {
		t.Fatal(err)
	}
	if err := im.program(sh, sh); err != nil {
		t.Fatal(err)
	}
	f, err := im.finish()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libc := false
	for name := range archive(t, f) {
		libc = libc || strings.Contains(name, "/libc.")
	}
	if !libc {
		t.Skip("needs a sh that is linked dynamically to a libc.so")
	}
}
