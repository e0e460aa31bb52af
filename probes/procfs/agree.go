package procfs

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

// Disagree lists the fields that both instruments have read, and of which the
// one says something else than the other. proc was read by this package; seen
// are readings of the eBPF programs from directly before and after, at least
// one of which has to say the same.
//
// A is what was seen (last), B what /proc says.
func Disagree(proc *posture.Posture, seen ...*posture.Posture) []posture.Difference {
	var d []posture.Difference
	fields := posture.Fields()
	for i := range fields {
		f := &fields[i]
		if !f.Known(proc) {
			continue
		}
		same := sameField(f)
		var other *posture.Posture
		for _, s := range seen {
			if s == nil || !f.Known(s) {
				continue
			}
			if same(s, proc) {
				other = nil
				break
			}
			other = s
		}
		if other != nil {
			d = append(d, posture.Difference{Path: f.Path, A: f.Format(other), B: f.Format(proc)})
		}
	}
	return d
}

// sameField is how a field is compared: as it is, but for what /proc leaves out.
func sameField(f *posture.Field) func(seen, proc *posture.Posture) bool {
	switch f.Path {
	case "seccomp.filters":
		return sameFilters
	case "files":
		return sameFiles
	case "signals.pending":
		return samePending
	case "sched.uclamp_min", "sched.uclamp_max", "memory.thp_disabled":
		return samePartly(f)
	}
	return f.Equal
}

// samePartly compares what there is: the value of a clamp and not who set it, and
// of huge pages whether they are forbidden altogether.
func samePartly(f *posture.Field) func(seen, proc *posture.Posture) bool {
	return func(seen, proc *posture.Posture) bool {
		switch a := f.Value(seen).(type) {
		case posture.Uclamp:
			return a.Value == f.Value(proc).(posture.Uclamp).Value
		case uint32:
			return (a == 1) == (f.Value(proc).(uint32) == 1)
		}
		return false
	}
}

// sameFilters leaves out what no tracer is shown: the listener.
func sameFilters(seen, proc *posture.Posture) bool {
	a, _ := seen.Seccomp.Filters.Get()
	b, _ := proc.Seccomp.Filters.Get()
	return slices.EqualFunc(a, b, func(x, y posture.Filter) bool {
		if x.Log != y.Log {
			return false
		}
		return x.InstructionsLost != "" || y.InstructionsLost != "" || slices.Equal(x.Instructions, y.Instructions)
	})
}

// sameFiles leaves out the type of a file of which stat(2) gives none: that of
// anonymous inodes is made up since Linux 6.15, and hidden (anon_inode_getattr,
// fs/anon_inodes.c). The programs do not have room for all of very many.
func sameFiles(seen, proc *posture.Posture) bool {
	a, _ := seen.Files.Get()
	b, _ := proc.Files.Get()
	if len(a.Open)+int(a.Truncated) < len(b.Open) || len(a.Open) > len(b.Open) {
		return false
	}
	return slices.EqualFunc(a.Open, b.Open[:len(a.Open)], func(x, y posture.File) bool {
		if y.Mode&unix.S_IFMT == 0 {
			x.Mode &^= unix.S_IFMT
		}
		return x == y
	})
}

// samePending: signals come from outside at any time, but one that is blocked
// does not go, except that a stop takes SIGCONT away and SIGCONT takes stops.
func samePending(seen, proc *posture.Posture) bool {
	const jobControl = 1<<(unix.SIGCONT-1) | 1<<(unix.SIGSTOP-1) | 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)
	a, _ := seen.Signals.Pending.Get()
	b, _ := proc.Signals.Pending.Get()
	blocked, ok := seen.Signals.Blocked.Get()
	return ok && a&blocked&^b&^jobControl == 0
}
