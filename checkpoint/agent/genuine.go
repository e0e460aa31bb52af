package agent

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// genuine refuses a /dev/null and a /proc that are something else: a file that
// stands in their place would be given to workloads, or would swallow what is
// written for the kernel.
func genuine(null, proc *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(null.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", null.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) { // Documentation/admin-guide/devices.txt
		return fmt.Errorf("%s is not the null device: %w", null.Name(), unix.ENODEV)
	}
	const rootInode = 1 // PROC_ROOT_INO, include/linux/proc_ns.h
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(proc.Fd()), &fs); err != nil {
		return fmt.Errorf("stat %s: %w", proc.Name(), err)
	}
	if err := unix.Fstat(int(proc.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", proc.Name(), err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC || st.Ino != rootInode {
		return fmt.Errorf("%s is not the root of procfs: %w", proc.Name(), unix.ENODEV)
	}
	return nil
}
