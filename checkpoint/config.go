package checkpoint

import (
	"net/netip"
	"time"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
)

// Config is everything that is asked of one launch. It is plain data, so that
// it can be generated, stored, shrunk and replayed; its zero value isolates
// nothing and constrains nothing. What belongs to one run rather than to the
// request (open files, terminals, timeouts) is in [Options].
type Config struct {
	// Args is the argument vector; it must not be empty.
	Args []string `json:"args"`
	// Path is the program; empty means Args[0]. It is resolved inside the
	// new root. Without SearchPath it is passed to execve(2) as it is.
	Path string `json:"path,omitempty"`
	// SearchPath looks a Path without a slash up in the PATH of Env, as
	// execvp(3) does, inside the workload's own root.
	SearchPath bool `json:"search_path,omitempty"`
	// Env is the whole environment. Nothing is inherited.
	Env []string `json:"env,omitempty"`
	// Cwd is the working directory, inside the new root; empty keeps the
	// agent's ("/" after a change of root).
	Cwd string `json:"cwd,omitempty"`

	// Namespaces are made anew or joined. At most one of each kind.
	Namespaces []Namespace `json:"namespaces,omitempty"`
	// UIDMap and GIDMap need a new user namespace.
	UIDMap []IDMap `json:"uid_map,omitempty"`
	GIDMap []IDMap `json:"gid_map,omitempty"`
	// DenySetgroups writes "deny" to /proc/PID/setgroups before the gid
	// map, which an unprivileged writer must do. See user_namespaces(7).
	DenySetgroups bool `json:"deny_setgroups,omitempty"`
	// MapHelper writes the maps through newuidmap(1) and newgidmap(1), for
	// callers without CAP_SETUID over the parent namespace.
	MapHelper bool `json:"map_helper,omitempty"`
	// TimeOffsets need a new time namespace.
	TimeOffsets TimeOffsets `json:"time_offsets,omitzero"`
	// Enter takes what is not asked for here from a running process.
	Enter *Enter `json:"enter,omitempty"`
	// Init gives a new pid namespace a process 1 of its own, which reaps
	// orphans and passes signals on; the workload is process 2. The init has
	// no privilege but that to signal the workload, and counts in limits on
	// the number of processes. When the workload ends, so does all that is
	// in the namespace, before the end is told.
	Init bool `json:"init,omitempty"`
	// Hostname and Domainname need a uts namespace of one's own.
	Hostname   Option[string] `json:"hostname,omitzero"`
	Domainname Option[string] `json:"domainname,omitzero"`

	// Cgroup places the workload into cgroups.
	Cgroup Cgroup `json:"cgroup,omitzero"`
	// Network is set up inside the workload's network namespace.
	Network Network `json:"network,omitzero"`
	// Root and Mounts need a mount namespace of one's own.
	Root   Root    `json:"root,omitzero"`
	Mounts []Mount `json:"mounts,omitempty"`
	// Devices are made after the mounts, then Symlinks; with Console the
	// terminal of [Options] is attached to /dev/console.
	Devices  []Device  `json:"devices,omitempty"`
	Symlinks []Symlink `json:"symlinks,omitempty"`
	Console  bool      `json:"console,omitempty"`
	// ReadOnlyPaths become read-only, with all that is mounted below, and
	// MaskedPaths cannot be read: files are the null device and directories
	// empty. Paths that are not there are left out.
	ReadOnlyPaths []string `json:"read_only_paths,omitempty"`
	MaskedPaths   []string `json:"masked_paths,omitempty"`
	// Propagation of all mounts of a new mount namespace: "private" (the
	// default), "slave", "shared" or "unbindable". See
	// mount_namespaces(7).
	Propagation string `json:"propagation,omitempty"`
	// Sysctls are written inside the new namespaces, keys in dotted or
	// slashed form.
	Sysctls map[string]string `json:"sysctls,omitempty"`

	Rlimits     []Rlimit       `json:"rlimits,omitempty"`
	OOMScoreAdj Option[int]    `json:"oom_score_adj,omitzero"` // -1000 to 1000
	Nice        Option[int]    `json:"nice,omitzero"`          // -20 to 19
	Affinity    []int          `json:"affinity,omitempty"`     // CPU numbers; empty keeps the agent's
	IOPrio      Option[IOPrio] `json:"ioprio,omitzero"`
	Scheduler   Option[Sched]  `json:"scheduler,omitzero"`
	TimerSlack  Option[uint64] `json:"timer_slack_ns,omitzero"` // nanoseconds, 0 restores the default
	// Uclamp, AutogroupNice, CoreSched, IOFlusher and Memory are described
	// where their types or their steps are.
	Uclamp        Uclamp         `json:"uclamp,omitzero"`
	AutogroupNice Option[int]    `json:"autogroup_nice,omitzero"` // -20 to 19; needs a new session
	CoreSched     bool           `json:"core_sched,omitempty"`    // a core scheduling cookie of its own
	IOFlusher     bool           `json:"io_flusher,omitempty"`    // PR_SET_IO_FLUSHER
	Memory        Memory         `json:"memory,omitzero"`
	Umask         Option[uint32] `json:"umask,omitzero"`
	Personality   Option[uint32] `json:"personality,omitzero"`
	// Session makes the workload the leader of a new session.
	Session bool `json:"session,omitempty"`
	// ProcessGroup makes the workload the leader of a new process group in
	// the session that it is in; with Session or a terminal it is one anyway.
	ProcessGroup bool `json:"process_group,omitempty"`
	// Subreaper makes orphans below the workload its children.
	Subreaper bool `json:"subreaper,omitempty"`
	// NewKeyring gives the workload a session keyring of its own.
	NewKeyring bool `json:"new_keyring,omitempty"`
	// Keyring says more about that keyring; a name is enough to get one.
	Keyring Keyring `json:"keyring,omitzero"`
	// IgnoreSignals are ignored from the first instruction; every other
	// signal has its default disposition.
	IgnoreSignals []int `json:"ignore_signals,omitempty"`
	// BlockSignals are blocked from the first instruction; no other is.
	BlockSignals []int `json:"block_signals,omitempty"`

	// UID, GID and Groups are ids inside the workload's user namespace.
	UID    Option[uint32]   `json:"uid,omitzero"`
	GID    Option[uint32]   `json:"gid,omitzero"`
	Groups Option[[]uint32] `json:"groups,omitzero"`

	Capabilities Capabilities   `json:"capabilities,omitzero"`
	Securebits   Option[uint32] `json:"securebits,omitzero"`
	NoNewPrivs   bool           `json:"no_new_privs,omitempty"`
	// Pdeathsig is the signal that the workload gets when the agent dies.
	// The kernel clears it when execve changes credentials; see prctl(2).
	Pdeathsig Option[int] `json:"pdeathsig,omitzero"`
	// Landlock is enforced after no_new_privs and before Seccomp.
	Landlock *landlock.Policy `json:"landlock,omitempty"`
	// Speculation restrains how the processor speculates for the workload.
	Speculation Speculation `json:"speculation,omitzero"`
	// PTracer is the process that Yama lets trace the workload besides its
	// ancestors: a pid in the workload's pid namespace, or AnyTracer.
	PTracer Option[int] `json:"ptracer,omitzero"`
	// LSM are the labels of security modules that execve switches to.
	LSM LSM `json:"lsm,omitzero"`
	// Filters are loaded before Seccomp, in this order, each on top of the
	// last; they must let seccomp(2) and execve(2) pass. The strictest of
	// all filters decides on a call.
	Filters []*seccomp.Policy `json:"filters,omitempty"`
	// Seccomp is loaded last, directly before execve. A filter with a rule
	// to notify needs [Options].Notify, and at most one filter may have one.
	Seccomp *seccomp.Policy `json:"seccomp,omitempty"`
}

// NamespaceKind names a kind of namespace as /proc/PID/ns does.
type NamespaceKind string

// The eight kinds of namespaces(7).
const (
	User    NamespaceKind = "user"
	Mnt     NamespaceKind = "mnt"
	PID     NamespaceKind = "pid"
	Net     NamespaceKind = "net"
	UTS     NamespaceKind = "uts"
	IPC     NamespaceKind = "ipc"
	Cgroups NamespaceKind = "cgroup"
	Time    NamespaceKind = "time"
)

// Namespace is a namespace of the workload: new if neither Path nor PID is
// set, else joined.
type Namespace struct {
	Kind NamespaceKind `json:"kind"`
	Path string        `json:"path,omitempty"` // a file as /proc/PID/ns/net or a bind mount of one
	PID  int           `json:"pid,omitempty"`  // a process whose namespace is joined
}

// IDMap is one line of an id map: Count ids from Inside on are Outside and the
// following in the parent namespace.
type IDMap struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Count   uint32 `json:"count"`
}

// TimeOffsets are added to the clocks of a new time namespace.
type TimeOffsets struct {
	Monotonic time.Duration `json:"monotonic,omitempty"`
	Boottime  time.Duration `json:"boottime,omitempty"`
}

// Network is what the workload finds in its network namespace.
type Network struct {
	// LoopbackUp sets lo up.
	LoopbackUp bool    `json:"loopback_up,omitempty"`
	Links      []Link  `json:"links,omitempty"`
	Routes     []Route `json:"routes,omitempty"`
	// Neighbours are permanent entries of arp(7) and its like for IPv6.
	Neighbours []Neighbour `json:"neighbours,omitempty"`
	// Rules choose the routing table, see ip-rule(8).
	Rules []RoutingRule `json:"rules,omitempty"`
	// Nftables are packet filters.
	Nftables []NFTable `json:"nftables,omitempty"`
}

// LinkKind is the kind of a network device that is made for the workload.
type LinkKind string

// The kinds of links: those that are made, and an existing device of the host
// that is moved (and comes back when the namespace ends, if it is physical).
const (
	Veth      LinkKind = "veth"
	Dummy     LinkKind = "dummy"
	Move      LinkKind = "move"
	Bridge    LinkKind = "bridge"
	Macvlan   LinkKind = "macvlan"
	IPvlan    LinkKind = "ipvlan"
	VLAN      LinkKind = "vlan"
	Wireguard LinkKind = "wireguard"
)

// Link is one network device inside the workload's namespace.
type Link struct {
	Kind LinkKind `json:"kind"`
	// Name inside the namespace.
	Name string `json:"name"`
	// Host is the device's name on the host: the peer of a veth pair, or
	// the device to move.
	Host      string         `json:"host,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// HostAddresses are given to the host's end of a veth pair.
	HostAddresses []netip.Prefix `json:"host_addresses,omitempty"`
	MTU           int            `json:"mtu,omitempty"`
	Down          bool           `json:"down,omitempty"` // leave it down
	WireGuard     *WireGuard     `json:"wireguard,omitempty"`

	LinkAttributes
}

// Route is one route inside the namespace. A zero Destination is the default
// route.
type Route struct {
	Destination netip.Prefix `json:"destination,omitzero"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Link        string       `json:"link,omitempty"`
	Table       int          `json:"table,omitempty"`  // 0 is the main table
	Metric      int          `json:"metric,omitempty"` // the lowest wins
}

// Root is the directory that becomes the workload's root by pivot_root(2).
type Root struct {
	Path     string `json:"path,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Mount is one mount, its target below the new root: a path that is resolved
// inside the root, links in it included, and made where it is missing. Options
// are words as mount(8) and the OCI runtime-spec have them ("ro", "nosuid",
// "rbind", "rro", "rslave", "idmap", "tmpcopyup", …); what is none of those goes
// to the file system.
//
// "shared" and "slave" of a bind mount are with regard to the caller's mount,
// and of an rbind they hold for all of it. "remount" changes what it names and
// leaves the other attributes as they are.
//
// Attributes of the mounts below ("rro", …) and "idmap" need Linux 5.12.
type Mount struct {
	Source  string   `json:"source,omitempty"`
	Target  string   `json:"target"`
	Type    string   `json:"type,omitempty"`
	Options []string `json:"options,omitempty"`
	// UIDMap and GIDMap map the owners of the files of a bind mount: Inside
	// is the id in the file system, Outside what it appears as, in the
	// caller's user namespace. With "idmap" alone the workload's are used.
	UIDMap []IDMap `json:"uid_map,omitempty"`
	GIDMap []IDMap `json:"gid_map,omitempty"`
}

// Device is a device node. In a user namespace, where none can be made, the
// host's node of the same path is attached there, whose owner and mode stay.
type Device struct {
	Path  string `json:"path"`
	Type  string `json:"type"` // "c", "b" or "p", as in mknod(1)
	Major uint32 `json:"major,omitempty"`
	Minor uint32 `json:"minor,omitempty"`
	Mode  uint32 `json:"mode"` // permission bits
	UID   uint32 `json:"uid,omitempty"`
	GID   uint32 `json:"gid,omitempty"`
}

// Symlink is a symbolic link at Path to Target.
type Symlink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Rlimit is one resource limit. Resource is a name as in setrlimit(2)
// ("RLIMIT_NOFILE"); Infinity is the largest uint64.
type Rlimit struct {
	Resource string `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// CapSet is a set of capabilities, bit n being capability number n.
type CapSet uint64

// Capabilities are the five sets of capabilities(7). A set that is not given
// is left as it is.
type Capabilities struct {
	Bounding    Option[CapSet] `json:"bounding,omitzero"`
	Permitted   Option[CapSet] `json:"permitted,omitzero"`
	Effective   Option[CapSet] `json:"effective,omitzero"`
	Inheritable Option[CapSet] `json:"inheritable,omitzero"`
	Ambient     Option[CapSet] `json:"ambient,omitzero"`
}
