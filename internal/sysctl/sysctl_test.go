package sysctl

import "testing"

func TestNamespace(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":               "net",
		"net/ipv4/conf/eth0.100/forwarding": "net",
		"kernel.shmmax":                     "ipc",
		"kernel/msgmni":                     "ipc",
		"fs.mqueue.msg_max":                 "ipc",
		"kernel.domainname":                 "uts",
		"kernel.hostname":                   "uts",
		"user.max_user_namespaces":          "user",
		"kernel.core_pattern":               "",
		"kernel.shmmaxx":                    "",
		"vm.overcommit_memory":              "",
		"fs.file-max":                       "",
		"fs.mqueuex.y":                      "",
		"net":                               "",
		"net/../kernel/core_pattern":        "",
		"/net/ipv4/ip_forward":              "",
		"net//ipv4/ip_forward":              "",
		"net.ipv4.conf.eth0/100.forwarding": "net",
		"kernel.sem.x":                      "",
		"":                                  "",
	} {
		if got := Namespace(key); got != want {
			t.Errorf("%s: %q; want %q", key, got, want)
		}
	}
}

func TestDevice(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.conf.eth0.forwarding":       "eth0",
		"net.ipv4.conf.eth0/100.forwarding":   "eth0.100",
		"net/ipv6/conf/eth0.100/disable_ipv6": "eth0.100",
		"net.ipv4.neigh.eth0.gc_stale_time":   "eth0",
		"net.ipv4.conf.all.forwarding":        "",
		"net.ipv4.conf.default.forwarding":    "",
		"net.ipv4.ip_forward":                 "",
		"kernel.shmmax":                       "",
	} {
		if got := Device(key); got != want {
			t.Errorf("%s: %q; want %q", key, got, want)
		}
	}
}
