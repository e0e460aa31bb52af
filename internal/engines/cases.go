package engines

import (
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// dirtyCaller is an engine's caller with state that nobody asked for. The engine
// is "$@".
const dirtyCaller = `umask 007
trap '' HUP PIPE USR1
exec 7</etc/passwd 8</
echo 300 >/proc/self/oom_score_adj
echo 0x7f >/proc/self/coredump_filter
export SECRET=1
exec setarch -R nice -n 5 taskset -c 0 "$@"`

// oneCase is a fixed request, and what is known to be found.
type oneCase struct {
	name         string
	ask          func(*request.Request)
	dirty, clean bool
	mustRun      bool
	want         map[string][]string // of Debian 12's versions, by engine
}

func oci(want ...string) map[string][]string {
	return map[string][]string{"runc": want, "crun": want}
}

func cases() []oneCase {
	linux := func(f func(*specs.Linux)) func(*request.Request) {
		return func(r *request.Request) { f(r.Spec.Linux) }
	}
	process := func(f func(*specs.Process)) func(*request.Request) {
		return func(r *request.Request) { f(r.Spec.Process) }
	}
	return []oneCase{
		{name: "nothing special", ask: func(*request.Request) {}, mustRun: true},
		{name: "dirty caller", ask: func(*request.Request) {}, dirty: true, mustRun: true, want: map[string][]string{
			"runc":    {"fs.umask leaked"},
			"crun":    {"fs.umask leaked"},
			"bwrap":   {"files inherited", "signals.ignored inherited"},
			"unshare": {"files inherited", "signals.ignored inherited"},

			"firejail":       {"signals.ignored inherited", "exec.env weaker"},
			"systemd-nspawn": {"fs.umask leaked"},
			"lxc-execute":    {"files inherited"},
			"minijail":       {"files inherited", "signals.ignored inherited", "exec.env inherited"},
			"nsjail":         {"signals.ignored inherited"},
			"podman":         {"fs.umask leaked", "oom.score_adj leaked"},
		}},
		{name: "dirty caller, --clean", ask: func(*request.Request) {}, dirty: true, clean: true, mustRun: true, want: map[string][]string{
			"runc":    {"sched.nice inherited", "oom.score_adj inherited", "memory.coredump_filter inherited", "privilege.personality inherited"},
			"crun":    {"sched.nice inherited", "oom.score_adj inherited", "memory.coredump_filter inherited", "privilege.personality inherited"},
			"bwrap":   {"sched.nice inherited", "oom.score_adj inherited", "memory.coredump_filter inherited", "fs.umask inherited"},
			"unshare": {"sched.nice inherited", "oom.score_adj inherited", "memory.coredump_filter inherited", "privilege.personality inherited", "fs.umask inherited"},
		}},
		{name: "domainname", ask: func(r *request.Request) { r.Spec.Domainname = "example" }, want: map[string][]string{"runc": {"uts.domainname ignored"}}},
		{name: "scheduler", ask: process(func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3} }), want: oci("sched.policy ignored", "sched.nice ignored")},
		{name: "I/O priority", ask: process(func(p *specs.Process) {
			p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 7}
		}), want: oci("sched.ioprio ignored")},
		{name: "personality", ask: linux(func(l *specs.Linux) { l.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }), want: map[string][]string{"runc": {"privilege.personality ignored"}}},
		{name: "memory policy", ask: linux(func(l *specs.Linux) {
			l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0"}
		}), want: oci("memory.policy ignored")},
		{name: "time namespace", ask: linux(func(l *specs.Linux) {
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		})},
		{name: "no capabilities object", ask: process(func(p *specs.Process) { p.Capabilities = nil }), mustRun: true},
		{name: "ambient, not inheritable", ask: process(func(p *specs.Process) {
			p.User.UID, p.User.GID = 1000, 1000
			kill := []string{"CAP_KILL"}
			p.Capabilities = &specs.LinuxCapabilities{Bounding: kill, Permitted: kill, Effective: kill, Ambient: kill}
		})},
		{name: "a call that nobody knows, in seccomp", ask: linux(func(l *specs.Linux) {
			l.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64}, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"keyctl", "no_such_call"}, Action: specs.ActErrno},
			}}
		})},
	}
}

// Base is a small request that every engine can fulfil.
func (b *Bench) Base() *request.Request {
	umask := (*uint32)(nil)
	none := &specs.LinuxCapabilities{}
	r := &request.Request{Spec: &specs.Spec{
		Version: "1.0.2", Root: &specs.Root{Path: b.root},
		Process: &specs.Process{
			Args: []string{"/bin/true"}, Env: []string{"PATH=/bin", "HOME=/"}, Cwd: "/", User: specs.User{Umask: umask}, Capabilities: none,
		},
		Mounts: []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}}},
		Linux:  &specs.Linux{},
	}}
	for _, k := range []specs.LinuxNamespaceType{specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.NetworkNamespace} {
		r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: k})
	}
	return r
}
