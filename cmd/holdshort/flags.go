package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// requestFlags describe a request on the command line.
type requestFlags struct {
	NS       []string `help:"New namespaces: user,mnt,pid,net,uts,ipc,cgroup,time." placeholder:"KINDS" group:"Namespaces"`
	Join     []string `help:"Join a namespace: kind=PATH or kind=PID." placeholder:"KIND=TARGET" sep:"none" group:"Namespaces"`
	UIDMap   []string `name:"uid-map" help:"Id map inside:outside:count (default with a new user namespace: 0:your id:1, or 0:100000:65536 for root)." placeholder:"MAP" sep:"none" group:"Namespaces"`
	GIDMap   []string `name:"gid-map" help:"As --uid-map, for groups (default: the same)." placeholder:"MAP" sep:"none" group:"Namespaces"`
	MapTool  bool     `name:"map-helper" help:"Write the maps with newuidmap and newgidmap." group:"Namespaces"`
	Hostname string   `help:"Host name (needs uts)." placeholder:"NAME" group:"Namespaces"`
	Domain   string   `name:"domainname" help:"NIS domain name (needs uts)." placeholder:"NAME" group:"Namespaces"`
	Boottime string   `help:"Offset of the boot-time clock in seconds (needs time)." placeholder:"SECONDS" group:"Namespaces"`

	CapDrop    []string `help:"Drop capabilities from every set; ALL for all." placeholder:"CAPS" group:"Privilege"`
	CapAdd     []string `help:"Keep these when --cap-drop ALL is given." placeholder:"CAPS" group:"Privilege"`
	CapAmbient []string `help:"Raise these as ambient; they must be kept." placeholder:"CAPS" group:"Privilege"`
	Securebits string   `help:"Securebits: a number, or names as noroot,noroot_locked; see capabilities(7)." placeholder:"BITS" group:"Privilege"`
	NNP        bool     `name:"no-new-privs" help:"Set no_new_privs." group:"Privilege"`
	Landlock   []string `help:"Forbid all that Landlock can of files, ports or scopes, but for: ro:PATH, rw:PATH, bind:PORT, connect:PORT; net allows no port, scoped is about signals and abstract sockets." placeholder:"RULE" sep:"none" group:"Privilege"`
	Seccomp    string   `help:"Seccomp profile: a file as in OCI linux.seccomp, or \"default\" for the built-in one." placeholder:"FILE" group:"Privilege"`
	User       string   `help:"uid[:gid[:group,group…]] inside the workload's user namespace." placeholder:"IDS" group:"Privilege"`

	Cgroup      string   `help:"Cgroup v2 directory to be born in; made and removed if missing." placeholder:"DIR" group:"Resources"`
	CgroupV1    []string `name:"cgroup-v1" help:"Version 1 cgroup: controller=DIR." placeholder:"CTRL=DIR" sep:"none" group:"Resources"`
	CgroupLimit []string `help:"Limit, before the workload starts: [controller/]file=value." placeholder:"FILE=VALUE" sep:"none" group:"Resources"`
	Rlimit      []string `help:"Resource limit NAME=soft[:hard], as nofile=64:128; \"unlimited\" is one." placeholder:"LIMIT" sep:"none" group:"Resources"`
	OOM         string   `name:"oom-score-adj" help:"-1000 to 1000." placeholder:"N" group:"Resources"`
	Nice        string   `help:"-20 to 19." placeholder:"N" group:"Resources"`
	CPUs        string   `name:"cpus" help:"CPUs to run on, as 0,2-3." placeholder:"LIST" group:"Resources"`

	Root     string   `help:"Directory that becomes the root by pivot_root (needs mnt)." placeholder:"DIR" group:"Files"`
	ReadOnly bool     `help:"Make the root read-only." group:"Files"`
	Mount    []string `help:"Mount type:source:target[:options], or bind:source:target[:options]." placeholder:"MOUNT" sep:"none" group:"Files"`
	Proc     bool     `help:"Mount a new /proc." group:"Files"`
	Cwd      string   `help:"Working directory." placeholder:"DIR" group:"Files"`
	Umask    string   `help:"Octal." placeholder:"MASK" group:"Files"`

	Loopback bool     `help:"Bring lo up (needs net)." group:"Network"`
	Veth     []string `help:"Pair of devices: name:host-name[:address/len[:host-address/len]]." placeholder:"LINK" sep:"none" group:"Network"`
	Route    []string `help:"Route destination/len,gateway or default,gateway." placeholder:"ROUTE" sep:"none" group:"Network"`
	Sysctl   []string `help:"key=value, set inside the new namespaces." placeholder:"KEY=VALUE" sep:"none" group:"Network"`

	Env     []string `short:"e" help:"KEY=VALUE, or KEY to pass your own value. Nothing else is passed." placeholder:"VAR" sep:"none" group:"Process"`
	Session bool     `help:"Make the workload a session leader." group:"Process"`
	Keyring bool     `help:"Give it a session keyring of its own." group:"Process"`

	identityFlags `group:""`
}

// split cuts s at sep into at least least and at most most parts.
func split(flag, s, sep string, least, most int) ([]string, error) {
	p := strings.SplitN(s, sep, most)
	if len(p) < least {
		return nil, fmt.Errorf("--%s %q: want at least %d parts separated by %q", flag, s, least, sep)
	}
	return append(p, make([]string, most-len(p))...), nil
}

func number[T ~int | ~uint32 | ~uint64 | ~int64](flag, s string, base int) (T, error) {
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil || int64(T(n)) != n || n < 0 && T(0)-1 > 0 {
		return 0, fmt.Errorf("--%s %q is not a number that fits", flag, s)
	}
	return T(n), nil
}

// request builds the request that the flags describe.
func (f *requestFlags) request(args []string) (*request.Request, error) {
	r := request.New(args...)
	if r.Spec.Process == nil {
		r.Spec.Process = &specs.Process{Args: args}
	}
	if r.Spec.Linux == nil {
		r.Spec.Linux = &specs.Linux{}
	}
	r.Ext.SearchPath = true
	for _, step := range []func(*request.Request) error{f.namespaces, f.privilege, f.resources, f.files, f.network, f.process, f.identity} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var nsType = map[string]specs.LinuxNamespaceType{
	"user": specs.UserNamespace, "mnt": specs.MountNamespace, "mount": specs.MountNamespace, "pid": specs.PIDNamespace,
	"net": specs.NetworkNamespace, "network": specs.NetworkNamespace, "uts": specs.UTSNamespace, "ipc": specs.IPCNamespace,
	"cgroup": specs.CgroupNamespace, "time": specs.TimeNamespace,
}

func (f *requestFlags) namespaces(r *request.Request) error {
	l := r.Spec.Linux
	user := false
	for _, k := range f.NS {
		t, ok := nsType[k]
		if !ok {
			return fmt.Errorf("--ns %q: the kinds are user,mnt,pid,net,uts,ipc,cgroup,time", k)
		}
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: t})
		user = user || t == specs.UserNamespace
	}
	for _, j := range f.Join {
		p, err := split("join", j, "=", 2, 2)
		if err != nil {
			return err
		}
		t, ok := nsType[p[0]]
		if !ok {
			return fmt.Errorf("--join %q: unknown kind", j)
		}
		if pid, err := strconv.Atoi(p[1]); err == nil {
			r.Ext.Namespaces = append(r.Ext.Namespaces, request.JoinedNamespace{Type: t, PID: pid})
		} else {
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: t, Path: p[1]})
		}
	}
	if user {
		rootless := os.Geteuid() != 0
		uids, gids := f.UIDMap, f.GIDMap
		if len(uids) == 0 {
			uids = []string{"0:100000:65536"}
			if rootless {
				uids = []string{fmt.Sprintf("0:%d:1", os.Geteuid())}
				gids = []string{fmt.Sprintf("0:%d:1", os.Getegid())}
			}
		}
		if len(gids) == 0 {
			gids = uids
		}
		var err error
		if l.UIDMappings, err = idMap("uid-map", uids); err != nil {
			return err
		}
		if l.GIDMappings, err = idMap("gid-map", gids); err != nil {
			return err
		}
		r.Ext.MapHelper = f.MapTool
		r.Ext.DenySetgroups = rootless && !f.MapTool
	}
	r.Spec.Hostname, r.Spec.Domainname = f.Hostname, f.Domain
	if f.Boottime != "" {
		n, err := number[int64]("boottime", f.Boottime, 10)
		if err != nil {
			return err
		}
		l.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: n}}
	}
	return nil
}

func idMap(flag string, lines []string) ([]specs.LinuxIDMapping, error) {
	var m []specs.LinuxIDMapping
	for _, s := range lines {
		p, err := split(flag, s, ":", 3, 3)
		if err != nil {
			return nil, err
		}
		var n [3]uint32
		for i := range n {
			if n[i], err = number[uint32](flag, p[i], 10); err != nil {
				return nil, err
			}
		}
		m = append(m, specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return m, nil
}

func (f *requestFlags) privilege(r *request.Request) error {
	p := r.Spec.Process
	p.NoNewPrivileges = f.NNP
	if len(f.CapDrop)+len(f.CapAdd)+len(f.CapAmbient) > 0 {
		drop, err := checkpoint.ParseCapSet(f.CapDrop...)
		if err != nil {
			return fmt.Errorf("--cap-drop: %w", err)
		}
		add, err := checkpoint.ParseCapSet(f.CapAdd...)
		if err != nil {
			return fmt.Errorf("--cap-add: %w", err)
		}
		ambient, err := checkpoint.ParseCapSet(f.CapAmbient...)
		if err != nil {
			return fmt.Errorf("--cap-ambient: %w", err)
		}
		have, err := ownCaps(len(r.Spec.Linux.UIDMappings) > 0)
		if err != nil {
			return err
		}
		keep := have&^drop | add
		names := keep.Names()
		p.Capabilities = &specs.LinuxCapabilities{
			Bounding: names, Permitted: names, Effective: names,
			Inheritable: ambient.Names(), Ambient: ambient.Names(),
		}
	}
	if f.Securebits != "" {
		n, err := securebits(f.Securebits)
		if err != nil {
			return err
		}
		r.Ext.Securebits = &n
	}
	if len(f.Landlock) > 0 {
		p, err := landlockPolicy(f.Landlock, f.Root)
		if err != nil {
			return err
		}
		r.Ext.Landlock = p
	}
	if f.Seccomp != "" {
		s, err := profile(f.Seccomp)
		if err != nil {
			return err
		}
		r.Spec.Linux.Seccomp = s
	}
	return f.ids(r)
}

// ownCaps are the capabilities that the workload starts with: ours, or all of
// the kernel's in a new user namespace.
func ownCaps(userNS bool) (checkpoint.CapSet, error) {
	if userNS {
		return checkpoint.ParseCapSet("ALL")
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return 0, fmt.Errorf("capget: %w", err)
	}
	return checkpoint.CapSet(d[0].Permitted) | checkpoint.CapSet(d[1].Permitted)<<32, nil
}

func (f *requestFlags) ids(r *request.Request) error {
	if f.User == "" {
		// In a new user namespace the workload is 0 there; elsewhere it stays who we are.
		r.Ext.KeepIDs = len(r.Spec.Linux.UIDMappings) == 0
		return nil
	}
	p, err := split("user", f.User, ":", 1, 3)
	if err != nil {
		return err
	}
	r.Ext.KeepIDs = false
	u := &r.Spec.Process.User
	if u.UID, err = number[uint32]("user", p[0], 10); err != nil {
		return err
	}
	u.GID = u.UID
	if p[1] != "" {
		if u.GID, err = number[uint32]("user", p[1], 10); err != nil {
			return err
		}
	}
	if p[2] != "" {
		for g := range strings.SplitSeq(p[2], ",") {
			n, err := number[uint32]("user", g, 10)
			if err != nil {
				return err
			}
			u.AdditionalGids = append(u.AdditionalGids, n)
		}
	}
	return nil
}

func (f *requestFlags) resources(r *request.Request) error {
	if f.Cgroup != "" || len(f.CgroupV1) > 0 {
		r.Ext.Cgroup.V2, r.Ext.Cgroup.Create = f.Cgroup, true
		for _, s := range f.CgroupV1 {
			p, err := split("cgroup-v1", s, "=", 2, 2)
			if err != nil {
				return err
			}
			if r.Ext.Cgroup.V1 == nil {
				r.Ext.Cgroup.V1 = map[string]string{}
			}
			r.Ext.Cgroup.V1[p[0]] = p[1]
		}
	}
	for _, s := range f.CgroupLimit {
		p, err := split("cgroup-limit", s, "=", 2, 2)
		if err != nil {
			return err
		}
		limit := request.CgroupLimit{File: p[0], Value: p[1]}
		if c, file, ok := strings.Cut(p[0], "/"); ok {
			limit.Controller, limit.File = c, file
		}
		r.Ext.Cgroup.Limits = append(r.Ext.Cgroup.Limits, limit)
	}
	for _, s := range f.Rlimit {
		l, err := rlimit(s)
		if err != nil {
			return err
		}
		r.Spec.Process.Rlimits = append(r.Spec.Process.Rlimits, l)
	}
	if f.OOM != "" {
		n, err := number[int]("oom-score-adj", f.OOM, 10)
		if err != nil {
			return err
		}
		r.Spec.Process.OOMScoreAdj = &n
	}
	if f.Nice != "" {
		n, err := number[int]("nice", f.Nice, 10)
		if err != nil {
			return err
		}
		r.Ext.Nice = &n
	}
	if f.CPUs != "" {
		mask, err := request.CPUList(f.CPUs)
		if err != nil {
			return fmt.Errorf("--cpus: %w", err)
		}
		for i, w := range mask {
			for b := range 64 {
				if w&(1<<b) != 0 {
					r.Ext.Affinity = append(r.Ext.Affinity, 64*i+b)
				}
			}
		}
	}
	return nil
}

func rlimit(s string) (specs.POSIXRlimit, error) {
	p, err := split("rlimit", s, "=", 2, 2)
	if err != nil {
		return specs.POSIXRlimit{}, err
	}
	l := specs.POSIXRlimit{Type: "RLIMIT_" + strings.TrimPrefix(strings.ToUpper(p[0]), "RLIMIT_")}
	soft, hard, ok := strings.Cut(p[1], ":")
	if !ok {
		hard = soft
	}
	for _, v := range []struct {
		to   *uint64
		text string
	}{{&l.Soft, soft}, {&l.Hard, hard}} {
		if v.text == "unlimited" {
			*v.to = checkpoint.Infinity
		} else if *v.to, err = strconv.ParseUint(v.text, 10, 64); err != nil {
			return l, fmt.Errorf("--rlimit %q: %w", s, err)
		}
	}
	return l, nil
}

func (f *requestFlags) files(r *request.Request) error {
	if f.Root != "" {
		r.Spec.Root = &specs.Root{Path: f.Root, Readonly: f.ReadOnly}
	}
	if f.Proc {
		r.Spec.Mounts = append(r.Spec.Mounts, specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}})
	}
	for _, s := range f.Mount {
		p, err := split("mount", s, ":", 3, 4)
		if err != nil {
			return err
		}
		m := specs.Mount{Type: p[0], Source: p[1], Destination: p[2]}
		if p[3] != "" {
			m.Options = strings.Split(p[3], ",")
		}
		if p[0] == "bind" {
			m.Options = append(m.Options, "rbind")
		}
		r.Spec.Mounts = append(r.Spec.Mounts, m)
	}
	r.Spec.Process.Cwd = f.Cwd
	if f.Umask != "" {
		n, err := number[uint32]("umask", f.Umask, 8)
		if err != nil {
			return err
		}
		r.Spec.Process.User.Umask = &n
	}
	return nil
}

func (f *requestFlags) network(r *request.Request) error {
	n := &r.Ext.Network
	n.LoopbackUp = f.Loopback
	for _, s := range f.Veth {
		p, err := split("veth", s, ":", 2, 4)
		if err != nil {
			return err
		}
		l := request.Link{Kind: "veth", Name: p[0], Host: p[1]}
		for i, to := range []*[]netip.Prefix{&l.Addresses, &l.HostAddresses} {
			if p[2+i] != "" {
				a, err := netip.ParsePrefix(p[2+i])
				if err != nil {
					return fmt.Errorf("--veth %q: %w", s, err)
				}
				*to = append(*to, a)
			}
		}
		n.Links = append(n.Links, l)
	}
	for _, s := range f.Route {
		p, err := split("route", s, ",", 2, 2)
		if err != nil {
			return err
		}
		var route request.Route
		if p[0] != "default" {
			if route.Destination, err = netip.ParsePrefix(p[0]); err != nil {
				return fmt.Errorf("--route %q: %w", s, err)
			}
		}
		if route.Gateway, err = netip.ParseAddr(p[1]); err != nil {
			return fmt.Errorf("--route %q: %w", s, err)
		}
		n.Routes = append(n.Routes, route)
	}
	for _, s := range f.Sysctl {
		p, err := split("sysctl", s, "=", 2, 2)
		if err != nil {
			return err
		}
		if r.Spec.Linux.Sysctl == nil {
			r.Spec.Linux.Sysctl = map[string]string{}
		}
		r.Spec.Linux.Sysctl[p[0]] = p[1]
	}
	return nil
}

func (f *requestFlags) process(r *request.Request) error {
	for _, e := range f.Env {
		if !strings.Contains(e, "=") {
			v, ok := os.LookupEnv(e)
			if !ok {
				continue
			}
			e += "=" + v
		}
		r.Spec.Process.Env = append(r.Spec.Process.Env, e)
	}
	r.Ext.Session, r.Ext.NewKeyring = f.Session, f.Keyring
	return nil
}
