package seccomp

import "testing"

// The values are those of linux/seccomp.h; a listener brings its flag along,
// and with TSYNC the other way to tell a failure.
func TestFlagBits(t *testing.T) {
	for name, tt := range map[string]struct {
		p    Policy
		want uint32
	}{
		"none":                 {Policy{DefaultAction: ActAllow}, 0},
		"tsync log spec_allow": {Policy{DefaultAction: ActAllow, Flags: []Flag{FlagTSync, FlagLog, FlagSpecAllow}}, 7},
		"tsync_esrch":          {Policy{DefaultAction: ActAllow, Flags: []Flag{FlagTSync, FlagTSyncESRCH}}, 17},
		"new_listener":         {Policy{DefaultAction: ActAllow, Flags: []Flag{FlagNewListener}}, 8},
		"notify":               {Policy{DefaultAction: ActAllow, Syscalls: []Rule{{Names: []string{"mkdir"}, Action: ActNotify}}}, 8},
		"notify by default":    {Policy{DefaultAction: ActNotify}, 8},
		"notify and tsync":     {Policy{DefaultAction: ActAllow, Flags: []Flag{FlagTSync}, Syscalls: []Rule{{Names: []string{"mkdir"}, Action: ActNotify}}}, 1 | 8 | 16},
		"wait killable":        {Policy{DefaultAction: ActNotify, Flags: []Flag{FlagWaitKillable}}, 8 | 32},
	} {
		prog, err := tt.p.Compile(Options{})
		if err != nil || prog.Flags != tt.want {
			t.Errorf("%s: %#x, %v; want %#x", name, prog.Flags, err, tt.want)
		}
	}
}
