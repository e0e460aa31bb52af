package historic

import (
	"os"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// few is what a container may do in these rows.
var few = []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"}

// user is an ordinary one.
const user = 1000

func mask(names []string) uint64 {
	m, err := request.CapSet(names)
	if err != nil {
		panic(err) // a spelling in this package
	}
	return m
}

// identity is what an engine makes of itself before it executes a program.
type identity struct {
	UID, GID uint32
	Groups   []int
	KeepIDs  bool // ids and groups stay

	Bounding, Permitted, Inheritable, Ambient []string
	AllCaps                                   bool // the sets stay
	NoNewPrivs                                bool
}

func (i *identity) become() error {
	if !i.AllCaps {
		keep := mask(i.Bounding)
		for c := range 64 {
			if keep>>c&1 != 0 {
				continue
			}
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
				break // the kernel knows no more
			}
		}
	}
	if !i.KeepIDs {
		if err := i.setIDs(); err != nil {
			return err
		}
	}
	if !i.AllCaps {
		if err := capset(mask(i.Permitted), mask(i.Inheritable)); err != nil {
			return err
		}
		for c := range 64 {
			if mask(i.Ambient)>>c&1 == 0 {
				continue
			}
			if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
				return os.NewSyscallError("prctl PR_CAP_AMBIENT", err)
			}
		}
	}
	if i.NoNewPrivs {
		return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	}
	return nil
}

func (i *identity) setIDs() error {
	if err := unix.Setgroups(i.Groups); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_KEEPCAPS", err)
	}
	// Of this thread alone, as the rest ends at execve.
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(i.GID), uintptr(i.GID), uintptr(i.GID)); e != 0 {
		return os.NewSyscallError("setresgid", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(i.UID), uintptr(i.UID), uintptr(i.UID)); e != 0 {
		return os.NewSyscallError("setresuid", e)
	}
	return nil
}

func capset(permitted, inheritable uint64) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for n := range sets {
		sets[n] = unix.CapUserData{
			Effective: uint32(permitted >> (32 * n)), Permitted: uint32(permitted >> (32 * n)), Inheritable: uint32(inheritable >> (32 * n)),
		}
	}
	return os.NewSyscallError("capset", unix.Capset(&head, &sets[0]))
}

// ask makes the request for an identity.
func (i *identity) ask(s *Scene) {
	p := s.Request.Spec.Process
	if !i.KeepIDs {
		s.Request.Ext.KeepIDs = false
		p.User = specs.User{UID: i.UID, GID: i.GID}
		for _, g := range i.Groups {
			p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(g))
		}
	}
	if !i.AllCaps {
		p.Capabilities = &specs.LinuxCapabilities{
			Bounding: i.Bounding, Permitted: i.Permitted, Effective: i.Permitted, Inheritable: i.Inheritable, Ambient: i.Ambient,
		}
	}
	p.NoNewPrivileges = i.NoNewPrivs
}
