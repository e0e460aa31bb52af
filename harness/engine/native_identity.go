package engine

import (
	"fmt"
	"io"
	"os"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

func (t *translator) identity() {
	c, e := t.cfg, &t.req.Ext
	c.ProcessGroup, c.Subreaper = e.ProcessGroup, e.Subreaper
	c.Speculation = checkpoint.Speculation(e.Speculation)
	if e.PTracer != nil {
		c.PTracer = checkpoint.Some(*e.PTracer)
	}
	if k := e.Keyring; k != nil {
		c.Keyring.Name = k.Name
		if k.Permissions != nil {
			c.Keyring.Permissions = checkpoint.Some(*k.Permissions)
		}
	}
}

// OpenProgram opens holdshort.program for [checkpoint.Options].Program: the
// file itself, or a sealed copy in memory. It returns nil where the request
// names none. The caller closes it once the workload runs.
func OpenProgram(req *request.Request) (*os.File, error) {
	p := req.Ext.Program
	if p == nil {
		return nil, nil
	}
	if !p.Memfd {
		f, err := os.OpenFile(p.Host, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("holdshort.program: %w", err)
		}
		return f, nil
	}
	f, err := copyToMemory(p.Host)
	if err != nil {
		return nil, fmt.Errorf("holdshort.program: copy %s to memory: %w", p.Host, err)
	}
	return f, nil
}

// copyToMemory makes a file that nobody can change any more. It is handed on as
// a descriptor that was opened for reading: execve refuses a file that is open
// for writing (ETXTBSY).
func copyToMemory(path string) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return nil, err
	}
	// MFD_EXEC is since Linux 6.3; before, every memfd may be executed.
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { //nolint:errorlint // a bare errno
		fd, err = unix.MemfdCreate("program", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	to := os.NewFile(uintptr(fd), "memfd:program")
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return nil, err
	}
	if err := to.Chmod(info.Mode().Perm()); err != nil {
		return nil, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, err
	}
	again, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, err
	}
	return again, nil
}
