// Package sysctl knows which sysctls belong to a namespace. It is a table; it
// reads and writes nothing.
package sysctl

import (
	"slices"
	"strings"
)

// Path turns a key into the path below /proc/sys. It follows sysctl(8): the
// first separator decides; in the dotted form a slash stands for a dot in a
// name (net.ipv4.conf.eth0/100.forwarding).
func Path(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return key
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

// ipc are the keys of an ipc namespace in kernel/ (ipc/ipc_sysctl.c); those of
// message queues have a directory of their own (ipc/mq_sysctl.c).
var ipc = []string{
	"auto_msgmni", "msg_next_id", "msgmax", "msgmnb", "msgmni", "sem", "sem_next_id",
	"shm_next_id", "shm_rmid_forced", "shmall", "shmmax", "shmmni",
}

// Namespace names, as /proc/PID/ns does, the kind of namespace that has a value
// of its own for the key; empty if the key is the whole machine's.
//
// In net/ there are a few that are the machine's too. The kernel does not show
// those in other network namespaces than the first, or not writable
// (net/sysctl_net.c), so that they are refused there.
func Namespace(key string) string {
	path := Path(key)
	if strings.Contains("/"+path+"/", "/../") || strings.Contains(path, "//") || strings.HasPrefix(path, "/") {
		return ""
	}
	dir, name, _ := strings.Cut(path, "/")
	switch {
	case dir == "net" && name != "":
		return "net"
	case dir == "kernel" && slices.Contains(ipc, name), dir == "fs" && strings.HasPrefix(name, "mqueue/"):
		return "ipc"
	case dir == "kernel" && (name == "hostname" || name == "domainname"):
		return "uts"
	case dir == "user" && name != "":
		return "user"
	}
	return ""
}

// Device names the network device that a key is about, or is empty:
// net.ipv4.conf.eth0.forwarding exists once eth0 does.
func Device(key string) string {
	part := strings.Split(Path(key), "/")
	if len(part) < 5 || part[0] != "net" || part[2] != "conf" && part[2] != "neigh" || part[3] == "all" || part[3] == "default" {
		return ""
	}
	return part[3]
}
