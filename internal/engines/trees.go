package engines

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdshort/holdshort/harness/engine"
)

// Tree is a root file system with engines in it, as of a Debian suite.
type Tree struct {
	Name, Dir string
	// Versions are of its packages, by name.
	Versions map[string]string
}

// versionsFile is where a tree's versions are kept, in the tree.
const versionsFile = "engines.json"

// Packages are what a tree is made of.
func Packages() []string { return []string{"runc", "crun", "bubblewrap"} }

// Keep writes the versions down, and makes the links of a merged /usr, which
// the scripts of packages make.
func (t *Tree) Keep() error {
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		if _, err := os.Lstat(filepath.Join(t.Dir, d)); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.Symlink(filepath.Join("usr", d), filepath.Join(t.Dir, d)); err != nil {
			return err
		}
	}
	b, err := json.Marshal(t.Versions)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.Dir, versionsFile), b, 0o644)
}

// ReadTree reads a tree that was kept.
func ReadTree(dir string) (*Tree, error) {
	t := &Tree{Name: filepath.Base(dir)}
	var err error
	if t.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(t.Dir, versionsFile))
	if err != nil {
		return nil, err
	}
	return t, json.Unmarshal(b, &t.Versions)
}

// find is an engine's file: as this machine has it, and as it is inside.
func (t *Tree) find(e *engine.Foreign) (outside, inside string, ok bool) {
	for _, d := range []string{"usr/sbin", "usr/bin", "sbin", "bin"} {
		inside = filepath.Join("/", d, e.Binary)
		outside = filepath.Join(t.Dir, inside)
		if st, err := os.Stat(outside); err == nil && st.Mode().IsRegular() {
			return outside, inside, true
		}
	}
	return "", "", false
}

// label names an engine and its version.
func (t *Tree) label(e *engine.Foreign) string {
	version := t.Versions[e.Binary]
	if e.Binary == "bwrap" {
		version = t.Versions["bubblewrap"]
	}
	for _, end := range []string{"+dfsg", "+ds", "-"} {
		version, _, _ = strings.Cut(version, end)
	}
	return fmt.Sprintf("%s %s (%s)", e.Name, version, t.Name)
}

// inside runs a command with the tree as the root of a mount namespace of its
// own, with this machine's /proc, /sys, /dev, /run and /tmp. It is no chroot:
// engines pivot, and check that they are at the root of a mount.
const inside = `set -e
D=$1 B=$2 H=$3 P=$PATH; shift 3
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount --rbind "$D" "$D"
cd "$D"
for x in proc sys dev run tmp; do mkdir -p $x; mount --rbind /$x $x; done
[ -z "$H" ] || umount sys/fs/cgroup/unified
mkdir -p old
pivot_root . old
cd /
"$B" umount -l /old
PATH=$P
unset PWD OLDPWD
exec "$@"`

// within is the command line with the engine of a tree.
func (b *Bench) within(t *Tree, args []string) []string {
	hybrid := ""
	if b.hybrid {
		hybrid = "yes"
	}
	return append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", inside, "sh", t.Dir, filepath.Join(b.dir, "busybox"), hybrid}, args...)
}

// words are the command line as an old version knows it: bwrap has --clearenv
// since 0.5.0; before, it passes its own environment on.
func (t *Tree) words(e *engine.Foreign, args, env []string) ([]string, []string) {
	if e.Binary != "bwrap" || !older(t.Versions["bubblewrap"], "0.5.0") {
		return args, env
	}
	var out []string
	env = []string{}
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return append(out, args[i:]...), env
		case args[i] == "--clearenv":
		case args[i] == "--setenv" && i+2 < len(args):
			env = append(env, args[i+1]+"="+args[i+2])
			i += 2
		default:
			out = append(out, args[i])
		}
	}
	return out, env
}
