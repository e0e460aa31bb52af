package engine

import (
	"slices"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

func (t *translator) process() {
	p, c := t.req.Process(), t.cfg
	c.Args, c.Env, c.Cwd = slices.Clone(p.Args), slices.Clone(p.Env), p.Cwd
	t.refuse(p.CommandLine != "", "process.commandLine")
	t.refuse(p.User.Username != "", "process.user.username")
	c.LSM = checkpoint.LSM{AppArmor: p.ApparmorProfile, SELinux: p.SelinuxLabel}
	t.refuse(p.ExecCPUAffinity != nil, "process.execCPUAffinity", "it is about processes that join a container")
	if !t.req.Ext.KeepIDs {
		c.UID, c.GID = checkpoint.Some(p.User.UID), checkpoint.Some(p.User.GID)
		if !t.req.Ext.DenySetgroups {
			groups := slices.Clone(p.User.AdditionalGids)
			if groups == nil {
				groups = []uint32{}
			}
			c.Groups = checkpoint.Some(groups)
		}
	}
	if p.User.Umask != nil {
		c.Umask = checkpoint.Some(*p.User.Umask)
	}
	c.NoNewPrivs = p.NoNewPrivileges
	if caps := p.Capabilities; caps != nil {
		set := func(field string, names []string) checkpoint.Option[checkpoint.CapSet] {
			s, err := request.CapSet(names)
			t.fail("process.capabilities."+field, err)
			return checkpoint.Some(checkpoint.CapSet(s))
		}
		c.Capabilities = checkpoint.Capabilities{
			Bounding: set("bounding", caps.Bounding), Permitted: set("permitted", caps.Permitted),
			Effective: set("effective", caps.Effective), Inheritable: set("inheritable", caps.Inheritable),
			Ambient: set("ambient", caps.Ambient),
		}
		c.Capabilities.Ambient.Value &= checkpoint.CapSet(request.Ambient(caps))
	}
	for _, l := range p.Rlimits {
		c.Rlimits = append(c.Rlimits, checkpoint.Rlimit{Resource: l.Type, Soft: l.Soft, Hard: l.Hard})
	}
	if p.OOMScoreAdj != nil {
		c.OOMScoreAdj = checkpoint.Some(*p.OOMScoreAdj)
	}
	t.scheduler(p.Scheduler)
	if io := p.IOPriority; io != nil {
		class, ok := request.IOClass(io.Class)
		t.refuse(!ok, "process.ioPriority.class", string(io.Class))
		c.IOPrio = checkpoint.Some(checkpoint.IOPrio{Class: class, Level: io.Priority})
	}
}

func (t *translator) scheduler(s *specs.Scheduler) {
	if s == nil {
		return
	}
	policy, ok := request.Policy(s.Policy)
	t.refuse(!ok, "process.scheduler.policy", string(s.Policy))
	out := checkpoint.Sched{
		Policy: policy, Priority: int(s.Priority), Runtime: time.Duration(s.Runtime),
		Deadline: time.Duration(s.Deadline), Period: time.Duration(s.Period),
	}
	t.schedulerFlags(s.Flags, &out)
	t.cfg.Scheduler = checkpoint.Some(out)
	if fair := policy == 0 || policy == 3; fair && t.req.Ext.Nice == nil {
		t.cfg.Nice = checkpoint.Some(int(s.Nice))
	} else {
		t.refuse(!fair && s.Nice != 0, "process.scheduler.nice", "the policy has none")
	}
}

func (t *translator) extension() {
	c, e := t.cfg, &t.req.Ext
	c.Path, c.SearchPath = e.Path, e.SearchPath
	if args := t.req.Process().Args; e.Path == "" && e.Program == nil && len(args) > 0 && !strings.Contains(args[0], "/") {
		c.SearchPath = true // args are as of execvp(3) (config.md, Process)
	}
	c.Init = e.Init
	t.enter()
	c.DenySetgroups, c.MapHelper = e.DenySetgroups, e.MapHelper
	if e.Securebits != nil {
		c.Securebits = checkpoint.Some(*e.Securebits)
	}
	if e.Pdeathsig != nil {
		c.Pdeathsig = checkpoint.Some(int(*e.Pdeathsig))
	}
	if e.Nice != nil {
		c.Nice = checkpoint.Some(*e.Nice)
	}
	if e.TimerSlack != nil {
		c.TimerSlack = checkpoint.Some(*e.TimerSlack)
	}
	if e.Personality != nil {
		c.Personality = checkpoint.Some(*e.Personality)
	}
	c.Landlock = copyLandlock(e.Landlock)
	c.Affinity, c.Session, c.NewKeyring = slices.Clone(e.Affinity), e.Session, e.NewKeyring
	t.identity()
	c.IgnoreSignals, c.BlockSignals = numbers(e.IgnoreSignals), numbers(e.BlockSignals)
}

func numbers(list []request.Signal) []int {
	var out []int
	for _, s := range list {
		out = append(out, int(s))
	}
	return out
}
