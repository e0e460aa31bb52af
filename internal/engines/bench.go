// Package engines runs other people's engines, as far as they are installed:
// fixed cases, in which each known deviation has to show by itself, random valid
// requests, in which nothing else may, and the same request through several of
// them. It is behind make engines and "holdshort fuzz --engine".
package engines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// Bench is what all launches have in common.
type Bench struct {
	v      *harness.Verifier
	dir    string
	root   string // of the workloads
	conf   string // of podman: what its runtime is
	tree   *Tree  // whose engines run, nil for this machine's
	said   string // by the last engine, on its standard error
	hybrid bool   // cgroup version 1 and a version 2 that has controllers, which crun refuses
}

// Open makes a root file system of one static program, and opens the observer.
// The caller closes the Bench.
func Open(ctx context.Context, freeze bool) (*Bench, error) {
	for fd := 3; fd < 1024; fd++ { // what we were started with is nobody's business
		unix.CloseOnExec(fd)
	}
	dir, err := os.MkdirTemp("", "holdshort-engines-")
	if err != nil {
		return nil, err
	}
	b := &Bench{dir: dir, root: filepath.Join(dir, "rootfs"), conf: filepath.Join(dir, "containers.conf"), hybrid: hybrid()}
	err = os.WriteFile(b.conf, []byte("[engine]\nruntime = \"runc\"\n"), 0o644)
	if err == nil {
		err = b.makeRoot()
	}
	if err == nil {
		b.v, err = harness.NewVerifier(ctx, &harness.VerifierOptions{Freeze: freeze})
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return b, nil
}

// Close ends the observation, and removes the root.
func (b *Bench) Close() error {
	err := b.v.Close()
	_ = os.RemoveAll(b.dir)
	return err
}

// One runs one request. It returns no case if the engine cannot be told.
func (b *Bench) One(ctx context.Context, e *engine.Foreign, req *request.Request, dirty, clean bool) (*harness.Case, []string, error) {
	if err := req.Validate(); err != nil {
		return nil, nil, err
	}
	cmd, err := e.Command(req, true)
	if err != nil {
		return nil, []string{err.Error()}, nil
	}
	defer cmd.Close()
	var path string
	args := cmd.Args
	if b.tree != nil {
		var ok bool
		if path, args[0], ok = b.tree.find(e); !ok {
			return nil, nil, fmt.Errorf("%s has no %s", b.tree.Dir, e.Binary)
		}
		if args, cmd.Env = b.tree.words(e, args, cmd.Env); cmd.Env == nil {
			cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		}
		args = b.within(b.tree, args)
	} else {
		if path, err = exec.LookPath(e.Binary); err != nil {
			return nil, nil, err
		}
		args[0] = path
	}
	if e.Name == "crun" && b.hybrid && b.tree == nil {
		args = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `umount /sys/fs/cgroup/unified; exec "$@"`, "sh"}, args...)
	}
	if dirty {
		args = append([]string{"/bin/sh", "-c", dirtyCaller, "sh"}, args...)
	}
	// What an engine made in /dev of the one before would be in the next's way.
	if err := b.clearDev(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	x := exec.CommandContext(ctx, args[0], args[1:]...)
	x.Env, x.ExtraFiles = cmd.Env, cmd.Files
	said := &strings.Builder{}
	x.Stderr = said
	if x.Env == nil {
		x.Env = []string{"PATH=" + os.Getenv("PATH"), "CONTAINERS_CONF=" + b.conf}
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { b.said = said.String() }()
	c, err := b.v.VerifyWith(ctx, cmd.Request, x, &harness.VerifyOptions{
		Engine: e.Name, Profile: e.Profile, PID: cmd.PID, Below: cmd.Below, Binary: real, Clean: clean,
	})
	return c, cmd.Unexpressed, err
}

func (b *Bench) clearDev() error {
	dev := filepath.Join(b.root, "dev")
	list, err := os.ReadDir(dev)
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := os.RemoveAll(filepath.Join(dev, x.Name())); err != nil {
			return err
		}
	}
	return nil
}

// makeRoot makes a root file system of one static program.
func (b *Bench) makeRoot() error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("needs a static busybox: %w", err)
	}
	text, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	for _, d := range []string{"bin", "proc", "dev", "sys", "tmp", "etc", "mnt", "usr", "root"} {
		if err := os.MkdirAll(filepath.Join(b.root, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Dir(b.root), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "busybox"), text, 0o755); err != nil {
		return err
	}
	// systemd-nspawn starts nothing without.
	if err := os.WriteFile(filepath.Join(b.root, "etc", "os-release"), []byte("ID=holdshort\n"), 0o644); err != nil {
		return err
	}
	for _, name := range []string{"true", "sh"} {
		if err := os.WriteFile(filepath.Join(b.root, "bin", name), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// hybrid reports version 1 hierarchies beside a version 2 that has controllers.
func hybrid() bool {
	b, err := os.ReadFile("/sys/fs/cgroup/unified/cgroup.controllers")
	return err == nil && strings.TrimSpace(string(b)) != ""
}
