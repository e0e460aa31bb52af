package main

import (
	"encoding/json"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// denied are the calls of the built-in profile: they reach beyond the process
// into the kernel or the machine. Everything else is allowed.
var denied = []string{
	"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsconfig", "fsmount",
	"fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "kexec_file_load",
	"kexec_load", "keyctl", "lookup_dcookie", "mbind", "mount", "mount_setattr", "move_mount", "move_pages",
	"open_by_handle_at", "open_tree", "perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace",
	"quotactl", "quotactl_fd", "reboot", "request_key", "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount2",
	"unshare", "userfaultfd", "vhangup",
}

// profile reads a seccomp profile: the word "default", or a file that holds
// either linux.seccomp alone or a whole config.json.
func profile(name string) (*specs.LinuxSeccomp, error) {
	if name == "default" {
		eperm := uint(1)
		return &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Architectures: nativeArchitectures(),
			Syscalls:      []specs.LinuxSyscall{{Names: denied, Action: specs.ActErrno, ErrnoRet: &eperm}},
		}, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--seccomp: %w", err)
	}
	var whole struct {
		Linux *specs.Linux `json:"linux"`
	}
	if json.Unmarshal(b, &whole) == nil && whole.Linux != nil && whole.Linux.Seccomp != nil {
		return whole.Linux.Seccomp, nil
	}
	s := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("--seccomp %s: %w", name, err)
	}
	if s.DefaultAction == "" {
		return nil, fmt.Errorf("--seccomp %s: no defaultAction, so this is no OCI seccomp profile", name)
	}
	return s, nil
}
