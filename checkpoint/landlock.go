package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	"golang.org/x/sys/unix"
)

// LandlockABI asks the kernel for its Landlock ABI. It is 0 where there is none:
// before Linux 5.13, or where Landlock is not among the active LSMs.
func LandlockABI() int {
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func (c *Config) validateLandlock(v *validator) {
	if c.Landlock == nil {
		return
	}
	err := c.Landlock.Validate()
	if err == nil {
		return
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, err := range list {
		if e, ok := errors.AsType[*landlock.Invalid](err); ok {
			v.check(false, "landlock."+e.Field, "%s", e.Why)
		}
	}
}

// compileLandlock is the policy for this kernel, nil if there is none or if
// something is wrong with it.
func (p *plan) compileLandlock() *landlock.Compiled {
	if p.dropped = nil; p.cfg.Landlock == nil {
		return nil
	}
	c, err := p.cfg.Landlock.Compile(p.env.landlock)
	if err != nil {
		p.final.fail(StageLandlock, -1, "", err)
		return nil
	}
	for _, d := range c.Dropped {
		p.dropped = append(p.dropped, "landlock."+d)
	}
	return c
}

// makeRulesets makes and fills the rulesets. It comes after the passed
// descriptors are in place, which could otherwise land on a ruleset's number,
// and before the limits, which could forbid another descriptor. The child is in
// its own root by then, so that is what paths are resolved in; it still has
// the privileges to reach them.
func (p *plan) makeRulesets() {
	c := p.compileLandlock()
	if c == nil {
		return
	}
	if why := c.Blocks(); why != "" && !p.mayBeMemfd() {
		p.final.fail(StageLandlock, -1, "", &invalid{why})
		return
	}
	for len(p.rulesets) < len(c.Layers) { // a second compilation, after Apply, uses the same registers
		p.rulesets = append(p.rulesets, p.reg())
	}
	if len(c.Layers) == 0 {
		return
	}
	path := p.reg()
	p.regs-- // closed again each time
	for i := range c.Layers {
		l := &c.Layers[i]
		p.makeRuleset(l, p.rulesets[i], path)
	}
}

// mayBeMemfd reports a program that may be a descriptor of a memfd.
func (p *plan) mayBeMemfd() bool {
	if p.opts.Program != nil {
		return true
	}
	for _, path := range p.cfg.Candidates() {
		if strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/dev/fd/") {
			return true
		}
	}
	return false
}

func (p *plan) makeRuleset(l *landlock.Layer, reg, path int) {
	const rulePathBeneath, ruleNetPort = 1, 2
	// struct landlock_ruleset_attr as it was when its last word that is not
	// zero came, so that no kernel is given more than it knows.
	var attr []byte
	size := 8
	for i, word := range []uint64{l.FS, l.Net, l.Scoped} {
		attr = binary.NativeEndian.AppendUint64(attr, word)
		if word != 0 {
			size = 8 * (i + 1)
		}
	}
	create := agent.Sys(unix.SYS_LANDLOCK_CREATE_RULESET, agent.B(attr), agent.N(size), agent.N(0))
	create.Save = reg
	p.final.add(StageLandlock, l.Index, "", create)
	for _, r := range l.Paths {
		open := agent.Sys(unix.SYS_OPENAT, agent.N(int64(unix.AT_FDCWD)), agent.S(r.Path), agent.N(unix.O_PATH|unix.O_CLOEXEC))
		open.Save = path
		// struct landlock_path_beneath_attr, packed: allowed_access, parent_fd
		const parentFD = 8
		rule := binary.NativeEndian.AppendUint64(nil, r.Access)
		rule = append(rule, 0, 0, 0, 0)
		p.final.add(StageLandlock, l.Index, r.Path, open,
			agent.Sys(agent.OpStore32, agent.Within(rule, parentFD), agent.R(path)),
			agent.Sys(unix.SYS_LANDLOCK_ADD_RULE, agent.R(reg), agent.N(rulePathBeneath), agent.Same(1, 0, parentFD), agent.N(0)),
			closeReg(path))
	}
	for _, r := range l.Ports {
		rule := binary.NativeEndian.AppendUint64(nil, r.Access)
		rule = binary.NativeEndian.AppendUint64(rule, uint64(r.Port))
		p.final.add(StageLandlock, l.Index, "port "+strconv.Itoa(int(r.Port)),
			agent.Sys(unix.SYS_LANDLOCK_ADD_RULE, agent.R(reg), agent.N(ruleNetPort), agent.B(rule), agent.N(0)))
	}
}

// landlock enforces the rulesets. They go in order, each as a layer on top.
func (p *plan) landlock() {
	c := p.compileLandlock()
	if c == nil || len(c.Layers) == 0 || p.final.err != nil {
		return
	}
	if !p.cfg.NoNewPrivs && !p.inUserNS() && !p.env.effective.Has(capSysAdmin) {
		p.final.fail(StageLandlock, -1, "", fmt.Errorf("%w: %s", unix.EPERM, landlockHint(unix.EPERM)))
		return
	}
	for i := range c.Layers {
		p.final.add(StageLandlock, c.Layers[i].Index, "restrict_self",
			agent.Sys(unix.SYS_LANDLOCK_RESTRICT_SELF, agent.R(p.rulesets[i]), agent.N(c.Layers[i].Flags)))
	}
}

func landlockHint(errno unix.Errno) string {
	switch errno {
	case unix.EPERM:
		return "needs no_new_privs, or CAP_SYS_ADMIN in the workload's user namespace"
	case unix.E2BIG:
		return fmt.Sprintf("the kernel stacks %d layers, the caller's included", landlock.MaxLayers)
	case unix.EINVAL:
		return "something other than a directory takes only execute, write_file, read_file, truncate, ioctl_dev and resolve_unix"
	case unix.ENOENT, unix.ENOTDIR:
		return "the path is not in the workload's root"
	}
	return ""
}
