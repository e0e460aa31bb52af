package checkpoint

import (
	"fmt"
	"strconv"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

var cloneFlag = map[NamespaceKind]uint64{
	User: unix.CLONE_NEWUSER, Mnt: unix.CLONE_NEWNS, PID: unix.CLONE_NEWPID, Net: unix.CLONE_NEWNET,
	UTS: unix.CLONE_NEWUTS, IPC: unix.CLONE_NEWIPC, Cgroups: unix.CLONE_NEWCGROUP, Time: unix.CLONE_NEWTIME,
}

// find returns how a kind of namespace was asked for.
func (c *Config) find(kind NamespaceKind) (Namespace, bool) {
	for _, n := range c.Namespaces {
		if n.Kind == kind {
			return n, true
		}
	}
	return Namespace{}, false
}

// joined reports whether the namespace is an existing one.
func (n Namespace) joined() bool { return n.Path != "" || n.PID != 0 }

func (c *Config) has(kind NamespaceKind, joined bool) bool {
	n, ok := c.find(kind)
	return ok && n.joined() == joined
}

// namespaces decides which namespaces are made by which clone.
//
// Usually one clone makes all. A second one, below the agent (CLONE_PARENT),
// is needed when what the first child does takes effect only for its children:
// joining a pid namespace, entering a user namespace that shall own the others,
// and offsets of a time namespace, which are frozen once a task is in it.
func (p *plan) namespaces() {
	var fresh uint64
	for _, n := range p.cfg.Namespaces {
		if !n.joined() {
			fresh |= cloneFlag[n.Kind]
		}
	}
	offsets := p.cfg.TimeOffsets != TimeOffsets{}
	switch {
	case p.cfg.has(User, true):
		p.second, p.secondFlags = true, fresh
	case p.cfg.has(PID, true) || offsets:
		p.second = true
		p.cloneFlags = fresh
		// CLONE_PARENT is refused to the init of a pid namespace (clone(2)).
		p.secondFlags = fresh & unix.CLONE_NEWPID
		p.cloneFlags &^= unix.CLONE_NEWPID
	default:
		p.cloneFlags = fresh
	}
	if p.cfg.Init {
		p.second = true
		if !p.cfg.has(User, true) {
			p.cloneFlags, p.secondFlags = fresh, 0
		}
		p.cloneFlags &^= unix.CLONE_NEWPID
		p.secondFlags &^= unix.CLONE_NEWPID
	}
	if offsets {
		p.cloneFlags &^= unix.CLONE_NEWTIME
		p.secondFlags &^= unix.CLONE_NEWTIME
	}
	// With version 1 cgroups the child is moved after its birth, and a cgroup
	// namespace is rooted where its creator is at that moment.
	if len(p.cfg.Cgroup.V1) > 0 && fresh&unix.CLONE_NEWCGROUP != 0 {
		p.cloneFlags &^= unix.CLONE_NEWCGROUP
		p.secondFlags &^= unix.CLONE_NEWCGROUP
	}
}

// enter joins existing namespaces. All files are opened by the host before the
// child exists, so that a target that dies meanwhile cannot be mixed up.
func (p *plan) enter() {
	// The user namespace first: it gives the privilege over those it owns.
	// Where one of the others belongs to an outer user namespace, the agent's
	// own privilege is needed, so that one goes before.
	order := []NamespaceKind{User, Mnt, UTS, IPC, Cgroups, Net, Time, PID}
	regs := make(map[NamespaceKind]int)
	paths := make(map[NamespaceKind]string)
	for i, n := range p.cfg.Namespaces {
		if !n.joined() || p.target != nil && p.target.flags&cloneFlag[n.Kind] != 0 {
			continue
		}
		path := n.Path
		if path == "" {
			path = "/proc/" + strconv.Itoa(n.PID) + "/ns/" + string(n.Kind)
		}
		reg, err := p.open(path, unix.O_RDONLY)
		if err != nil {
			p.setup.fail(StageNamespaces, i, path, err)
			return
		}
		fd := int(p.opened[len(p.opened)-1].Fd())
		if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || uint64(kind) != cloneFlag[n.Kind] {
			p.setup.fail(StageNamespaces, i, path, fmt.Errorf("not a %s namespace: %w", n.Kind, unix.EINVAL))
			return
		}
		regs[n.Kind], paths[n.Kind] = reg, path
	}
	if ufd, ok := regs[User]; ok {
		target := nsInode(p.fds[ufd-agent.RegFD0])
		var before, after []NamespaceKind
		for _, k := range order {
			reg, ok := regs[k]
			if !ok || k == User {
				continue
			}
			if ownedBelow(p.fds[reg-agent.RegFD0], target) {
				after = append(after, k)
			} else {
				before = append(before, k)
			}
		}
		order = append(append(before, User), after...)
	}
	for _, k := range order {
		if reg, ok := regs[k]; ok {
			p.setup.add(StageNamespaces, -1, paths[k], agent.Sys(unix.SYS_SETNS, agent.R(reg), agent.N(cloneFlag[k])))
		}
	}
}

func nsInode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

// ownedBelow reports whether the namespace's owner is the user namespace with
// the given inode number, or one below it; see ioctl_nsfs(2).
func ownedBelow(fd int, inode uint64) bool {
	u, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	for err == nil {
		if nsInode(u) == inode {
			unix.Close(u)
			return true
		}
		var up int
		up, err = unix.IoctlRetInt(u, unix.NS_GET_PARENT)
		unix.Close(u)
		u = up
	}
	return false
}

// timeOffsets makes the time namespace that the second clone will be born in.
func (p *plan) timeOffsets() {
	o := p.cfg.TimeOffsets
	if o == (TimeOffsets{}) {
		return
	}
	p.setup.add(StageTime, -1, "", agent.Sys(unix.SYS_UNSHARE, agent.N(uint64(unix.CLONE_NEWTIME))))
	reg := p.reg()
	open := agent.Sys(unix.SYS_OPENAT, agent.R(agent.RegProc), agent.S("self/timens_offsets"), agent.N(unix.O_WRONLY|unix.O_CLOEXEC))
	open.Save = reg
	line := fmt.Sprintf("monotonic %d %d\nboottime %d %d\n", o.Monotonic/1e9, o.Monotonic%1e9, o.Boottime/1e9, o.Boottime%1e9)
	p.setup.add(StageTime, -1, "timens_offsets", open, write(reg, line), closeReg(reg))
}

func (p *plan) secondClone() {
	if !p.second {
		return
	}
	p.setup.add(StageClone, -1, "", agent.Sys(agent.OpClone, agent.N(p.secondFlags), agent.N(uint64(1<<32-1))))
}

// settle finishes what birth could not do at once.
func (p *plan) settle() {
	if len(p.cfg.Cgroup.V1) > 0 && p.cfg.has(Cgroups, false) {
		p.setup.add(StageNamespaces, -1, "cgroup", agent.Sys(unix.SYS_UNSHARE, agent.N(unix.CLONE_NEWCGROUP)))
	}
	p.setOOM(p.cfg)
	if p.cfg.insideRoot() {
		// Without this, files made during set-up would belong to an id that
		// does not exist inside.
		p.setup.add(StageIDs, -1, "0", agent.Sys(unix.SYS_SETRESGID, agent.N(0), agent.N(0), agent.N(0)),
			agent.Sys(unix.SYS_SETRESUID, agent.N(0), agent.N(0), agent.N(0)))
	}
}

// insideRoot reports whether the child becomes user 0 of a new user namespace,
// which it does when both maps have a 0.
func (c *Config) insideRoot() bool {
	return c.has(User, false) && mapped(c.UIDMap, 0) && mapped(c.GIDMap, 0)
}

func write(reg int, s string) agent.Op {
	return agent.Sys(unix.SYS_WRITE, agent.R(reg), agent.B([]byte(s)), agent.N(len(s)))
}

func closeReg(reg int) agent.Op { return agent.Sys(unix.SYS_CLOSE, agent.R(reg)) }
