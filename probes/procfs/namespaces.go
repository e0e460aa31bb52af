package procfs

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

type nsKind uint8

const (
	plainNS nsKind = iota
	levelNS        // pid: it has a depth
	userNS         // it has a depth, and no owner but its parent
)

// nsNames are the files of /proc/PID/ns, namespaces(7).
var nsNames = [...]struct {
	file string
	kind nsKind
	at   func(*posture.Posture) *posture.Value[posture.Namespace]
}{
	{"user", userNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.User }},
	{"mnt", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.Mount }},
	{"pid", levelNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.PID }},
	{"pid_for_children", levelNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.PIDForChildren }},
	{"net", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.Net }},
	{"uts", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.UTS }},
	{"ipc", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.IPC }},
	{"cgroup", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.Cgroup }},
	{"time", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.Time }},
	{"time_for_children", plainNS, func(p *posture.Posture) *posture.Value[posture.Namespace] { return &p.Namespaces.TimeForChildren }},
}

// namespaces reads what /proc/PID/ns leads to, and asks the namespaces
// themselves for their owners and depths (ioctl_nsfs(2)), unless they are those
// of the reader.
func (t *task) namespaces() {
	for i := range nsNames {
		n := &nsNames[i]
		at := n.at(t.p)
		var st unix.Stat_t
		name := "ns/" + n.file
		if err := unix.Fstatat(t.dir, name, &st, 0); err != nil {
			// Of a pid namespace without a process, and where there is none.
			*at = posture.Unreadable[posture.Namespace]("/proc/PID/" + name + ": " + err.Error())
			continue
		}
		if own := t.r.own[n.file]; own.Inode == uint32(st.Ino) {
			*at = posture.Known(own)
			continue
		}
		v, err := seeNamespace(t.dir, name, n.kind)
		if err != nil {
			*at = lost[posture.Namespace](err)
			continue
		}
		*at = posture.Known(v)
	}
	t.uts()
	t.offsets()
}

func inodeOf(fd int) uint32 {
	var st unix.Stat_t
	_ = unix.Fstat(fd, &st)
	return uint32(st.Ino)
}

func seeNamespace(dir int, name string, kind nsKind) (posture.Namespace, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return posture.Namespace{}, fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(fd)
	n := posture.Namespace{Inode: inodeOf(fd)}
	if kind != userNS {
		owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
		if err != nil {
			return n, fmt.Errorf("owner of %s: %w", name, err)
		}
		n.Owner = inodeOf(owner)
		_ = unix.Close(owner)
	}
	if kind != plainNS {
		up, err := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
		for err == nil { // EPERM above the initial one
			n.Level++
			var next int
			next, err = unix.IoctlRetInt(up, unix.NS_GET_PARENT)
			_ = unix.Close(up)
			up = next
		}
	}
	return n, nil
}

// userNS describes the user namespace of the process.
func (t *task) userNS() {
	u := &t.p.UserNS
	u.UIDMap, u.GIDMap = t.idMap("uid_map"), t.idMap("gid_map")
	if b, err := t.file("setgroups", true); err != nil {
		u.Setgroups = lost[bool](err)
	} else {
		u.Setgroups = posture.Known(bytes.HasPrefix(b, []byte("allow")))
	}
	fd, err := unix.Openat(t.dir, "ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		u.Parent, u.OwnerUID = lost[uint32](err), lost[uint32](err)
		return
	}
	defer unix.Close(fd)
	uid, err := unix.IoctlGetUint32(fd, unix.NS_GET_OWNER_UID)
	if err != nil {
		u.OwnerUID = lost[uint32](err)
	} else {
		u.OwnerUID = val(uid, t.r.foreignUser)
	}
	if n, ok := t.p.Namespaces.User.Get(); ok && n.Inode == initialUserNS {
		u.Parent = posture.Known[uint32](0)
		return
	}
	up, err := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
	if err != nil {
		u.Parent = lost[uint32](err)
		return
	}
	u.Parent = posture.Known(inodeOf(up))
	_ = unix.Close(up)
}

// idMap reads a map; its second column is in ids of the reader's user namespace
// (uid_m_show, kernel/user_namespace.c).
func (t *task) idMap(name string) posture.Value[[]posture.IDExtent] {
	b, err := t.file(name, false)
	if err != nil {
		return lost[[]posture.IDExtent](err)
	}
	list := []posture.IDExtent{}
	for line := range bytes.Lines(b) {
		w := words(line)
		list = append(list, posture.IDExtent{Inside: w[0], Host: w[1], Count: w[2]})
	}
	return val(list, t.r.foreignUser)
}

// offsets reads /proc/PID/timens_offsets, which are those of the namespace that
// children would be born into.
func (t *task) offsets() {
	p := t.p
	now, ok1 := p.Namespaces.Time.Get()
	then, ok2 := p.Namespaces.TimeForChildren.Get()
	why := ""
	switch {
	case !ok1 || !ok2:
		why = "there are no time namespaces"
	case now != then:
		why = "/proc shows the offsets of the children's time namespace, which is another one"
	}
	b, err := []byte(nil), error(nil)
	if why == "" {
		if b, err = t.file("timens_offsets", true); err != nil {
			why = err.Error()
		}
	}
	p.Time.Monotonic, p.Time.Boottime = val(int64(0), why), val(int64(0), why)
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 3 {
			continue
		}
		v := posture.Known(signed(f[1])*1e9 + signed(f[2]))
		switch string(f[0]) {
		case "monotonic":
			p.Time.Monotonic = v
		case "boottime":
			p.Time.Boottime = v
		}
	}
}

// uts asks uname(2) in the process's UTS namespace: /proc/sys shows the names of
// whoever reads it. The calling thread visits that namespace, which takes
// CAP_SYS_ADMIN in it, and therefore must be a tracer's.
func (t *task) uts() {
	ns, ok := t.p.Namespaces.UTS.Get()
	own := t.r.own["uts"]
	why := ""
	switch {
	case !ok:
		why = t.p.Namespaces.UTS.Why()
	case ns.Inode != own.Inode && !t.traced:
		why = "it takes a thread in that namespace"
	case ns.Inode != own.Inode:
		home, err := unix.Open("/proc/thread-self/ns/uts", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(home)
			err = visit(t.dir, "ns/uts")
		}
		if err != nil {
			why = "enter the UTS namespace: " + err.Error()
			break
		}
		defer func() { t.strayed = t.strayed || unix.Setns(home, unix.CLONE_NEWUTS) != nil }()
	}
	var u unix.Utsname
	if why == "" {
		if err := unix.Uname(&u); err != nil {
			why = err.Error()
		}
	}
	t.p.UTS.Hostname = val(unix.ByteSliceToString(u.Nodename[:]), why)
	t.p.UTS.Domainname = val(unix.ByteSliceToString(u.Domainname[:]), why)
}

// visit puts the calling thread into a namespace of the process.
func visit(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, 0)
}
