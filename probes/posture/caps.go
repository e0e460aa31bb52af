package posture

import (
	"strconv"
	"strings"
)

// capNames are the capabilities of linux/capability.h, by number.
var capNames = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
	"ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
	"sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
	"lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
	"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
}

// AllCaps are the capabilities known to this package, up to
// CAP_CHECKPOINT_RESTORE of Linux 5.9.
const AllCaps CapSet = 1<<41 - 1

// String writes "none", "all", "all but a,b" or "a,b", with the names of
// capabilities(7) in lower case and without CAP_.
func (c CapSet) String() string {
	switch c {
	case 0:
		return "none"
	case AllCaps:
		return "all"
	}
	if c&^AllCaps == 0 && (AllCaps&^c).len() <= 4 {
		return "all but " + (AllCaps &^ c).names()
	}
	return c.names()
}

func (c CapSet) len() (n int) {
	for ; c != 0; c &= c - 1 {
		n++
	}
	return n
}

func (c CapSet) names() string {
	var parts []string
	for i := range 64 {
		if c>>i&1 == 0 {
			continue
		}
		if i < len(capNames) {
			parts = append(parts, capNames[i])
		} else {
			parts = append(parts, strconv.Itoa(i))
		}
	}
	return strings.Join(parts, ",")
}
