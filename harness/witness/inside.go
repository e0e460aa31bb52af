package witness

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Self are the questions about the witness's own state, each of them about a
// field of the posture and named like it.
func Self() []Question {
	return slices.Concat(ids(), capabilities(), flags(), limits(), schedule(), signals(), process(), files(), clocks())
}

// number asks for a value that a call returns.
func number[T int32 | uint32 | uint64 | bool](name string, at func(*posture.Posture) posture.Value[T], conv func(int64) T, nr uint32, args ...Arg) Question {
	return Question{name, []Call{{NR: nr, Args: args}}, func(f *Facts, o []Outcome) Answer {
		want, ok := at(f.Posture).Get()
		if !ok {
			return silent("the posture does not have it: %s", why(at(f.Posture)))
		}
		if e := o[0].Errno(); e != 0 {
			return silent("the kernel answers %s", unix.ErrnoName(e))
		}
		return compare(want, conv(o[0].Result))
	}}
}

// filled asks for a value that a call writes to memory.
func filled[T comparable](name string, at func(*posture.Posture) posture.Value[T], conv func([]byte) T, nr uint32, args ...Arg) Question {
	return Question{name, []Call{{NR: nr, Args: args}}, func(f *Facts, o []Outcome) Answer {
		want, ok := at(f.Posture).Get()
		if !ok {
			return silent("the posture does not have it: %s", why(at(f.Posture)))
		}
		if e := o[0].Errno(); e != 0 || len(o[0].Outs) == 0 {
			return silent("the kernel answers %s", unix.ErrnoName(e))
		}
		return compare(want, conv(o[0].Outs[0]))
	}}
}

func why[T any](v posture.Value[T]) string { return v.Why() }

func u32(v int64) uint32   { return uint32(v) }
func isSet(v int64) bool   { return v != 0 }
func le32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// inside turns an id of the initial user namespace into what the task sees of
// it: the overflow id if it has none (user_namespaces(7)).
func inside(id uint32, m []posture.IDExtent) uint32 {
	const overflow = 65534
	for _, e := range m {
		if id >= e.Host && uint64(id) < uint64(e.Host)+uint64(e.Count) {
			return e.Inside + (id - e.Host)
		}
	}
	return overflow
}

func ids() []Question {
	three := func(name string, nr uint32, uid bool, at func(*posture.IDs) [3]posture.Value[uint32]) Question {
		return Question{name, []Call{{NR: nr, Args: []Arg{Out(4), Out(4), Out(4)}}}, func(f *Facts, o []Outcome) Answer {
			m, ok := idMap(f.Posture, uid)
			if !ok || o[0].Errno() != 0 || len(o[0].Outs) != 3 {
				return silent("no map, or no answer")
			}
			var want, got [3]uint32
			for i, v := range at(&f.Posture.IDs) {
				id, known := v.Get()
				if !known {
					return silent("the posture does not have it: %s", v.Why())
				}
				want[i], got[i] = inside(id, m), le32(o[0].Outs[i])
			}
			return compare(want, got)
		}}
	}
	return []Question{
		three("ids.uid, euid, suid", unix.SYS_GETRESUID, true, func(i *posture.IDs) [3]posture.Value[uint32] {
			return [3]posture.Value[uint32]{i.UID, i.EUID, i.SUID}
		}),
		three("ids.gid, egid, sgid", unix.SYS_GETRESGID, false, func(i *posture.IDs) [3]posture.Value[uint32] {
			return [3]posture.Value[uint32]{i.GID, i.EGID, i.SGID}
		}),
		{"ids.groups", []Call{{NR: unix.SYS_GETGROUPS, Args: []Arg{Number(1024), Out(4096)}}}, func(f *Facts, o []Outcome) Answer {
			groups, known := f.Posture.IDs.Groups.Get()
			m, ok := idMap(f.Posture, false)
			if !known || !ok || o[0].Errno() != 0 {
				return silent("no map, more than 1024 groups, or not in the posture")
			}
			want, got := []uint32{}, []uint32{}
			for _, g := range groups {
				want = append(want, inside(g, m))
			}
			for i := range int(o[0].Result) {
				got = append(got, le32(o[0].Outs[0][4*i:]))
			}
			slices.Sort(want) // the kernel's order is that of the ids outside
			slices.Sort(got)
			return compare(fmt.Sprint(want), fmt.Sprint(got))
		}},
	}
}

func idMap(p *posture.Posture, uid bool) ([]posture.IDExtent, bool) {
	if uid {
		return p.UserNS.UIDMap.Get()
	}
	return p.UserNS.GIDMap.Get()
}

// lastCap is the newest capability that is asked for, CAP_CHECKPOINT_RESTORE.
// The kernel answers EINVAL for those that it does not know.
const lastCap = 40

func capabilities() []Question {
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = binary.NativeEndian.AppendUint32(header, 0)
	get := Call{NR: unix.SYS_CAPGET, Args: []Arg{Bytes(header), Out(24)}}
	word := func(name string, i int, at func(*posture.Capabilities) posture.Value[posture.CapSet]) Question {
		return Question{name, []Call{get}, func(f *Facts, o []Outcome) Answer {
			v := at(&f.Posture.Capabilities)
			want, ok := v.Get()
			if !ok || o[0].Errno() != 0 {
				return silent("no answer, or not in the posture: %s", v.Why())
			}
			b := o[0].Outs[0]
			return compare(want, posture.CapSet(le32(b[4*i:]))|posture.CapSet(le32(b[12+4*i:]))<<32)
		}}
	}
	each := func(name string, args func(c int) []Arg, at func(*posture.Capabilities) posture.Value[posture.CapSet]) Question {
		var calls []Call
		for c := range lastCap + 1 {
			calls = append(calls, Call{NR: unix.SYS_PRCTL, Args: args(c)})
		}
		return Question{name, calls, func(f *Facts, o []Outcome) Answer {
			v := at(&f.Posture.Capabilities)
			want, ok := v.Get()
			if !ok {
				return silent("not in the posture: %s", v.Why())
			}
			var got posture.CapSet
			for c := range o {
				if o[c].Result == 1 {
					got |= 1 << c
				}
			}
			return compare(want&(1<<(lastCap+1)-1), got)
		}}
	}
	return []Question{
		word("capabilities.effective", 0, func(c *posture.Capabilities) posture.Value[posture.CapSet] { return c.Effective }),
		word("capabilities.permitted", 1, func(c *posture.Capabilities) posture.Value[posture.CapSet] { return c.Permitted }),
		word("capabilities.inheritable", 2, func(c *posture.Capabilities) posture.Value[posture.CapSet] { return c.Inheritable }),
		each("capabilities.bounding", func(c int) []Arg { return []Arg{Number(unix.PR_CAPBSET_READ), Number(c)} },
			func(c *posture.Capabilities) posture.Value[posture.CapSet] { return c.Bounding }),
		each("capabilities.ambient", func(c int) []Arg {
			return []Arg{Number(unix.PR_CAP_AMBIENT), Number(unix.PR_CAP_AMBIENT_IS_SET), Number(c), Number(0), Number(0)}
		}, func(c *posture.Capabilities) posture.Value[posture.CapSet] { return c.Ambient }),
	}
}

func flags() []Question {
	prctl := func(option int, args ...Arg) []Arg {
		all := append([]Arg{Number(option)}, args...)
		for len(all) < 5 {
			all = append(all, Number(0))
		}
		return all
	}
	priv := func(at func(*posture.Privilege) posture.Value[uint32]) func(*posture.Posture) posture.Value[uint32] {
		return func(p *posture.Posture) posture.Value[uint32] { return at(&p.Privilege) }
	}
	return []Question{
		number("privilege.no_new_privs", func(p *posture.Posture) posture.Value[bool] { return p.Privilege.NoNewPrivs }, isSet, unix.SYS_PRCTL, prctl(unix.PR_GET_NO_NEW_PRIVS)...),
		number("privilege.securebits", priv(func(p *posture.Privilege) posture.Value[uint32] { return p.Securebits }), u32, unix.SYS_PRCTL, prctl(unix.PR_GET_SECUREBITS)...),
		number("privilege.dumpable", priv(func(p *posture.Privilege) posture.Value[uint32] { return p.Dumpable }), u32, unix.SYS_PRCTL, prctl(unix.PR_GET_DUMPABLE)...),
		number("privilege.personality", priv(func(p *posture.Privilege) posture.Value[uint32] { return p.Personality }), u32, unix.SYS_PERSONALITY, Number(0xffffffff)),
		filled("privilege.pdeathsig", priv(func(p *posture.Privilege) posture.Value[uint32] { return p.Pdeathsig }), le32, unix.SYS_PRCTL, prctl(unix.PR_GET_PDEATHSIG, Out(4))...),
		filled("process.child_subreaper", func(p *posture.Posture) posture.Value[bool] { return p.Process.Subreaper }, func(b []byte) bool { return le32(b) != 0 }, unix.SYS_PRCTL, prctl(unix.PR_GET_CHILD_SUBREAPER, Out(4))...),
		number("seccomp.mode", func(p *posture.Posture) posture.Value[uint32] { return p.Seccomp.Mode }, u32, unix.SYS_PRCTL, prctl(unix.PR_GET_SECCOMP)...),
		number("sched.timer_slack_ns", func(p *posture.Posture) posture.Value[uint64] { return p.Sched.TimerSlack }, func(v int64) uint64 { return uint64(v) }, unix.SYS_PRCTL, prctl(unix.PR_GET_TIMERSLACK)...),
		uname("uts.hostname", 65, func(u *posture.UTS) posture.Value[string] { return u.Hostname }),
		uname("uts.domainname", 5*65, func(u *posture.UTS) posture.Value[string] { return u.Domainname }),
		// umask(2) can only be read by setting it, so it is set back.
		{"fs.umask", []Call{{NR: unix.SYS_UMASK, Args: []Arg{Number(0)}}, {NR: unix.SYS_UMASK, Args: []Arg{ResultOf(0)}}}, func(f *Facts, o []Outcome) Answer {
			want, ok := f.Posture.FS.Umask.Get()
			if !ok {
				return silent("not in the posture")
			}
			return compare(fmt.Sprintf("%04o", want), fmt.Sprintf("%04o", o[0].Result))
		}},
	}
}

func uname(name string, at int, field func(*posture.UTS) posture.Value[string]) Question {
	return filled(name, func(p *posture.Posture) posture.Value[string] { return field(&p.UTS) },
		func(b []byte) string { s, _, _ := bytes.Cut(b[at:at+65], []byte{0}); return string(s) }, unix.SYS_UNAME, Out(6*65))
}

func limits() []Question {
	var out []Question
	for i, name := range posture.RlimitNames {
		out = append(out, filled("rlimits."+name, func(p *posture.Posture) posture.Value[posture.Rlimit] {
			l, ok := p.Rlimits.Get()
			if !ok {
				return posture.Unreadable[posture.Rlimit](p.Rlimits.Why())
			}
			return posture.Known(l[i])
		}, func(b []byte) posture.Rlimit { return posture.Rlimit{Soft: le64(b), Hard: le64(b[8:])} },
			unix.SYS_PRLIMIT64, Number(0), Number(i), Number(0), Out(16)))
	}
	return out
}

const resetOnFork = 0x40000000 // SCHED_RESET_ON_FORK in the answer of sched_getscheduler(2)

func schedule() []Question {
	return []Question{
		number("sched.policy", func(p *posture.Posture) posture.Value[uint32] { return p.Sched.Policy }, func(v int64) uint32 { return uint32(v) &^ resetOnFork }, unix.SYS_SCHED_GETSCHEDULER, Number(0)),
		number("sched.reset_on_fork", func(p *posture.Posture) posture.Value[bool] { return p.Sched.ResetOnFork }, func(v int64) bool { return v&resetOnFork != 0 }, unix.SYS_SCHED_GETSCHEDULER, Number(0)),
		filled("sched.rt_priority", func(p *posture.Posture) posture.Value[uint32] { return p.Sched.RTPriority }, le32, unix.SYS_SCHED_GETPARAM, Number(0), Out(4)),
		number("sched.nice", func(p *posture.Posture) posture.Value[int32] { return p.Sched.Nice }, func(v int64) int32 { return 20 - int32(v) }, unix.SYS_GETPRIORITY, Number(unix.PRIO_PROCESS), Number(0)),
		{"sched.affinity", []Call{{NR: unix.SYS_SCHED_GETAFFINITY, Args: []Arg{Number(0), Number(128), OutUpTo(128)}}}, func(f *Facts, o []Outcome) Answer {
			want, ok := f.Posture.Sched.Affinity.Get()
			if !ok || o[0].Errno() != 0 {
				return silent("no answer, or not in the posture")
			}
			var got []uint64
			for b := o[0].Outs[0]; len(b) >= 8; b = b[8:] {
				got = append(got, le64(b))
			}
			for len(got) > 0 && got[len(got)-1] == 0 {
				got = got[:len(got)-1]
			}
			return compare(fmt.Sprintf("%x", want), fmt.Sprintf("%x", got))
		}},
	}
}

func signals() []Question {
	set := func(name string, nr uint32, at func(*posture.Signals) posture.Value[uint64], args ...Arg) Question {
		return filled(name, func(p *posture.Posture) posture.Value[uint64] { return at(&p.Signals) }, le64, nr, args...)
	}
	var calls []Call
	for n := 1; n <= 64; n++ {
		calls = append(calls, Call{NR: unix.SYS_RT_SIGACTION, Args: []Arg{Number(n), Number(0), Out(32), Number(8)}})
	}
	return []Question{
		set("signals.blocked", unix.SYS_RT_SIGPROCMASK, func(s *posture.Signals) posture.Value[uint64] { return s.Blocked }, Number(0), Number(0), Out(8), Number(8)),
		set("signals.pending", unix.SYS_RT_SIGPENDING, func(s *posture.Signals) posture.Value[uint64] { return s.Pending }, Out(8), Number(8)),
		{"signals.ignored", calls, func(f *Facts, o []Outcome) Answer {
			want, ok := f.Posture.Signals.Ignored.Get()
			if !ok {
				return silent("not in the posture")
			}
			var got uint64
			for i := range o {
				if len(o[i].Outs) == 1 && le64(o[i].Outs[0]) == 1 {
					got |= 1 << i
				}
			}
			return compare("0x"+strconv.FormatUint(want, 16), "0x"+strconv.FormatUint(got, 16))
		}},
	}
}

func process() []Question {
	return []Question{
		number("process.pid_inside", func(p *posture.Posture) posture.Value[uint32] { return p.Process.PIDInside }, u32, unix.SYS_GETPID),
		{"process.session_leader", []Call{{NR: unix.SYS_GETPID}, {NR: unix.SYS_GETSID, Args: []Arg{Number(0)}}}, func(f *Facts, o []Outcome) Answer {
			want, ok := f.Posture.Process.SessionLeader.Get()
			if !ok || o[1].Errno() != 0 {
				return silent("no answer, or not in the posture")
			}
			return compare(want, o[0].Result == o[1].Result)
		}},
		{"keyrings.session", []Call{{NR: unix.SYS_KEYCTL, Args: []Arg{Number(unix.KEYCTL_GET_KEYRING_ID), Number(unix.KEY_SPEC_SESSION_KEYRING), Number(0)}}}, func(f *Facts, o []Outcome) Answer {
			want, ok := f.Posture.Keyrings.Session.Get()
			if !ok || want == 0 || o[0].Errno() != 0 {
				return silent("none, not in the posture, or no answer: %s", o[0].String()) // without one the user's is taken
			}
			return compare(int64(want), o[0].Result)
		}},
	}
}

// clocks compares what the clocks say with where the host's were meanwhile.
func clocks() []Question {
	clock := func(name string, id int, base func(*Facts) int64, at func(*posture.TimeOffsets) posture.Value[int64]) Question {
		return Question{name, []Call{{NR: unix.SYS_CLOCK_GETTIME, Args: []Arg{Number(id), Out(16)}}}, func(f *Facts, o []Outcome) Answer {
			offset, ok := at(&f.Posture.Time).Get()
			if !ok || o[0].Errno() != 0 || f.Ended == 0 {
				return silent("no answer, or not in the posture")
			}
			t := int64(le64(o[0].Outs[0]))*1e9 + int64(le64(o[0].Outs[0][8:]))
			from, to := f.Begun+base(f)+offset, f.Ended+base(f)+offset
			a := Answer{Standing: Agrees, Want: fmt.Sprintf("between %d and %d ns", from, to), Got: fmt.Sprintf("%d ns", t)}
			if t < from || t > to {
				a.Standing = Disagrees
			}
			return a
		}}
	}
	return []Question{
		clock("time.monotonic_ns", unix.CLOCK_MONOTONIC, func(*Facts) int64 { return 0 }, func(t *posture.TimeOffsets) posture.Value[int64] { return t.Monotonic }),
		clock("time.boottime_ns", unix.CLOCK_BOOTTIME, func(f *Facts) int64 { return f.Boot }, func(t *posture.TimeOffsets) posture.Value[int64] { return t.Boottime }),
	}
}
