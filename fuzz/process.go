package fuzz

import (
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const capSysNice, capSysResource = 23, 24

// host reports a capability that counts: one over the initial user namespace,
// which the launcher's child keeps unless it gets a user namespace of its own.
func (d *drawer) host(capability int) bool {
	return d.m.Caps&(1<<capability) != 0 && !d.on["ns user"]
}

func policy(names ...specs.LinuxSchedulerPolicy) func(*request.Request) bool {
	return func(r *request.Request) bool {
		s := r.Process().Scheduler
		return s != nil && slices.Contains(names, s.Policy)
	}
}

var scheduling = slices.Concat([]dimension{
	{
		name: "rlimits", draw: rlimits,
		has: func(r *request.Request) bool { return len(r.Process().Rlimits) > 0 },
	},
}, func() (all []dimension) {
	for n := range limits {
		all = append(all, rlimit(n))
	}
	return all
}(), []dimension{
	{
		name: "oom_score_adj",
		draw: func(d *drawer) {
			low := d.m.OOMScoreAdj
			if d.host(capSysResource) {
				low = -999
			}
			d.r.Spec.Process.OOMScoreAdj = new(d.in(low, 1000))
		},
		has: func(r *request.Request) bool { return r.Process().OOMScoreAdj != nil },
	},
	{
		name: "nice",
		draw: func(d *drawer) {
			low := d.m.Nice
			if d.host(capSysNice) {
				low = -20
			}
			d.r.Ext.Nice = new(d.in(low, 19))
		},
		has: func(r *request.Request) bool { return r.Ext.Nice != nil },
	},
	{
		name: "affinity",
		draw: func(d *drawer) { d.r.Ext.Affinity = some(d, 40, d.m.CPUs) },
		has:  func(r *request.Request) bool { return len(r.Ext.Affinity) > 0 },
	},
	{
		name: "ioprio",
		draw: func(d *drawer) {
			class := pick(d, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE)
			if v, ok := d.chosen(); ok {
				class = []specs.IOPriorityClass{specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE, specs.IOPRIO_CLASS_RT}[v]
			} else if d.host(capSysNice) && d.chance(30) {
				class = specs.IOPRIO_CLASS_RT
			}
			d.r.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: d.in(0, 7)}
		},
		has: func(r *request.Request) bool { return r.Process().IOPriority != nil },
	},
	{
		name: "scheduler",
		draw: func(d *drawer) {
			s := &specs.Scheduler{Policy: pick(d, specs.SchedOther, specs.SchedBatch, specs.SchedIdle)}
			if d.host(capSysNice) && d.chance(40) && !(d.m.RTGroups && d.cpuCgroup()) {
				s.Policy, s.Priority = pick(d, specs.SchedFIFO, specs.SchedRR), int32(d.in(1, 20))
			}
			if v, ok := d.chosen(); ok {
				s.Policy, s.Priority = schedulerValues[v].policy, schedulerValues[v].priority
				if s.Policy == specs.SchedDeadline {
					d.deadline()
					return
				}
			}
			if d.chance(30) {
				s.Flags = []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}
			}
			if fair := s.Policy == specs.SchedOther || s.Policy == specs.SchedBatch; fair && d.m.Nice > 0 && !d.host(capSysNice) {
				s.Nice = int32(d.m.Nice) // of a caller that may not be less nice
			}
			d.r.Spec.Process.Scheduler = s
		},
		has: func(r *request.Request) bool { return r.Process().Scheduler != nil },
	},
	{
		name: "scheduler, fair", needs: []string{"scheduler"},
		has: policy(specs.SchedOther, specs.SchedBatch, specs.SchedIdle),
	},
	{
		name: "scheduler, realtime", needs: []string{"scheduler"},
		can: func(m *Machine) bool { return m.Caps&(1<<capSysNice) != 0 },
		has: policy(specs.SchedFIFO, specs.SchedRR),
	},
	{
		name: "timer slack",
		draw: func(d *drawer) { d.r.Ext.TimerSlack = new(uint64(pick(d, 0, 1, 50_000, d.in(1, 1<<40)))) },
		has:  func(r *request.Request) bool { return r.Ext.TimerSlack != nil },
	},
})

// schedulerValues are the scheduler's, in the order of the model.
var schedulerValues = []struct {
	policy   specs.LinuxSchedulerPolicy
	priority int32
}{{specs.SchedOther, 0}, {specs.SchedBatch, 0}, {specs.SchedIdle, 0}, {specs.SchedFIFO, 3}, {specs.SchedRR, 5}, {specs.SchedDeadline, 0}}

var process = []dimension{
	{
		name: "umask",
		draw: func(d *drawer) {
			d.r.Spec.Process.User.Umask = new(uint32(choice(d, 0, 0o22, 0o77, 0o777, d.in(0, 0o777))))
		},
		has: func(r *request.Request) bool { return r.Process().User.Umask != nil },
	},
	{
		name: "personality",
		draw: func(d *drawer) {
			if d.flip(20) {
				d.r.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: pick(d, specs.PerLinux, specs.PerLinux32)}
				return
			}
			const uname26, noRandomize, compatLayout, readExec, shortInode, seconds, sticky = 0x20000, 0x40000, 0x200000, 0x400000, 0x1000000, 0x2000000, 0x4000000
			word := pick(d, uint32(0), 8)
			for _, bit := range []uint32{uname26, noRandomize, compatLayout, readExec, shortInode, seconds, sticky} {
				if d.chance(30) {
					word |= bit
				}
			}
			d.r.Ext.Personality = &word
		},
		has: func(r *request.Request) bool { return r.Ext.Personality != nil || r.Linux().Personality != nil },
	},
	{
		name: "session",
		draw: func(d *drawer) { d.r.Ext.Session = true },
		has:  func(r *request.Request) bool { return r.Ext.Session },
	},
	{
		name: "keyring",
		draw: func(d *drawer) { d.r.Ext.NewKeyring = true },
		has:  func(r *request.Request) bool { return r.Ext.NewKeyring },
	},
	{
		name: "process group",
		draw: func(d *drawer) { d.r.Ext.ProcessGroup = true },
		has:  func(r *request.Request) bool { return r.Ext.ProcessGroup },
	},
	{
		name: "subreaper",
		draw: func(d *drawer) { d.r.Ext.Subreaper = true },
		has:  func(r *request.Request) bool { return r.Ext.Subreaper },
	},
	{
		name: "named keyring", can: root,
		draw: namedKeyring,
		has:  func(r *request.Request) bool { return r.Ext.Keyring != nil },
	},
	{
		name: "speculation",
		can:  func(m *Machine) bool { return len(m.Speculation) > 0 },
		draw: speculation,
		has:  func(r *request.Request) bool { return !r.Ext.Speculation.IsZero() },
	},
	{
		name: "program by descriptor",
		draw: func(d *drawer) {
			p := &request.Program{Host: d.m.Dir + "/workload", Memfd: d.flip(50)}
			if d.chance(40) {
				p.Number = d.in(3+MaxPassed, 100)
			}
			d.r.Ext.Program = p
		},
		has: func(r *request.Request) bool { return r.Ext.Program != nil },
	},
	{
		name: "memfd", needs: []string{"program by descriptor"},
		has: func(r *request.Request) bool { return r.Ext.Program != nil && r.Ext.Program.Memfd },
	},
	{
		name: "ignored signals",
		draw: func(d *drawer) { d.r.Ext.IgnoreSignals = d.signals() },
		has:  func(r *request.Request) bool { return len(r.Ext.IgnoreSignals) > 0 },
	},
	{
		name: "blocked signals",
		draw: func(d *drawer) { d.r.Ext.BlockSignals = d.signals() },
		has:  func(r *request.Request) bool { return len(r.Ext.BlockSignals) > 0 },
	},
	{
		name: "pdeathsig",
		draw: func(d *drawer) { d.r.Ext.Pdeathsig = new(request.Signal(d.in(0, 64))) },
		has:  func(r *request.Request) bool { return r.Ext.Pdeathsig != nil },
	},
	{
		name: "cwd",
		draw: func(d *drawer) {
			dir := d.m.Dir + "/work"
			if d.on["root"] {
				dir = "/work"
			}
			d.r.Spec.Process.Cwd = choice(d, "/", dir)
		},
		has: func(r *request.Request) bool { return r.Process().Cwd != "" },
	},
	{
		name: "env",
		draw: func(d *drawer) {
			for i := range choice(d, 1, 3, 10, 60) {
				d.r.Spec.Process.Env = append(d.r.Spec.Process.Env, fmt.Sprintf("V%d=%s", i, d.word(0, pick(d, 0, 10, 200))))
			}
		},
		has: func(r *request.Request) bool { return len(r.Process().Env) > 0 },
	},
	{
		name: "args",
		draw: func(d *drawer) {
			for range choice(d, 1, 3, 10, 60) {
				d.r.Spec.Process.Args = append(d.r.Spec.Process.Args, d.word(0, pick(d, 0, 10, 200)))
			}
		},
		has: func(r *request.Request) bool { return len(r.Process().Args) > 1 },
	},
	{
		name: "passed descriptors",
		draw: func(d *drawer) { d.r.Ext.PassFDs = d.in(1, MaxPassed) },
		has:  func(r *request.Request) bool { return r.Ext.PassFDs > 0 },
	},
}

// MaxPassed is the largest number of descriptors that a drawn request passes.
const MaxPassed = 8

func (d *drawer) signals() []request.Signal {
	var all []request.Signal
	for s := request.Signal(1); s <= 64; s++ {
		if s != 9 && s != 19 {
			all = append(all, s)
		}
	}
	return some(d, choice(d, 3, 30, 100), all)
}
