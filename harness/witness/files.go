package witness

import (
	"fmt"

	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// maxFD is how many descriptors are looked for.
const maxFD = 64

func files() []Question {
	var calls []Call
	for fd := range maxFD {
		calls = append(calls, Call{NR: unix.SYS_FCNTL, Args: []Arg{Number(fd), Number(unix.F_GETFD)}})
	}
	out := []Question{
		{"files", calls, func(f *Facts, o []Outcome) Answer {
			list, ok := f.Posture.Files.Get()
			if !ok || list.Truncated > 0 {
				return silent("not all in the posture")
			}
			want, got, more := []int{}, []int{}, 0
			for _, e := range list.Open {
				if e.FD < maxFD {
					want = append(want, int(e.FD))
				} else {
					more++
				}
			}
			for fd := range o {
				if o[fd].Errno() == 0 {
					got = append(got, fd)
				}
			}
			a := compare(fmt.Sprint(want), fmt.Sprint(got))
			if more > 0 && a.Standing == Agrees {
				return silent("%d are beyond the %d that are looked for", more, maxFD)
			}
			return a
		}},
		inode("fs.root", "/", func(f *posture.FS) posture.Value[posture.Inode] { return f.Root }),
		inode("fs.cwd", ".", func(f *posture.FS) posture.Value[posture.Inode] { return f.Cwd }),
	}
	for fd := range 4 {
		out = append(out, Question{fmt.Sprintf("files: inode of %d", fd), []Call{{NR: unix.SYS_FSTAT, Args: []Arg{Number(fd), Out(144)}}}, func(f *Facts, o []Outcome) Answer {
			list, ok := f.Posture.Files.Get()
			if !ok {
				return silent("not in the posture")
			}
			for _, e := range list.Open {
				if int(e.FD) == fd && o[0].Errno() == 0 {
					return compare(e.Inode, statInode(o[0].Outs[0]))
				}
			}
			return silent("not open")
		}})
	}
	return out
}

// statInode takes the first two members of struct stat, which are the same on
// both architectures.
func statInode(b []byte) posture.Inode { return posture.Inode{Dev: le64(b), Ino: le64(b[8:])} }

func inode(name, path string, at func(*posture.FS) posture.Value[posture.Inode]) Question {
	return filled(name, func(p *posture.Posture) posture.Value[posture.Inode] { return at(&p.FS) }, statInode, fstatat, Number(unix.AT_FDCWD), Text(path), Out(144), Number(0))
}
