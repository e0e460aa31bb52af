package checkpoint

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What needs CAP_SYS_NICE is given to a workload in a user namespace as well,
// by a launcher that has it: also by one that is nice itself.
func TestSched_InUserNamespace(t *testing.T) {
	needRoot(t)
	user := Config{
		Args:       []string{"/bin/sleep", "1000"},
		Namespaces: []Namespace{{Kind: User}}, UIDMap: rootMap(), GIDMap: rootMap(), UID: Some[uint32](0), GID: Some[uint32](0),
	}
	twice := user // a second clone, for the offsets of the clocks
	twice.Namespaces = []Namespace{{Kind: User}, {Kind: Time}}
	twice.TimeOffsets = TimeOffsets{Boottime: time.Hour}
	const realtime, classShift = 1, 13
	policy := func(s Sched) func(*Config) {
		return func(c *Config) { c.Scheduler, c.Nice = Some(s), Some(0) }
	}
	for name, tt := range map[string]struct {
		cfg  Config
		ask  func(*Config)
		want string
	}{
		"less nice":               {user, func(c *Config) { c.Nice = Some(-3) }, "nice -3 policy 0 ioprio 0"},
		"less nice, second clone": {twice, func(c *Config) { c.Nice = Some(-3) }, "nice -3 policy 0 ioprio 0"},
		"realtime I/O":            {user, func(c *Config) { c.IOPrio = Some(IOPrio{Class: realtime, Level: 2}) }, fmt.Sprintf("nice 10 policy 0 ioprio %d", realtime<<classShift|2)},
		"realtime I/O, second":    {twice, func(c *Config) { c.IOPrio = Some(IOPrio{Class: realtime, Level: 2}) }, fmt.Sprintf("nice 10 policy 0 ioprio %d", realtime<<classShift|2)},
		"policy":                  {user, policy(Sched{Policy: unix.SCHED_BATCH}), "nice 0 policy 3 ioprio 0"},
		"policy, second clone":    {twice, policy(Sched{Policy: unix.SCHED_BATCH, ResetOnFork: true}), "nice 0 policy 3 ioprio 0"},
		"first in, first out":     {user, func(c *Config) { c.Scheduler = Some(Sched{Policy: unix.SCHED_FIFO, Priority: 2}) }, "nice 10 policy 1 ioprio 0"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLauncher(t)
			if err := unix.Setpriority(unix.PRIO_PROCESS, l.AgentPID(), 10); err != nil {
				t.Fatal(err)
			}
			cfg := tt.cfg
			tt.ask(&cfg)
			w, err := l.Start(bg, &cfg, nil)
			if errors.Is(err, unix.EPERM) {
				t.Skip("needs CAP_SYS_NICE: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Kill(); result(t, w) }()
			attr, err := unix.SchedGetAttr(w.HostPID(), 0)
			if err != nil {
				t.Fatal(err)
			}
			nice := attr.Nice
			if attr.Policy == unix.SCHED_FIFO { // has none; it is kept for later
				n, err := unix.Getpriority(unix.PRIO_PROCESS, w.HostPID())
				if err != nil {
					t.Fatal(err)
				}
				nice = int32(20 - n)
			}
			io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(w.HostPID()), 0)
			if errno != 0 {
				t.Fatal(errno)
			}
			if io>>classShift != realtime {
				io = 0 // none, or best effort by the nice value, as the kernel has it
			}
			if got := fmt.Sprintf("nice %d policy %d ioprio %d", nice, attr.Policy, io); got != tt.want {
				t.Errorf("%s; want %s", got, tt.want)
			}
		})
	}
}
