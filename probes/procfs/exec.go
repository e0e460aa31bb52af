package procfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

const atSecure = 23 // AT_SECURE, getauxval(3)

// exec reads what the process runs.
func (t *task) exec() {
	x := &t.p.Exec
	t.exe()
	if b, err := t.file("comm", true); err != nil {
		x.Comm = lost[string](err)
	} else {
		x.Comm = posture.Known(string(bytes.TrimSuffix(b, []byte("\n"))))
	}
	x.Args, x.Env = t.strings("cmdline"), t.strings("environ")
	b, err := t.file("auxv", true)
	if err != nil {
		x.Secure = lost[bool](err)
		return
	}
	x.Secure = posture.Unreadable[bool]("the auxiliary vector has no AT_SECURE")
	for ; len(b) >= 16; b = b[16:] {
		if binary.NativeEndian.Uint64(b) == atSecure {
			x.Secure = posture.Known(binary.NativeEndian.Uint64(b[8:]) != 0)
		}
	}
}

func (t *task) exe() {
	x := &t.p.Exec
	fd, err := unix.Openat(t.dir, "exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		var p place
		if p, err = t.see(fd); err == nil {
			x.Exe, x.ExeNlink = posture.Known(p.inode), posture.Known(uint32(p.stat.Nlink))
			return
		}
	}
	x.Exe, x.ExeNlink = lost[posture.Inode](err), lost[uint32](err)
}

// strings reads a list of strings, each of which ends with a zero byte.
func (t *task) strings(name string) posture.Value[[]string] {
	b, err := t.file(name, false)
	if err != nil {
		return lost[[]string](err)
	}
	list := []string{}
	if len(b) > 0 {
		list = strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	}
	return posture.Known(list)
}

const seccompLog = 1 << 1 // SECCOMP_FILTER_FLAG_LOG

// seccomp reads the installed filters, newest first. The kernel counts them from
// the oldest one (get_nth_filter, kernel/seccomp.c).
func (t *task) seccomp() {
	s := &t.p.Seccomp
	mode, ok := s.Mode.Get()
	const filtered = 2 // SECCOMP_MODE_FILTER
	switch {
	case !ok:
		s.Filters = posture.Unreadable[[]posture.Filter](s.Mode.Why())
		return
	case mode != filtered:
		s.Filters = posture.Known([]posture.Filter{})
		return
	case !t.traced:
		s.Filters = posture.Unreadable[[]posture.Filter]("it takes a tracer to read filters")
		return
	}
	list := []posture.Filter{}
	for i := 0; ; i++ {
		code, err := sys.SeccompFilter(t.pid, i)
		if errors.Is(err, unix.ENOENT) && i > 0 {
			break
		}
		f := posture.Filter{}
		switch {
		case errors.Is(err, unix.EMEDIUMTYPE):
			f.InstructionsLost = "the kernel has not kept the instructions"
		case err != nil:
			s.Filters = posture.Unreadable[[]posture.Filter](fmt.Sprintf("filter %d: %v", i, err))
			return
		}
		flags, err := sys.SeccompFlags(t.pid, i)
		if err != nil {
			s.Filters = posture.Unreadable[[]posture.Filter](fmt.Sprintf("flags of filter %d: %v", i, err))
			return
		}
		f.Log = flags&seccompLog != 0
		f.Instructions = make([]posture.Instruction, len(code))
		for j, c := range code {
			f.Instructions[j] = posture.Instruction{Code: c.Code, JT: c.Jt, JF: c.Jf, K: c.K}
		}
		list = append([]posture.Filter{f}, list...)
	}
	s.Filters = posture.Known(list)
}
