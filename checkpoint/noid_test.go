package checkpoint

import (
	"strings"
	"testing"
)

// TestNoID: -1 means to setresuid(2) that nothing changes, so whoever asked for it
// would have run as the caller.
func TestNoID(t *testing.T) {
	const none = ^uint32(0)
	for field, c := range map[string]*Config{
		"uid":    {Args: []string{"/bin/true"}, UID: Some(none)},
		"gid":    {Args: []string{"/bin/true"}, GID: Some(none)},
		"groups": {Args: []string{"/bin/true"}, Groups: Some([]uint32{4, none})},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field+": 4294967295 is no id") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
