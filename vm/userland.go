package vm

import (
	"os"
	"path/filepath"
)

// userland are the programs that scripts and tests take for granted, by the
// packages of Debian that have them.
var userland = []string{
	"sh", "bash",
	// coreutils
	"cat", "chgrp", "chmod", "chown", "chroot", "cp", "cut", "date", "dd", "df", "du", "echo", "env", "expr", "false", "head", "id", "kill", "ln", "ls",
	"mkdir", "mkfifo", "mknod", "mktemp", "mv", "nice", "nohup", "nproc", "od", "printenv", "printf", "pwd", "readlink", "realpath", "rm", "rmdir",
	"seq", "sha256sum", "sleep", "sort", "stat", "stdbuf", "stty", "sync", "tail", "tee", "test", "timeout", "touch", "tr", "true", "truncate", "tty", "uname",
	"uniq", "wc", "whoami", "yes", "[",
	// text
	"grep", "sed", "awk", "find", "xargs",
	// util-linux, procps, iproute2 and the like
	"mount", "umount", "findmnt", "unshare", "nsenter", "setpriv", "setsid", "prlimit", "taskset", "chrt", "ionice", "ipcs", "ipcmk", "ipcrm", "hostname",
	"dmesg", "losetup", "pivot_root", "switch_root", "ps", "pgrep", "pkill", "sysctl", "free", "ip", "ss", "capsh", "getcap", "setcap", "newuidmap", "newgidmap",
	"ldd", "getent", "strace",
}

// Userland are the programs of this machine that scripts and tests take for
// granted: a shell, coreutils, mount, ip and the like, by path. Those that are
// not installed are left out. They and their libraries have some 15 MB.
func Userland() []string {
	var out []string
	for _, name := range userland {
		for _, dir := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"} {
			p := filepath.Join(dir, name)
			if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
				out = append(out, p)
				break
			}
		}
	}
	return out
}
