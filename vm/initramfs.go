package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cavaliergopher/cpio"
	"golang.org/x/sys/unix"
)

// image is an initial ramfs being written. It needs no root: owners and modes
// are what we say they are. Nothing of it is ever in a directory, for the file
// lives in memory until QEMU has read it.
type image struct {
	f    *os.File
	w    *cpio.Writer
	seen map[string]bool
	size int64
}

func newImage() (*image, error) {
	fd, err := unix.MemfdCreate("holdshort-initramfs", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("vm: initial ramfs: %w", err)
	}
	f := os.NewFile(uintptr(fd), "initramfs")
	im := &image{f: f, w: cpio.NewWriter(f), seen: map[string]bool{"/": true}}
	for _, d := range merged {
		if err := errors.Join(im.dir("/usr/"+d, 0o755), im.symlink("/"+d, "usr/"+d)); err != nil {
			f.Close()
			return nil, err
		}
	}
	return im, nil
}

// finish ends the archive and returns the file, which the caller closes.
func (im *image) finish() (*os.File, error) {
	if err := im.w.Close(); err != nil {
		im.f.Close()
		return nil, err
	}
	return im.f, nil
}

// parents makes the directories above name.
func (im *image) parents(name string) error { return im.dir(path.Dir(name), 0o755) }

func (im *image) dir(name string, mode fs.FileMode) error {
	name = place(name)
	if im.seen[name] {
		return nil
	}
	if err := im.parents(name); err != nil {
		return err
	}
	im.seen[name] = true
	return im.w.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeDir | cpioMode(mode), Links: 2})
}

func cpioMode(m fs.FileMode) cpio.FileMode {
	out := cpio.FileMode(m.Perm())
	for bit, c := range map[fs.FileMode]cpio.FileMode{fs.ModeSetuid: cpio.ModeSetuid, fs.ModeSetgid: cpio.ModeSetgid, fs.ModeSticky: cpio.ModeSticky} {
		if m&bit != 0 {
			out |= c
		}
	}
	return out
}

// merged are the directories that every current system has below /usr.
var merged = []string{"bin", "sbin", "lib", "lib64"}

// place is where a file goes: /bin/x is /usr/bin/x, as the links of [newImage] say.
func place(name string) string {
	name = path.Clean(name)
	for _, d := range merged {
		if strings.HasPrefix(name, "/"+d+"/") {
			return "/usr" + name
		}
	}
	return name
}

// has tells whether name is there already; the first of two files wins.
func (im *image) has(name string) bool { return im.seen[place(name)] }

func (im *image) bytes(name string, b []byte, mode fs.FileMode) error {
	return im.stream(name, bytes.NewReader(b), int64(len(b)), mode, time.Time{})
}

func (im *image) stream(name string, r io.Reader, size int64, mode fs.FileMode, mtime time.Time) error {
	name = place(name)
	if im.seen[name] {
		return nil
	}
	if err := im.parents(name); err != nil {
		return err
	}
	im.seen[name] = true
	im.size += size
	if err := im.w.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeReg | cpioMode(mode), Size: size, ModTime: mtime}); err != nil {
		return err
	}
	n, err := io.Copy(im.w, r)
	if err == nil && n != size {
		err = fmt.Errorf("vm: %s changed while it was read: %d bytes of %d", name, n, size)
	}
	return err
}

func (im *image) symlink(name, to string) error {
	name = place(name)
	if im.seen[name] {
		return nil
	}
	if err := im.parents(name); err != nil {
		return err
	}
	im.seen[name] = true
	if err := im.w.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeSymlink | 0o777, Size: int64(len(to))}); err != nil {
		return err
	}
	_, err := io.WriteString(im.w, to)
	return err
}

// file copies a file of the host. Symbolic links are followed.
func (im *image) file(name, from string) error {
	if im.has(name) {
		return nil
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("vm: %s: %s, and only files and directories can be taken into a guest", from, st.Mode().Type())
	}
	return im.stream(name, f, st.Size(), st.Mode(), st.ModTime())
}

// maxTree is how much a directory may hold that is taken along unasked.
const maxTree = 256 << 20

// tree copies a directory and what is below it, but for version control and
// what is no file: sockets, devices, pipes.
func (im *image) tree(name, from string) error {
	var sum int64
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		to := path.Join(name, filepath.ToSlash(rel))
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && strings.HasPrefix(d.Name(), ".git") && p != from:
			return filepath.SkipDir
		case d.IsDir():
			return im.dir(to, info.Mode())
		case d.Type() == fs.ModeSymlink:
			l, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return im.symlink(to, l)
		case d.Type().IsRegular():
			if sum += info.Size(); sum > maxTree {
				return fmt.Errorf("vm: %s holds more than %d MB: too much to take into a guest", from, maxTree>>20)
			}
			return im.file(to, p)
		}
		return nil
	})
}
