package checkpoint

import (
	"fmt"
	"os"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/devices"
	"golang.org/x/sys/unix"
)

// step is one operation and what it means, so that a failed operation can be
// turned into an [Error].
type step struct {
	stage  Stage
	index  int
	object string
	op     agent.Op
}

// steps is an [agent.Batch] that remembers what its operations are for.
type steps []step

func (s steps) Len() int           { return len(s) }
func (s steps) Op(i int) *agent.Op { return &s[i].op }

// batch is a list of steps under construction, with the first thing that was
// found wrong.
type batch struct {
	steps steps
	err   error
}

func (b *batch) add(stage Stage, index int, object string, ops ...agent.Op) {
	for i := range ops {
		b.steps = append(b.steps, step{stage, index, object, ops[i]})
	}
}

func (b *batch) fail(stage Stage, index int, object string, err error) {
	if b.err == nil {
		b.err = &Error{Stage: stage, Index: index, Object: object, Err: err}
	}
}

// hostStep is something that only the host can do, while the child is parked.
type hostStep struct {
	stage  Stage
	object string
	do     func(*Workload) error
}

// plan is a request compiled to operations: a pure description, apart from the
// descriptors that it holds open for the agent.
type plan struct {
	cfg  *Config
	opts *Options
	env  *environment

	target *target // that is entered, or nil

	cloneFlags  uint64 // of the first clone
	secondFlags uint64 // of the second, if there is one
	second      bool
	cgroupFD    int
	fds         []int      // registers from agent.RegFD0 on
	opened      []*os.File // closed once the agent has its copies
	idTrees     idTrees    // and these
	made        []string   // cgroup directories to remove afterwards

	agent batch      // by the agent, before the child's first batch
	setup batch      // by the child, before it parks
	first []hostStep // by the host, before setup
	host  []hostStep // by the host, after setup
	final batch      // by the child, last: ends in execve
	regs  int

	deviceProgram *devices.Program // on a cgroup that stays, or nil
	last          []hostStep       // by the host, after everything else

	rooting int // the step of setup that begins to change the root; 0 for none

	sessionBegun bool // setsid is done, or in the setup

	stdio [3]int // registers of descriptors 0 to 2; known once
	extra []int  // registers of the passed files, as they come and out of the way

	rulesets []int    // registers of Landlock rulesets, one for each layer
	dropped  []string // what best effort left out
	program  [2]int   // the same of Options.Program
	proc     int      // register of /proc once the passed files are in place
	listener int      // the step of final that makes a seccomp listener, -1 for none

	shared bool  // by many launches, which must not change it
	whole  steps // of a shared plan: setup and final
}

// environment is what the plan needs to know of the agent, read once.
type environment struct {
	caps      CapSet // permitted
	effective CapSet
	inherit   CapSet
	bounding  CapSet
	all       CapSet // what the kernel knows
	uid, gid  uint32
	landlock  int // ABI, 0 for none
}

// reg returns a free register.
func (p *plan) reg() int {
	r := agent.RegFree + p.regs
	p.regs++
	if r >= agent.NumRegs {
		p.setup.fail(StageConfig, -1, "", fmt.Errorf("more than %d descriptors at a time: %w", agent.NumRegs-agent.RegFree, unix.E2BIG))
		return agent.NumRegs - 1
	}
	return r
}

// pass gives the child a descriptor and returns its register.
func (p *plan) pass(fd int) int {
	p.fds = append(p.fds, fd)
	return agent.RegFD0 + len(p.fds) - 1
}

// open opens a path on the host for the child.
func (p *plan) open(path string, flags int) (int, error) {
	f, err := os.OpenFile(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	p.opened = append(p.opened, f)
	return p.pass(int(f.Fd())), nil
}

func (p *plan) close() {
	if p.shared {
		return // it has nothing open
	}
	for _, f := range p.opened {
		f.Close()
	}
	p.opened = nil
	p.target.close()
	p.idTrees.close()
	p.idTrees = nil
}

// compile turns a valid request into a plan. The order in here is the order in
// which things happen; docs/architecture.md explains it.
func compile(cfg *Config, opts *Options, env *environment, trees idTrees, into *target) (*plan, error) {
	p := &plan{target: into, cfg: cfg, opts: opts, env: env, idTrees: trees, cgroupFD: -1, listener: -1}
	p.final.steps = make(steps, 0, 16) // enough for most
	p.namespaces()
	p.idMaps()
	p.cgroup()
	p.join()
	p.enter()
	p.timeOffsets()
	p.initShim()
	p.secondClone()
	p.settle()
	p.setupSteps(cfg)
	p.finalSteps()
	for _, b := range []*batch{&p.agent, &p.setup, &p.final} {
		if b.err != nil {
			p.close()
			return p, b.err
		}
	}
	if len(p.fds) > agent.MaxFDs-1 {
		p.close()
		return p, fail(StageConfig, "", fmt.Errorf("%d descriptors for one launch, at most %d: %w", len(p.fds), agent.MaxFDs-1, unix.E2BIG))
	}
	return p, nil
}

// setupSteps are the constraints that are put on while the child still has its
// privileges; also compiled for Apply.
func (p *plan) setupSteps(cfg *Config) {
	p.hostname(cfg)
	p.network(cfg)
	p.mounts(cfg)
	p.sysctls(cfg)
	p.oom(cfg)
	p.sched(cfg)
	p.autogroup(cfg)
	p.memory(cfg)
	p.keyring(cfg)
}

// finalSteps are what must come last, in this order. Nothing stands between
// seccomp and execve.
func (p *plan) finalSteps() {
	p.session()
	p.files()
	p.makeRulesets()
	p.umask()
	p.cwd()
	p.personality()
	p.rlimits()
	p.signals()
	p.subreaper()
	p.speculation()
	p.tracer()
	p.bounding()
	p.securebits()
	p.labels()
	early := p.earlyFilters() || p.copiedEarly()
	if early {
		p.copiedFilters()
		p.landlock()
		p.seccomp()
	}
	p.ids()
	p.capset()
	p.ambient()
	p.noNewPrivs()
	p.pdeathsig()
	if !early {
		p.copiedFilters()
		p.landlock()
		p.seccomp()
	}
	p.exec()
	p.preflight()
	p.copiedPreflight()
}
