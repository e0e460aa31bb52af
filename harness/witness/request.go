package witness

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// Requested are questions about what a request implies and no posture shows:
// that what shall be read-only cannot be written, and what is masked not read.
func Requested(r *request.Request) []Question {
	var out []Question
	if root := r.Spec.Root; root != nil && root.Readonly {
		out = append(out, readOnly("/"))
	}
	for _, m := range r.Spec.Mounts {
		if slices.Contains(m.Options, "ro") && !slices.Contains(m.Options, "rw") {
			out = append(out, readOnly(m.Destination))
		}
	}
	for _, p := range r.Linux().ReadonlyPaths {
		out = append(out, readOnly(p))
	}
	for _, p := range r.Linux().MaskedPaths {
		out = append(out, masked(p))
	}
	return out
}

// open makes one call of openat. O_CLOEXEC is there so that it can be seen that
// the flags arrived.
func open(path string, flags int) Call {
	return Call{NR: unix.SYS_OPENAT, Args: []Arg{Number(unix.AT_FDCWD), Text(path), Number(flags | unix.O_CLOEXEC), Number(0o600)}}
}

// denied are the errors of a path that is kept from the workload: by a
// read-only mount, by permissions, by a security module.
var denied = []unix.Errno{unix.EROFS, unix.EACCES, unix.EPERM}

// readOnly tries to open a file for writing, or to make an unnamed file in a
// directory. A read-only mount answers before the file system does, also where
// that could not make such a file (mnt_want_write in fs/namei.c).
func readOnly(path string) Question {
	return Question{"write " + path, []Call{open(path, unix.O_WRONLY), open(path, unix.O_WRONLY|unix.O_TMPFILE)}, func(_ *Facts, o []Outcome) Answer {
		tried := o[0]
		if tried.Errno() == unix.EISDIR {
			tried = o[1]
		}
		switch e := tried.Errno(); {
		case e == unix.ENOENT:
			return silent("there is no such path")
		case e == 0:
			return Answer{Standing: Disagrees, Want: "refused", Got: "opened for writing"}
		case slices.Contains(denied, e):
			return Answer{Standing: Agrees, Want: "refused", Got: unix.ErrnoName(e)}
		default:
			// The mount let it pass; it fails for another reason.
			return Answer{Standing: Disagrees, Want: "refused", Got: unix.ErrnoName(e) + ", which no read-only mount answers"}
		}
	}}
}

// masked reads a file, or lists a directory: both must be empty.
func masked(path string) Question {
	calls := []Call{
		open(path, unix.O_RDONLY|unix.O_NONBLOCK),
		{NR: unix.SYS_READ, Args: []Arg{ResultOf(0), Out(16), Number(16)}},
		{NR: unix.SYS_GETDENTS64, Args: []Arg{ResultOf(0), Out(512), Number(512)}},
	}
	return Question{"read " + path, calls, func(_ *Facts, o []Outcome) Answer {
		const empty = 48 // the entries "." and ".."
		switch e := o[0].Errno(); {
		case e == unix.ENOENT:
			return silent("there is no such path")
		case slices.Contains(denied, e):
			return Answer{Standing: Agrees, Want: "nothing to read", Got: unix.ErrnoName(e)}
		case e != 0:
			return silent("open answers %s", unix.ErrnoName(e))
		case o[1].Errno() == unix.EISDIR:
			if o[2].Errno() != 0 {
				return silent("getdents answers %s", o[2].String())
			}
			return hidden("an empty directory", o[2].Result <= empty, fmt.Sprintf("%d bytes of entries", o[2].Result))
		case o[1].Errno() != 0:
			return Answer{Standing: Agrees, Want: "nothing to read", Got: unix.ErrnoName(o[1].Errno())}
		}
		return hidden("nothing to read", o[1].Result == 0, strconv.FormatInt(o[1].Result, 10)+" bytes")
	}}
}

func hidden(want string, is bool, got string) Answer {
	a := Answer{Standing: Agrees, Want: want, Got: got}
	if !is {
		a.Standing = Disagrees
	}
	return a
}
