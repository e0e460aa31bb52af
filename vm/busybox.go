package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// busyboxSuite is where the package comes from; any release's would do.
const busyboxSuite = "bookworm"

// BusyBox returns the path of a static busybox for an architecture, from the
// package of that name: a user space for guests whose programs are not this
// machine's. It is fetched, checked and kept as kernels are.
func (c *Cache) BusyBox(ctx context.Context, arch string, log func(string)) (string, error) {
	link := filepath.Join(c.dir, "busybox-"+arch)
	if _, err := os.Stat(link); err == nil {
		return filepath.EvalSymlinks(link)
	}
	unlock, err := c.lock("apt-" + busyboxSuite + "-" + arch)
	if err != nil {
		return "", err
	}
	defer unlock()
	a, err := openAPT(c.etc, filepath.Join(c.dir, "apt"), busyboxSuite, arch)
	if err != nil {
		return "", err
	}
	if log != nil {
		log("fetching busybox-static for " + arch)
	}
	if err := a.update(ctx); err != nil {
		return "", err
	}
	ps, err := a.show(ctx, "busybox-static")
	if err != nil {
		return "", err
	}
	if len(ps) != 1 {
		return "", fmt.Errorf("vm: suite %s has %d packages busybox-static for %s", busyboxSuite, len(ps), arch)
	}
	tmp, err := os.MkdirTemp(c.dir, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	debs, err := a.download(ctx, tmp, ps...)
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", debs[0], filepath.Join(tmp, "root")).CombinedOutput(); err != nil {
		return "", fmt.Errorf("package busybox-static: dpkg-deb -x: %w: %s", err, lastLines(string(out), 3))
	}
	name := "busybox-" + arch + "-" + ps[0].SHA256[:16]
	for _, p := range []string{"bin/busybox", "usr/bin/busybox"} {
		if err = os.Rename(filepath.Join(tmp, "root", p), filepath.Join(c.dir, name)); err == nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("package busybox-static: %w", err)
	}
	if err := os.Symlink(name, filepath.Join(tmp, "link")); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(tmp, "link"), link); err != nil {
		return "", err
	}
	return filepath.Join(c.dir, name), nil
}

var appletName = regexp.MustCompile(`^[a-z0-9_.\[-]+$`)

// applets are the names that a busybox answers to, from its own table of
// them: a link for a name that it lacks would look like a program and be none.
func applets(binary []byte) ([]string, error) {
	_, rest, found := bytes.Cut(binary, []byte("\x00[\x00[[\x00"))
	if !found {
		return nil, errors.New("no table of applets in it")
	}
	out := []string{"[", "[["}
	for {
		n, after, ok := bytes.Cut(rest, []byte{0})
		if !ok || !appletName.Match(n) {
			break
		}
		out, rest = append(out, string(n)), after
	}
	if len(out) < 20 {
		return nil, fmt.Errorf("only %d applets in it", len(out))
	}
	return out, nil
}

// busybox puts a busybox into the image, under every name that is still free.
func (im *image) busybox(from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	names, err := applets(b)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := im.bytes("/bin/busybox", b, 0o755); err != nil {
		return err
	}
	for _, n := range names {
		// modprobe is ours; the rest would only stand in init's way
		if n == "busybox" || strings.HasPrefix(n, "init") || n == "modprobe" || im.has("/bin/"+n) || im.has("/sbin/"+n) {
			continue
		}
		if err := im.symlink("/bin/"+n, "busybox"); err != nil {
			return err
		}
	}
	return nil
}
