package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Packages unpacks packages of a Debian suite, with all that they depend on,
// into a directory, which is then a root file system in which their programs
// run. Their scripts do not run. They come from the mirror that this machine's
// apt is configured with; nothing of the machine's own package state is touched.
// State is a directory for apt's lists, which may be used again. It returns the
// versions of the packages by name.
//
// It needs apt-get and dpkg-deb, and no root.
func Packages(ctx context.Context, suite, arch, state, dir string, names ...string) (map[string]string, error) {
	state, err := filepath.Abs(state) // apt takes what is relative to be below its own
	if err != nil {
		return nil, err
	}
	a, err := openAPT("/etc/apt", state, suite, arch)
	if err != nil {
		return nil, err
	}
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	args := []string{"-q", "-y", "-o", "Debug::NoLocking=1", "--no-install-recommends", "--download-only", "install"}
	if _, err := a.run(ctx, "", "apt-get", append(args, names...)...); err != nil {
		return nil, err
	}
	debs, err := filepath.Glob(filepath.Join(a.dir, "cache/archives/*.deb"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for _, deb := range debs {
		// Through tar, as dpkg-deb replaces links to directories with directories.
		unpack := exec.CommandContext(ctx, "/bin/sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -f - -C "$2"`, "sh", deb, dir)
		if out, err := unpack.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("vm: unpack %s: %w: %s", filepath.Base(deb), err, lastLines(string(out), 3))
		}
		out, err := exec.CommandContext(ctx, "dpkg-deb", "--show", "--showformat=${Package} ${Version}", deb).Output()
		if err != nil {
			return nil, fmt.Errorf("vm: dpkg-deb --show %s: %w", deb, err)
		}
		name, version, _ := strings.Cut(string(out), " ")
		versions[name] = version
	}
	for _, n := range names {
		if versions[n] == "" {
			return nil, fmt.Errorf("vm: suite %s: %s did not come", suite, n)
		}
	}
	return versions, nil
}
