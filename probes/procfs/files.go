package procfs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

// files reads the descriptors. Each is opened with O_PATH, which looks at a file
// without opening what it stands for.
func (t *task) files() {
	list, err := t.openFiles()
	if err != nil {
		t.p.Files = lost[posture.Files](err)
		return
	}
	t.p.Files = posture.Known(posture.Files{Open: list})
}

func (t *task) openFiles() ([]posture.File, error) {
	dir, err := unix.Openat(t.dir, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	numbers, err := t.numbersIn(dir)
	if err != nil {
		return nil, err
	}
	list := make([]posture.File, len(numbers))
	for i, n := range numbers {
		if err := t.openFile(dir, n, &list[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b posture.File) int { return cmp.Compare(a.FD, b.FD) })
	return list, nil
}

// numbersIn reads the names of a directory that are numbers. An entry is number
// of the inode, offset, length of the entry and type, then the name (struct
// linux_dirent64, getdents(2)).
func (t *task) numbersIn(dir int) ([]int, error) {
	var list []int
	for {
		n, err := unix.ReadDirent(dir, t.buf.b)
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return list, nil
		}
		for b := t.buf.b[:n]; len(b) > 19; {
			size := binary.NativeEndian.Uint16(b[16:])
			if name := b[19:size]; name[0] != '.' {
				list = append(list, int(number(name, 10)))
			}
			b = b[size:]
		}
	}
}

func (t *task) openFile(dir, n int, f *posture.File) error {
	name := strconv.Itoa(n)
	b, err := t.file("fdinfo/"+name, true)
	if err != nil {
		return err
	}
	info := parseFdinfo(b)
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p, err := t.see(fd)
	if err != nil {
		return err
	}
	*f = posture.File{
		FD: int32(n), Inode: p.inode, Mode: p.stat.Mode, Magic: uint64(p.statfs.Type),
		Flags: info.flags &^ unix.O_CLOEXEC, CloseOnExec: info.flags&unix.O_CLOEXEC != 0,
	}
	return nil
}

// fdinfo is what is used of /proc/PID/fdinfo/N, proc_pid_fdinfo(5).
type fdinfo struct {
	flags        uint32
	mount, inode uint64
	hasInode     bool
}

func parseFdinfo(b []byte) (i fdinfo) {
	for line := range bytes.Lines(b) {
		key, v, _ := bytes.Cut(line, []byte(":"))
		v = bytes.TrimLeft(v, "\t ")
		switch string(key) {
		case "flags":
			i.flags = uint32(number(v, 8))
		case "mnt_id":
			i.mount = number(v, 10)
		case "ino":
			i.inode, i.hasInode = number(v, 10), true
			return i // what comes after belongs to the kind of file
		}
	}
	return i
}
