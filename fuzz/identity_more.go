package fuzz

import (
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// namedKeyring draws a name of this campaign and case. Whoever looks at the key
// from outside needs the permission of its user to view it; in a user namespace
// that user is another.
func namedKeyring(d *drawer) {
	if d.on["ns user"] {
		return
	}
	k := &request.Keyring{Name: "holdshort-" + d.m.Tag + "-" + d.word(1, 20)}
	if d.chance(60) {
		const viewByUser, searchByUser, all = 0x00010000, 0x00080000, 0x3f3f3f3f
		k.Permissions = new(d.Uint32()&all | viewByUser | searchByUser)
	}
	d.r.Ext.Keyring = k
}

func speculation(d *drawer) {
	s := &d.r.Ext.Speculation
	for _, setting := range some(d, 60, d.m.Speculation) {
		name, mode, _ := strings.Cut(setting, "=")
		switch name {
		case "storeBypass":
			s.StoreBypass = mode
		case "indirectBranch":
			s.IndirectBranch = mode
		}
	}
}

// speculations tries what the kernel takes, each on a thread of its own.
func speculations() []string {
	var out []string
	for _, c := range []struct {
		name    string
		control uintptr
	}{{"storeBypass", unix.PR_SPEC_STORE_BYPASS}, {"indirectBranch", unix.PR_SPEC_INDIRECT_BRANCH}} {
		for _, m := range []struct {
			name string
			mode uintptr
		}{{"enable", unix.PR_SPEC_ENABLE}, {"disable", unix.PR_SPEC_DISABLE}, {"force-disable", unix.PR_SPEC_FORCE_DISABLE}} {
			if onThread(func() error { return unix.Prctl(unix.PR_SET_SPECULATION_CTRL, c.control, m.mode, 0, 0) }) == nil {
				out = append(out, c.name+"="+m.name)
			}
		}
	}
	return out
}
