package checkpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountTargetsStayInTheRoot has links in the root that lead out of it: one
// that is absolute, one that climbs. What is made for the mount must be made
// inside.
func TestMountTargetsStayInTheRoot(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	for name, link := range map[string]func(victim string) string{
		"absolute": func(v string) string { return v },
		"climbs":   func(v string) string { return "../../../../../../../../../.." + v },
	} {
		t.Run(name, func(t *testing.T) {
			root, victim := t.TempDir(), t.TempDir()
			if err := os.Symlink(link(victim), filepath.Join(root, "out")); err != nil {
				t.Fatal(err)
			}
			// Inside the root the link has a target too, so that it does not dangle.
			if err := os.MkdirAll(filepath.Join(root, victim), 0o755); err != nil {
				t.Fatal(err)
			}
			cfg := Config{
				Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: Mnt}}, Root: Root{Path: root},
				Mounts: []Mount{{Target: "/out/made", Type: "tmpfs"}},
			}
			w, err := l.Spawn(context.Background(), &cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Abort(context.Background()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(victim, "made")); !errors.Is(err, unix.ENOENT) {
				t.Errorf("made outside of the root: %v", err)
			}
			if _, err := os.Stat(filepath.Join(root, victim, "made")); err != nil {
				t.Errorf("not made inside: %v", err)
			}
		})
	}
}
