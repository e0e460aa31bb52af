package harness

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Finding is one line of a [Diagnosis].
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what it gives, or why not and what to do
}

// Diagnosis is what this machine can do and show.
type Diagnosis struct {
	Kernel    string    `json:"kernel"`
	Arch      string    `json:"arch"`
	Who       string    `json:"who"`
	Hooks     []Finding `json:"hooks"`
	Launch    []Finding `json:"launch"`
	Kernels   []Finding `json:"features"`
	Unseen    []Finding `json:"unseen"` // fields of a posture that cannot be read here
	CanVerify bool      `json:"can_verify"`
}

// Examine finds out by trying.
func Examine(ctx context.Context) (*Diagnosis, error) {
	r, err := NewRunner(ctx, &RunnerOptions{Confirm: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d := &Diagnosis{Kernel: r.machine.release, Arch: runtime.GOARCH, Who: fmt.Sprintf("uid %d", os.Geteuid())}
	if os.Geteuid() == 0 {
		d.Who = "root"
	}
	live := map[string]bool{}
	for _, h := range r.Hooks() {
		f := Finding{Name: h.Name, OK: h.Live, Detail: h.Why}
		if h.Err != nil {
			f.Detail = h.Err.Error() + "; without it: no " + h.Why
		}
		switch {
		case h.Optional && h.Err == nil:
			f.Detail = "optional: " + h.Why
		case h.Optional:
			f.Detail = "optional: " + h.Err.Error()
		}
		live[h.Name] = h.Live
		d.Hooks = append(d.Hooks, f)
	}
	if r.ProbesErr != nil {
		d.Hooks = append(d.Hooks, Finding{Name: "eBPF", Detail: r.ProbesErr.Error()})
	}
	d.CanVerify = live["sched_process_fork"] && live["sched_process_exec"] && live["sys_exit"]
	d.launches(ctx, r)
	d.features(r)
	d.fields(ctx, r)
	return d, nil
}

// launches tries what a workload may ask for.
func (d *Diagnosis) launches(ctx context.Context, r *Runner) {
	try := func(name string, cfg checkpoint.Config) {
		cfg.Args = []string{"/proc/self/exe", "--version"}
		f := Finding{Name: name}
		w, err := r.launcher.Spawn(ctx, &cfg, nil)
		if err == nil {
			f.OK, f.Detail = true, "parked"
			err = w.Abort(ctx)
		}
		if err != nil {
			f.Detail = err.Error()
		}
		d.Launch = append(d.Launch, f)
	}
	try("a plain child", checkpoint.Config{})
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	own := checkpoint.Config{
		UIDMap: []checkpoint.IDMap{{Inside: 0, Outside: uid, Count: 1}}, GIDMap: []checkpoint.IDMap{{Inside: 0, Outside: gid, Count: 1}},
		DenySetgroups: true,
	}
	for _, k := range []checkpoint.NamespaceKind{checkpoint.User, checkpoint.Mnt, checkpoint.PID, checkpoint.Net, checkpoint.UTS, checkpoint.IPC, checkpoint.Cgroups, checkpoint.Time} {
		cfg := checkpoint.Config{}
		name := string(k) + " namespace"
		if k == checkpoint.User || uid != 0 {
			cfg = own
			cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: checkpoint.User})
		}
		if k != checkpoint.User {
			cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: k})
		}
		try(name, cfg)
	}
	if v2 := r.machine.host.CgroupV2; v2 != "" {
		try("birth into a cgroup", checkpoint.Config{Cgroup: checkpoint.Cgroup{V2: v2}})
	}
}

func (d *Diagnosis) features(r *Runner) {
	add := func(name string, ok bool, yes, no string) {
		f := Finding{Name: name, OK: ok, Detail: yes}
		if !ok {
			f.Detail = no
		}
		d.Kernels = append(d.Kernels, f)
	}
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	add("BTF", err == nil, "/sys/kernel/btf/vmlinux", "no type information: a kernel with CONFIG_DEBUG_INFO_BTF is needed to observe")
	h := r.machine.host
	add("cgroup v2", h.CgroupV2 != "", h.CgroupV2+": "+or(strings.Join(h.ControllersV2, " "), "no controllers"), "not mounted")
	add("cgroup v1", len(h.CgroupV1) > 0, fmt.Sprintf("%d controllers", len(h.CgroupV1)), "not mounted, and not needed")
	_, err = os.Stat("/proc/sys/kernel/seccomp/actions_avail")
	add("seccomp filters", err == nil, "", "CONFIG_SECCOMP_FILTER is off")
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	add("landlock", errno == 0, fmt.Sprintf("ABI %d", abi), "off or not built in")
	b, _ := os.ReadFile("/sys/kernel/security/lsm")
	add("LSMs", len(b) > 0, strings.TrimSpace(string(b)), "securityfs is not mounted, so they cannot be listed")
	add("capabilities", r.machine.allCaps != 0, fmt.Sprintf("%d known", len(capNumbers(r.machine.allCaps))), "")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func capNumbers(s posture.CapSet) (n []int) {
	for i := range 64 {
		if s&(1<<i) != 0 {
			n = append(n, i)
		}
	}
	return n
}

// fields launches a plain workload and lists what could not be read of it.
func (d *Diagnosis) fields(ctx context.Context, r *Runner) {
	if r.observer == nil {
		return
	}
	c, err := r.Run(ctx, request.New("/proc/self/exe"), nil)
	if err != nil {
		return
	}
	for i := range c.Checks {
		if k := &c.Checks[i]; k.Outcome == oracle.Unobservable && k.Field != oracle.ExecExe && k.Field != oracle.ExecExeNlink {
			d.Unseen = append(d.Unseen, Finding{Name: k.Name(), Detail: k.Why})
		}
	}
}
