// Command notify shows how a host answers the system calls of a workload: the
// workload is root of a user namespace only, where the kernel makes no device
// nodes, and the host makes those for it that do no harm.
//
//	notify [COMMAND…]
//
// Without a command it runs a shell that makes a null device of its own. It
// needs root, to make devices and to give the namespace ids.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/checkpoint/seccomp/notify"
	"golang.org/x/sys/unix"
)

const demo = `mknod mine c 1 3 && echo into the void > mine && ls -ln mine; mknod memory c 1 1 || echo "no memory device, as it should be"`

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"/bin/sh", "-c", demo}
	}
	dir, err := os.MkdirTemp("", "notify")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(context.Background(), dir, args, os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// firstID is what the workload's root is outside.
const firstID = 100000

// run starts args in dir and answers until it has ended.
func run(ctx context.Context, dir string, args []string, out *os.File) error {
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, firstID, firstID)); err != nil {
		return err
	}
	l, err := checkpoint.New(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	answered := make(chan error, 1)
	res, err := l.Run(ctx, &checkpoint.Config{
		Args: args, Env: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, Cwd: dir, SearchPath: true, NoNewPrivs: true,
		Namespaces: []checkpoint.Namespace{{Kind: checkpoint.User}},
		UIDMap:     []checkpoint.IDMap{{Outside: firstID, Count: 1000}},
		GIDMap:     []checkpoint.IDMap{{Outside: firstID, Count: 1000}},
		Seccomp: &seccomp.Policy{
			DefaultAction: seccomp.ActAllow,
			Syscalls:      []seccomp.Rule{{Names: []string{"mknod", "mknodat"}, Action: seccomp.ActNotify}},
		},
	}, &checkpoint.Options{
		Stdout: out, Stderr: out,
		Notify: func(_ *checkpoint.Workload, f *os.File) error {
			go func() { answered <- answer(notify.New(f)) }()
			return nil
		},
	})
	if err != nil {
		return err
	}
	if err := <-answered; err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	if res.State != checkpoint.Exited || res.ExitCode != 0 {
		return fmt.Errorf("workload: %s", res)
	}
	return nil
}

// answer answers until nobody is left who could call.
func answer(l *notify.Listener) error {
	defer l.Close()
	for {
		n, err := l.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := reply(l, n, mknod(l, n)); err != nil && !errors.Is(err, notify.ErrGone) {
			return err
		}
	}
}

func reply(l *notify.Listener, n *notify.Notification, err error) error {
	if err == nil {
		return l.Return(n, 0)
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return l.Fail(n, errno)
	}
	return l.Fail(n, unix.EPERM)
}

// harmless are the devices that anybody may have: null, zero, full, random and
// urandom.
var harmless = map[uint64]bool{unix.Mkdev(1, 3): true, unix.Mkdev(1, 5): true, unix.Mkdev(1, 7): true, unix.Mkdev(1, 8): true, unix.Mkdev(1, 9): true}

// mknod does in the caller's stead what it may: it makes harmless character
// devices, in the directory that the caller means, and everything else fails.
// Nothing is let through to the kernel, so nothing that the caller changes
// after it was looked at matters.
func mknod(l *notify.Listener, n *notify.Notification) error {
	args := n.Args[:]
	at := int32(unix.AT_FDCWD)
	switch n.Call {
	case "mknod":
	case "mknodat":
		at, args = int32(args[0]), args[1:]
	default:
		return unix.ENOSYS // of another architecture
	}
	mode, dev := uint32(args[1]), args[2]
	if mode&unix.S_IFMT != unix.S_IFCHR || !harmless[dev] {
		return unix.EPERM
	}
	name, err := l.String(n, args[0])
	if err != nil {
		return err
	}
	dir, err := directory(l, n, at, path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	base := path.Base(name)
	if err := unix.Mknodat(dir, base, unix.S_IFCHR|0o600, int(dev)); err != nil {
		return err
	}
	if err := unix.Fchownat(dir, base, firstID, firstID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return nil
}

// directory opens what an absolute path is in the caller's root, or a relative
// one below the directory that it is relative to; it follows no link out of
// these.
func directory(l *notify.Listener, n *notify.Notification, at int32, name string) (int, error) {
	proc := "/proc/" + strconv.Itoa(n.PID)
	start, how := proc+"/root", uint64(unix.RESOLVE_IN_ROOT)
	if !path.IsAbs(name) {
		start, how = proc+"/cwd", unix.RESOLVE_BENEATH
		if at != unix.AT_FDCWD {
			start = proc + "/fd/" + strconv.Itoa(int(at))
		}
	}
	from, err := unix.Open(start, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(from)
	// The pid was looked up by number: only now is it sure whose it was.
	if err := l.Valid(n); err != nil {
		return -1, err
	}
	return unix.Openat2(from, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: how | unix.RESOLVE_NO_MAGICLINKS})
}
