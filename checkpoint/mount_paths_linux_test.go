package checkpoint

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// TestMountTargetsStayInTheRootUnderAttack has another process exchange a
// directory of the root with a link that leads to the host's, over and over,
// while workloads are launched whose targets lie below it. Whatever it wins, it
// wins inside of the root. A resolver that looks at the path first and uses it
// afterwards loses this game, which shows that the game is one.
func TestMountTargetsStayInTheRootUnderAttack(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	for name, link := range map[string]string{"absolute": "", "climbs": "../../../../../../../../../.."} {
		t.Run(name, func(t *testing.T) {
			root, victim := t.TempDir(), t.TempDir()
			dir := filepath.Join(root, "a/b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// Where the link leads to inside of the root there is something too.
			if err := os.MkdirAll(filepath.Join(root, victim), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(link+victim, filepath.Join(root, "evil")); err != nil {
				t.Fatal(err)
			}
			stop := exchange(t, dir, filepath.Join(root, "evil"))
			naive := 0
			for i, end := 0, time.Now().Add(30*time.Second); naive == 0 && time.Now().Before(end); i++ {
				naiveMkdir(root, "a/b", "naive"+strconv.Itoa(i))
				naive = entries(t, victim)
			}
			if naive == 0 {
				t.Errorf("the naive resolver was never led out of the root: this test shows nothing")
			}
			before := entries(t, victim)
			launched := 0
			for i := range rounds(150) {
				target := "/a/b/made" + strconv.Itoa(i)
				cfg := Config{
					Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: Mnt}}, Root: Root{Path: root},
					Mounts:      []Mount{{Target: target + "/deep", Type: "tmpfs"}, {Source: "/dev/null", Target: target + "/file", Options: []string{"bind"}}},
					Devices:     []Device{{Path: target + "/dev", Type: "c", Major: 1, Minor: 3, Mode: 0o666}},
					Symlinks:    []Symlink{{Path: target + "/link", Target: "x"}},
					MaskedPaths: []string{"/a/b"},
				}
				w, err := l.Spawn(context.Background(), &cfg, nil)
				if err != nil {
					var e *Error
					if !errors.As(err, &e) || !slices.Contains([]Stage{StageMounts, StageDevices, StageMasked}, e.Stage) {
						t.Fatal(err)
					}
					continue // the path changed meanwhile, which it was told
				}
				launched++
				if err := w.Abort(context.Background()); err != nil {
					t.Error(err)
				}
			}
			stop()
			if after := entries(t, victim); after != before {
				t.Errorf("%d things were made outside of the root", after-before)
			}
			if launched == 0 {
				t.Error("no launch came about")
			}
			t.Logf("%d of 150 launches came about", launched)
		})
	}
}

// naiveMkdir checks that a path is a directory and no link, as a careful but
// naive launcher would, and then uses the path.
func naiveMkdir(root, dir, name string) {
	at := filepath.Join(root, dir)
	if st, err := os.Lstat(at); err == nil && st.IsDir() {
		// On a busy machine the attacker needs his turn.
		_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		_ = unix.Mkdir(filepath.Join(at, name), 0o755)
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// exchange swaps two paths in another process until it is told to stop.
func exchange(t *testing.T, a, b string) (stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestExchanger$")
	cmd.Env = append(os.Environ(), "EXCHANGE="+a+":"+b)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the attacker failed: ", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestExchanger is the attacker: the test binary again, as another process.
func TestExchanger(t *testing.T) {
	a, b, ok := strings.Cut(os.Getenv("EXCHANGE"), ":")
	if !ok {
		t.Skip("is run by another test")
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	for n := 0; ; n++ {
		select {
		case <-done:
			if n%2 == 1 { // leave it as it was
				_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			}
			return
		default:
		}
		if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMagicLinksLeadNowhere: a root with a /proc of the host's has links that
// lead out of every root. They are no way for a target.
func TestMagicLinksLeadNowhere(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	root, victim := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/1/root"+victim, filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	host := Mount{Source: "/proc", Target: "/proc", Options: []string{"rbind"}}
	for _, target := range []string{"/out/made", "/proc/1/root" + victim + "/made", "/proc/self/cwd/made", "/proc/self/root/made"} {
		cfg := Config{Args: []string{"/nothing"}, Namespaces: []Namespace{{Kind: Mnt}}, Root: Root{Path: root}, Mounts: []Mount{host, {Target: target, Type: "tmpfs"}}}
		w, err := l.Spawn(context.Background(), &cfg, nil)
		// EACCES: the links of process 1 are not ours to read everywhere.
		if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v; want ELOOP", target, err)
			if err == nil {
				_ = w.Abort(context.Background())
			}
		}
	}
	if n := entries(t, victim); n > 0 {
		t.Errorf("%d things were made outside of the root", n)
	}
	// A fake /proc of the root itself is a directory like others.
	fake := t.TempDir()
	if err := os.MkdirAll(filepath.Join(fake, "proc/self"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/../../../../../../../.."+victim, filepath.Join(fake, "proc/self/fd")); err != nil {
		t.Fatal(err)
	}
	parked(t, l, Config{
		Namespaces: []Namespace{{Kind: PID}, {Kind: Mnt}}, Root: Root{Path: fake},
		Mounts: []Mount{{Target: "/proc", Type: "proc"}, {Target: "/x", Type: "tmpfs", Options: []string{"iversion"}}},
		// by a path in /proc, which is the host's
	}, nil, func(mounts map[string]string, _ string) {
		if mounts["/x"] == "" || mounts["/proc"] == "" {
			t.Errorf("mounts: %v", mounts)
		}
	})
}
