package engines

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var someCaps = []string{"CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"}

// Draw makes request i: one that is valid, and that Debian's engines know every
// part of, so that what is found is no mere ignorance.
func (b *Bench) Draw(seed, i uint64, e *engine.Foreign) *request.Request {
	d := rand.New(rand.NewPCG(seed, i))
	one := func(n int) bool { return d.IntN(n) == 0 }
	r := b.Base()
	p, l := r.Spec.Process, r.Spec.Linux
	r.Spec.Root.Readonly = one(2)
	var ns []specs.LinuxNamespace
	for _, n := range l.Namespaces {
		if n.Type == specs.MountNamespace || !one(3) {
			ns = append(ns, n)
		}
	}
	l.Namespaces = ns
	if one(3) {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	for range d.IntN(3) {
		p.Args = append(p.Args, fmt.Sprintf("arg %d", d.IntN(100)))
	}
	for j := range d.IntN(3) {
		p.Env = append(p.Env, fmt.Sprintf("V%d=%d", j, d.IntN(100)))
	}
	p.NoNewPrivileges = one(2)
	if one(2) {
		m := []uint32{0, 0o022, 0o077, 0o027}[d.IntN(4)]
		p.User.Umask = &m
	}
	if one(2) {
		p.User.UID, p.User.GID = uint32(1+d.IntN(65000)), uint32(1+d.IntN(65000))
	}
	for range d.IntN(3) {
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(1+d.IntN(65000)))
	}
	p.Capabilities = drawCaps(d)
	if one(2) {
		p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: 64, Hard: uint64(64 + d.IntN(900))})
	}
	if one(3) {
		p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_CORE", Soft: 0, Hard: uint64(d.IntN(1 << 20))})
	}
	if one(3) {
		n := d.IntN(1000)
		p.OOMScoreAdj = &n
	}
	if fresh := r.Namespace(specs.UTSNamespace).Fresh(); fresh && one(2) {
		r.Spec.Hostname = fmt.Sprintf("host%d", d.IntN(100))
	}
	if r.Namespace(specs.NetworkNamespace).Fresh() && one(3) {
		l.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": fmt.Sprint(d.IntN(1024))}
	}
	b.drawMounts(d, r)
	if one(2) {
		l.Seccomp = drawSeccomp(d)
	}
	if !e.OCIRuntime() {
		b.suit(r, e)
	}
	return r
}

// drawFor makes request i for several engines: the same one for all. Other than
// Draw's it may have parts that some of them do not know.
func (b *Bench) drawFor(seed, i uint64, list []*engine.Foreign) *request.Request {
	narrow := &engine.Foreign{Name: "minijail"} // all sets alike, which bwrap can say too
	if !slices.ContainsFunc(list, func(e *engine.Foreign) bool { return !e.OCIRuntime() }) {
		narrow, _ = engine.ByName("runc")
	}
	r := b.Draw(seed, i, narrow)
	d := rand.New(rand.NewPCG(seed, ^i))
	p, l := r.Spec.Process, r.Spec.Linux
	for _, some := range []func(){
		func() {
			if r.Namespace(specs.UTSNamespace).Fresh() {
				r.Spec.Domainname = fmt.Sprintf("domain%d", d.IntN(100))
			}
		},
		func() { p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: int32(d.IntN(10))} },
		func() {
			p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: d.IntN(8)}
		},
		func() { l.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} },
		func() { l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0"} },
		func() { l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace}) },
		func() { p.Capabilities = nil },
		func() { l.RootfsPropagation = []string{"private", "slave", "shared"}[d.IntN(3)] },
	} {
		if d.IntN(12) == 0 {
			some()
		}
	}
	return r
}

func drawCaps(d *rand.Rand) *specs.LinuxCapabilities {
	sub := func(of []string) (out []string) {
		for _, c := range of {
			if d.IntN(2) == 0 {
				out = append(out, c)
			}
		}
		return out
	}
	c := &specs.LinuxCapabilities{Bounding: sub(someCaps)}
	c.Permitted = sub(c.Bounding)
	c.Effective = sub(c.Permitted)
	if d.IntN(2) == 0 {
		c.Inheritable = sub(c.Permitted)
		c.Ambient = sub(c.Inheritable)
	}
	return c
}

func (b *Bench) drawMounts(d *rand.Rand, r *request.Request) {
	l := r.Spec.Linux
	if r.Namespace(specs.PIDNamespace).Fresh() {
		for _, path := range []string{"/proc/keys", "/proc/timer_list", "/proc/kcore", "/proc/scsi"} {
			if d.IntN(2) == 0 {
				l.MaskedPaths = append(l.MaskedPaths, path)
			}
		}
		for _, path := range []string{"/proc/sys", "/proc/irq", "/proc/sysrq-trigger"} {
			if d.IntN(2) == 0 {
				l.ReadonlyPaths = append(l.ReadonlyPaths, path)
			}
		}
	}
	if d.IntN(2) == 0 {
		r.Spec.Mounts = append(r.Spec.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777", "size=65536"}})
		if d.IntN(2) == 0 {
			r.Spec.Process.Cwd = "/tmp"
		}
	}
	if d.IntN(3) == 0 {
		r.Spec.Mounts = append(r.Spec.Mounts, specs.Mount{Destination: "/mnt", Type: "bind", Source: filepath.Join(b.root, "etc"), Options: []string{"rbind", "ro"}})
	}
}

func drawSeccomp(d *rand.Rand) *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64}}
	for _, name := range []string{"keyctl", "add_key", "ptrace", "mount", "swapon", "reboot", "kexec_load"} {
		if d.IntN(2) == 0 {
			errno := uint(1 + d.IntN(40))
			s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &errno})
		}
	}
	return s
}

// suit asks an engine that is no OCI runtime for ids that it can give: our own.
// What else it has no words for is left out, and told.
func (b *Bench) suit(r *request.Request, e *engine.Foreign) {
	r.Ext.KeepIDs = true
	r.Spec.Process.User = specs.User{}
	c := r.Spec.Process.Capabilities
	switch e.Name { // how many sets it has words for
	case "firejail", "lxc-execute", "podman":
		*c = specs.LinuxCapabilities{Bounding: c.Bounding, Permitted: c.Bounding, Effective: c.Bounding}
	case "systemd-nspawn":
		*c = specs.LinuxCapabilities{Bounding: c.Bounding, Permitted: c.Bounding, Effective: c.Bounding, Inheritable: c.Bounding}
	case "minijail", "nsjail":
		*c = specs.LinuxCapabilities{Bounding: c.Bounding, Permitted: c.Bounding, Effective: c.Bounding, Inheritable: c.Bounding, Ambient: c.Bounding}
	default:
		c.Effective, c.Inheritable, c.Ambient = c.Permitted, c.Permitted, c.Permitted
	}
}
