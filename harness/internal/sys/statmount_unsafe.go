// Package sys has the system calls of the harness that golang.org/x/sys/unix
// lacks. Invariants: every pointer given to the kernel is to memory of a
// constant size that the same statement keeps alive.
package sys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	nrStatmount = 457 // on every architecture
	uidMapMask  = 0x2000
	gidMapMask  = 0x4000
	// nsGetMntnsID is NS_GET_MNTNS_ID of ioctl_nsfs(2), since Linux 6.11.
	nsGetMntnsID = 0x8008b705

	// Offsets in struct statmount, include/uapi/linux/mount.h.
	offMask, offUIDNum, offUID, offGIDNum, offGID, offStrings = 8, 152, 156, 160, 164, 512
)

// MountMaps reads the id maps of the mount with a unique id (STATX_MNT_ID_UNIQUE)
// in the mount namespace open at nsfd: lines of three numbers, inside, outside
// and count. It fails with [errors.ErrUnsupported] where the kernel does not
// show them: before Linux 6.15.
func MountMaps(nsfd int, id uint64) (uid, gid []string, err error) {
	var ns uint64
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(nsfd), nsGetMntnsID, uintptr(unsafe.Pointer(&ns))); e != 0 {
		return nil, nil, errors.ErrUnsupported
	}
	req := [4]uint64{32, id, uidMapMask | gidMapMask, ns} // struct mnt_id_req, second version
	buf := make([]byte, 64<<10)
	_, _, e := unix.Syscall6(nrStatmount, uintptr(unsafe.Pointer(&req)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	runtime.KeepAlive(buf)
	switch {
	case errors.Is(e, unix.ENOSYS):
		return nil, nil, errors.ErrUnsupported
	case e != 0:
		return nil, nil, e
	}
	const both = uidMapMask | gidMapMask
	if binary.NativeEndian.Uint64(buf[offMask:])&both != both {
		return nil, nil, errors.ErrUnsupported
	}
	list := func(num, at int) (out []string) {
		n, from := binary.NativeEndian.Uint32(buf[num:]), int(binary.NativeEndian.Uint32(buf[at:]))+offStrings
		for range n {
			if from >= len(buf) {
				break
			}
			line, _, _ := bytes.Cut(buf[from:], []byte{0})
			out = append(out, string(line))
			from += len(line) + 1
		}
		return out
	}
	return list(offUIDNum, offUID), list(offGIDNum, offGID), nil
}
