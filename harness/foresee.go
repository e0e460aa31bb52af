package harness

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// foresee collects the facts of the launch that can be known before it: the
// identity of files, directories, cgroups and joined namespaces. None of it
// comes from the process that will be judged.
func (l *launch) foresee() error {
	null := l.r.machine.null
	files := []posture.File{null, null, null}
	for i, f := range []*os.File{l.asked.Stdin, l.asked.Stdout, l.asked.Stderr} {
		files[i].FD = int32(i)
		if f != nil {
			fact, err := fileFact(i, f)
			if err != nil {
				return fmt.Errorf("harness: descriptor %d: %w", i, err)
			}
			files[i] = fact
		}
	}
	for _, f := range l.asked.Files {
		fact, err := fileFact(f.Number, f.File)
		if err != nil {
			return fmt.Errorf("harness: descriptor %d: %w", f.Number, err)
		}
		files = append(files, fact)
	}
	if n := l.asked.ProgramNumber; n > 0 {
		fact, err := fileFact(n, l.asked.Program)
		if err != nil {
			return fmt.Errorf("harness: descriptor %d: %w", n, err)
		}
		files = append(files, fact)
	}
	slices.SortFunc(files, func(a, b posture.File) int { return int(a.FD - b.FD) })
	l.facts.Files = files
	l.facts.Signals = l.signals()
	if l.asked.Terminal {
		var st unix.Stat_t
		if raw, err := l.asked.Stdin.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.Fstat(int(fd), &st) })
			l.facts.TTY = posture.Known(posture.TTY{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)})
		}
	}
	l.joined()
	if !l.cfg.Cgroup.Create {
		l.cgroups()
	}
	root := l.cfg.Root.Path
	if root == "" {
		root = "/"
	}
	l.resolve(root, "/proc/self/mountinfo")
	l.rootReadOnly()
	return nil
}

// rootReadOnly looks whether the directory that becomes the root can be written
// to where it is. What a mount at the root itself makes of that is not known.
func (l *launch) rootReadOnly() {
	if !l.req.Namespace(specs.MountNamespace).Fresh() {
		return // there the path may be another directory
	}
	for i := range l.cfg.Mounts {
		if filepath.Clean("/"+l.cfg.Mounts[i].Target) == "/" {
			return
		}
	}
	var fs unix.Statfs_t
	if root := l.cfg.Root.Path; root != "" && unix.Statfs(root, &fs) == nil {
		l.facts.RootReadOnly = posture.Known(fs.Flags&unix.ST_RDONLY != 0)
	}
}

// cgroups identifies the cgroups, which exist once the workload does.
func (l *launch) cgroups() {
	var st unix.Stat_t
	if dir := l.cfg.Cgroup.V2; dir != "" && unix.Stat(dir, &st) == nil {
		l.facts.CgroupV2 = posture.Known(st.Ino)
	}
	for controller, dir := range l.cfg.Cgroup.V1 {
		if unix.Stat(dir, &st) != nil {
			continue
		}
		for _, c := range l.r.machine.mountedWith(controller) {
			l.facts.CgroupV1 = append(l.facts.CgroupV1, posture.CgroupV1{Controller: c, ID: st.Ino})
		}
	}
}

// resolve identifies what the workload's root makes of its paths. Symbolic
// links are followed as inside that root. mounts is the mountinfo of somebody who
// has its mounts.
func (l *launch) resolve(root, mounts string) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	if n, ok := inodeIn(dir, "/"); ok {
		l.facts.Root = posture.Known(n)
	}
	cwd := l.cfg.Cwd
	if cwd == "" {
		cwd = "/"
	}
	if n, ok := inodeIn(dir, cwd); ok {
		l.facts.Cwd = posture.Known(n)
	}
	l.landlockPaths(dir, mounts)
	if l.asked.Program != nil {
		l.openProgram(dir)
		return
	}
	for _, path := range l.cfg.Candidates() {
		abs := path
		if !filepath.IsAbs(path) {
			abs = filepath.Join(cwd, path)
		}
		if l.program(dir, abs, path, 0) {
			return
		}
	}
}

func inodeIn(root int, path string) (posture.Inode, bool) {
	fd, err := openIn(root, path)
	if err != nil {
		return posture.Inode{}, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return posture.Inode{}, false
	}
	return posture.Inode{Dev: st.Dev, Ino: st.Ino}, true
}

// program identifies the file that execve ends up with: the program, or the
// interpreter of a script.
func (l *launch) program(dir int, abs, asked string, depth int) bool {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(dir, abs, &how)
	if errors.Is(err, unix.EXDEV) && l.cfg.Root.Path != "" && !strings.HasPrefix(filepath.Clean(abs), "/proc/") {
		// Only a link of /proc to something that is open leads out of the root
		// (nd_jump_link, fs/namei.c): a file of the image it is not.
		l.facts.Exe = posture.Known(oracle.NoFile)
		return true
	}
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return l.inspect(dir, fd, asked, depth)
}

// openProgram identifies a program that is executed by descriptor. The
// interpreter of a script finds it as /dev/fd/NUMBER.
func (l *launch) openProgram(dir int) {
	raw, err := l.asked.Program.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(given uintptr) {
		// It may be open for execution only (O_PATH).
		fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(given)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		l.inspect(dir, fd, "/dev/fd/"+strconv.Itoa(l.asked.ProgramNumber), 0)
	})
}

// inspect is program for an open file.
func (l *launch) inspect(dir, fd int, asked string, depth int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return false
	}
	head := make([]byte, 256)
	n, _ := unix.Pread(fd, head, 0)
	if line, ok := bytes.CutPrefix(head[:max(n, 0)], []byte("#!")); ok && depth < 4 {
		text, _, _ := bytes.Cut(line, []byte("\n"))
		interpreter, arg, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		l.prog = oracle.Program{Interpreter: []string{interpreter}, Path: asked}
		if arg = strings.TrimSpace(arg); arg != "" {
			l.prog.Interpreter = append(l.prog.Interpreter, arg)
		}
		keep := l.prog
		ok := l.program(dir, interpreter, interpreter, depth+1)
		if keep.Interpreter != nil && l.prog.Interpreter == nil {
			keep.SetUID, keep.SetGID, keep.HasFileCaps = l.prog.SetUID, l.prog.SetGID, l.prog.HasFileCaps
			keep.FilePermitted, keep.FileInheritable, keep.FileEffective = l.prog.FilePermitted, l.prog.FileInheritable, l.prog.FileEffective
			l.prog = keep
		}
		return ok
	}
	l.facts.Exe = posture.Known(posture.Inode{Dev: st.Dev, Ino: st.Ino})
	l.facts.ExeNlink = posture.Known(uint32(st.Nlink))
	if l.r.confirm {
		l.entry = entryOf(fd)
	}
	l.prog = oracle.Program{}
	if st.Mode&unix.S_ISUID != 0 {
		l.prog.SetUID = posture.Known(st.Uid)
	}
	if st.Mode&unix.S_ISGID != 0 && st.Mode&0o010 != 0 {
		l.prog.SetGID = posture.Known(st.Gid)
	}
	l.fileCaps(fd)
	return true
}

// fileCaps reads the capabilities of a file, struct vfs_cap_data in
// capabilities(7).
func (l *launch) fileCaps(fd int) {
	b := make([]byte, 24)
	n, err := unix.Fgetxattr(fd, "security.capability", b)
	if err != nil || n < 20 {
		return
	}
	word := func(i int) posture.CapSet { return posture.CapSet(binary.LittleEndian.Uint32(b[4*i:])) }
	l.prog.HasFileCaps = true
	l.prog.FileEffective = word(0)&1 != 0
	l.prog.FilePermitted = word(1) | word(3)<<32
	l.prog.FileInheritable = word(2) | word(4)<<32
}

// joined describes the namespaces that are joined, from their own files.
func (l *launch) joined() {
	f := &l.facts.Joined
	at := map[checkpoint.NamespaceKind]*posture.Value[posture.Namespace]{
		checkpoint.User: &f.Namespaces.User, checkpoint.Mnt: &f.Namespaces.Mount, checkpoint.PID: &f.Namespaces.PID,
		checkpoint.Net: &f.Namespaces.Net, checkpoint.UTS: &f.Namespaces.UTS, checkpoint.IPC: &f.Namespaces.IPC,
		checkpoint.Cgroups: &f.Namespaces.Cgroup, checkpoint.Time: &f.Namespaces.Time,
	}
	for _, n := range l.cfg.Namespaces {
		path := n.Path
		if path == "" && n.PID == 0 {
			continue
		}
		if path == "" {
			path = "/proc/" + strconv.Itoa(n.PID) + "/ns/" + string(n.Kind)
		}
		v, err := seeNamespace(path, n.Kind)
		if err != nil {
			*at[n.Kind] = posture.Unreadable[posture.Namespace](err.Error())
			continue
		}
		*at[n.Kind] = posture.Known(v)
	}
	for _, n := range l.cfg.Namespaces {
		if pid := n.PID; l.r.observer != nil {
			if pid == 0 {
				_, _ = fmt.Sscanf(n.Path, "/proc/%d/ns/", &pid)
			}
			if pid > 0 {
				l.member(n.Kind, pid, at[n.Kind])
			}
		}
	}
}

// member adds what only a member of a joined namespace shows: id maps, names,
// offsets. What pid says counts only if it is in the namespace that was seen
// there before.
func (l *launch) member(kind checkpoint.NamespaceKind, pid int, seen *posture.Value[posture.Namespace]) {
	s, err := l.r.observer.Snapshot(context.Background(), pid)
	if err != nil {
		return // they stay unknown
	}
	p, f := s.Posture(), &l.facts.Joined
	in := func(v *posture.Value[posture.Namespace]) bool {
		a, ok1 := v.Get()
		b, ok2 := seen.Get()
		return ok1 && ok2 && a.Inode == b.Inode
	}
	switch {
	case kind == checkpoint.User && in(&p.Namespaces.User):
		f.UserNS = p.UserNS
	case kind == checkpoint.UTS && in(&p.Namespaces.UTS):
		f.UTS = p.UTS
	case kind == checkpoint.Time && in(&p.Namespaces.Time):
		f.Time = p.Time
	}
}

// seeNamespace reads inode, owner and level with the requests of ioctl_nsfs(2).
func seeNamespace(path string, kind checkpoint.NamespaceKind) (posture.Namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return posture.Namespace{}, err
	}
	defer unix.Close(fd)
	inode := func(fd int) uint32 {
		var st unix.Stat_t
		_ = unix.Fstat(fd, &st)
		return uint32(st.Ino)
	}
	n := posture.Namespace{Inode: inode(fd)}
	if kind != checkpoint.User {
		owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
		if err != nil {
			return n, fmt.Errorf("owner of %s: %w", path, err)
		}
		n.Owner = inode(owner)
		unix.Close(owner)
	}
	if kind == checkpoint.User || kind == checkpoint.PID {
		up, err := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
		for err == nil {
			n.Level++
			var next int
			next, err = unix.IoctlRetInt(up, unix.NS_GET_PARENT)
			unix.Close(up)
			up = next
		}
	}
	return n, nil
}
