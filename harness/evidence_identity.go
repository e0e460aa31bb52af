package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// Reasons for which the parked workload shows nothing.
var (
	errLabelLater = errors.New("the label changes at execve, so only a workload that is held after it shows it (freeze mode)")
	errInsideOnly = errors.New("the kernel tells nobody but the workload itself, or not even that")
)

// keyring asks the kernel about the parked workload's session keyring. That
// needs the permission to view it, which its user has.
func (h *held) keyring(want *request.Keyring) (any, bool, string, error) {
	if h.observer == nil {
		return nil, false, "", errors.New("without the observer the serial number of the keyring is not known")
	}
	s, err := h.observer.Snapshot(context.Background(), h.pid)
	if err != nil {
		return nil, false, "", err
	}
	serial, ok := s.Posture().Keyrings.Session.Get()
	switch {
	case !ok:
		return nil, false, "", errors.New("the serial number of the keyring was not read")
	case serial == 0:
		return nil, false, "it has no session keyring", nil
	}
	text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, int(serial))
	if err != nil {
		return nil, false, "", fmt.Errorf("keyctl describe %d: %w", serial, err)
	}
	// type;uid;gid;perm;description
	part := strings.SplitN(text, ";", 5)
	if len(part) < 5 {
		return nil, false, "", fmt.Errorf("keyctl describe says %q", text)
	}
	perm, err := strconv.ParseUint(part[3], 16, 32)
	if err != nil {
		return nil, false, "", fmt.Errorf("keyctl describe says %q", text)
	}
	got := map[string]any{"name": part[4], "permissions": uint32(perm)}
	switch {
	case part[0] != "keyring":
		return got, false, "it is a key of type " + part[0], nil
	case want.Name != "" && part[4] != want.Name:
		return got, false, "it has another name", nil
	case want.Permissions != nil && uint32(perm) != *want.Permissions:
		return got, false, "it has other permissions", nil
	}
	return got, true, "", nil
}

// lsmFields are the fields of a request that [seeLabel] answers for.
var lsmFields = []string{"process.apparmorProfile", "process.selinuxLabel"}

func (h *held) label(field, want string) (any, bool, string, error) {
	if !h.frozen {
		return nil, false, "", errLabelLater
	}
	got, holds, err := seeLabel(h.pid, field, want)
	return got, holds, "", err
}

// seeLabel reads the label of a task that has passed execve and is held: pid
// must not be able to end meanwhile. field is one of lsmFields. An error means
// that nothing can be told, as where the module is not active.
func seeLabel(pid int, field, want string) (got string, holds bool, err error) {
	file := "/proc/" + strconv.Itoa(pid) + "/attr/apparmor/current"
	if field == "process.selinuxLabel" {
		if _, err := os.Stat("/sys/fs/selinux"); err != nil {
			return "", false, fmt.Errorf("SELinux is not active: %w", err)
		}
		file = "/proc/" + strconv.Itoa(pid) + "/attr/current"
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", false, fmt.Errorf("read the label: %w", err)
	}
	got = string(bytes.TrimRight(b, "\x00\n"))
	profile := got
	if field == "process.apparmorProfile" {
		// "profile (enforce)", but "unconfined" alone
		name, mode, ok := strings.Cut(got, " (")
		profile = name
		if ok && mode != "enforce)" && want != "unconfined" {
			return got, false, nil // complaining only restrains nothing
		}
	}
	return got, profile == want, nil
}
