package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// attrs are attributes of a mount to be set and to be cleared, in the bits of
// mount_setattr(2). The kernel wants all bits of the access time cleared
// before one is set.
type attrs struct{ set, clr uint64 }

func (a *attrs) add(o attrs) {
	a.set = a.set&^o.clr | o.set
	a.clr = a.clr&^(o.set&^unix.MOUNT_ATTR__ATIME) | o.clr
}

func (a attrs) none() bool { return a == attrs{} }

// attrWords are the attributes that mount(8) and the runtime-spec name. With
// an r in front they are for the mounts below as well.
var attrWords = map[string]attrs{
	"ro": {set: unix.MOUNT_ATTR_RDONLY}, "rw": {clr: unix.MOUNT_ATTR_RDONLY},
	"nosuid": {set: unix.MOUNT_ATTR_NOSUID}, "suid": {clr: unix.MOUNT_ATTR_NOSUID},
	"nodev": {set: unix.MOUNT_ATTR_NODEV}, "dev": {clr: unix.MOUNT_ATTR_NODEV},
	"noexec": {set: unix.MOUNT_ATTR_NOEXEC}, "exec": {clr: unix.MOUNT_ATTR_NOEXEC},
	"nodiratime": {set: unix.MOUNT_ATTR_NODIRATIME}, "diratime": {clr: unix.MOUNT_ATTR_NODIRATIME},
	"nosymfollow": {set: unix.MOUNT_ATTR_NOSYMFOLLOW}, "symfollow": {clr: unix.MOUNT_ATTR_NOSYMFOLLOW},
	"noatime": atime(unix.MOUNT_ATTR_NOATIME), "atime": atime(unix.MOUNT_ATTR_RELATIME),
	"strictatime": atime(unix.MOUNT_ATTR_STRICTATIME), "nostrictatime": atime(unix.MOUNT_ATTR_RELATIME),
	"relatime": atime(unix.MOUNT_ATTR_RELATIME), "norelatime": atime(unix.MOUNT_ATTR_STRICTATIME),
}

func atime(set uint64) attrs { return attrs{set: set, clr: unix.MOUNT_ATTR__ATIME} }

// propagations are those of mount_namespaces(7).
var propagations = map[string]uint64{
	"private": unix.MS_PRIVATE, "slave": unix.MS_SLAVE, "shared": unix.MS_SHARED, "unbindable": unix.MS_UNBINDABLE,
}

// sharing is a change of propagation.
type sharing struct {
	kind uint64
	rec  bool
}

func propagation(word string) (sharing, bool) {
	if kind, ok := propagations[word]; ok {
		return sharing{kind, false}, true
	}
	kind, ok := propagations[strings.TrimPrefix(word, "r")]
	return sharing{kind, true}, ok
}

// oldWords are flags of mount(2) that the newer calls have no words for.
var oldWords = map[string]uintptr{
	"acl": unix.MS_POSIXACL, "noacl": 0, "iversion": unix.MS_I_VERSION, "noiversion": 0, "silent": unix.MS_SILENT, "loud": 0,
}

// mountSpec is a mount with its options understood.
type mountSpec struct {
	bind, rec, remount bool
	top, below         attrs // of this mount; of it and the mounts below
	sharing            []sharing
	idmap, idmapRec    bool
	copyUp             bool
	fs                 []string // options of the file system, in order
	old                uintptr  // flags that only mount(2) takes
	viaMount2          bool
}

func (m *Mount) parse() *mountSpec {
	s := &mountSpec{}
	for _, o := range m.Options {
		below, recursive := attrWords[strings.TrimPrefix(o, "r")]
		old, isOld := oldWords[o]
		sh, shares := propagation(o)
		top, isTop := attrWords[o]
		switch {
		case o == "bind", o == "rbind":
			s.bind, s.rec = true, s.rec || o == "rbind"
		case o == "remount":
			s.remount = true
		case o == "idmap", o == "ridmap":
			s.idmap, s.idmapRec = true, o == "ridmap"
		case o == "tmpcopyup":
			s.copyUp = true
		case o == "defaults", o == "":
		case isTop:
			s.top.add(top)
		case recursive && strings.HasPrefix(o, "r"):
			s.below.add(below)
		case shares:
			s.sharing = append(s.sharing, sh)
		case isOld:
			s.old |= old
			s.viaMount2 = s.viaMount2 || old != 0
		default:
			s.fs = append(s.fs, o)
			// fsconfig(2) takes 255 bytes of a value, mount(2) a page of all.
			_, value, _ := strings.Cut(o, "=")
			s.viaMount2 = s.viaMount2 || len(value) > 255
		}
	}
	s.idmap = s.idmap || len(m.UIDMap)+len(m.GIDMap) > 0
	return s
}

// early reports that the source has to be cloned before the propagation of all
// mounts is changed: the clone is then a peer, or a slave, of the caller's.
func (s *mountSpec) early() bool {
	return s.bind && slices.ContainsFunc(s.sharing, func(x sharing) bool { return x.kind == unix.MS_SHARED || x.kind == unix.MS_SLAVE })
}

func validMount(m *Mount) error {
	s := m.parse()
	switch {
	case !strings.HasPrefix(m.Target, "/"):
		return fmt.Errorf("target %q is not absolute", m.Target)
	case s.bind && !s.remount && m.Source == "":
		return fmt.Errorf("bind mount on %q has no source", m.Target)
	case s.idmap && (!s.bind || s.remount):
		return fmt.Errorf("an id map is for a bind mount")
	case s.idmap && (len(m.UIDMap) == 0) != (len(m.GIDMap) == 0):
		return fmt.Errorf("an id map is one of users and one of groups")
	case s.copyUp && (m.Type != "tmpfs" || s.bind || s.remount):
		return fmt.Errorf("tmpcopyup is for a tmpfs")
	}
	for _, l := range append(slices.Clip(m.UIDMap), m.GIDMap...) {
		if l.Count == 0 {
			return fmt.Errorf("a line of its id map has the count 0")
		}
	}
	return nil
}
