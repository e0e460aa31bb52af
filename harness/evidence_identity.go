package harness

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// errInsideOnly is why neither the parked nor the frozen workload shows
// something.
var errInsideOnly = errors.New("the kernel tells nobody but the workload itself, or not even that")

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
