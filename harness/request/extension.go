package request

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Extension is the object under the key "holdshort". Its zero value adds
// nothing to the OCI part. As in the OCI schema, a pointer is a setting that
// may be absent.
type Extension struct {
	// Path is the program if it is not args[0].
	Path string `json:"path,omitempty"`
	// SearchPath looks the program up in the PATH of process.env, as is done
	// with an args[0] without a slash anyway.
	SearchPath bool `json:"searchPath,omitempty"`
	// Program is executed by descriptor instead of by name.
	Program *Program `json:"program,omitempty"`
	// KeepIDs leaves user, group and supplementary groups as the launcher
	// has them; process.user is then not looked at, but for its umask.
	KeepIDs bool `json:"keepIDs,omitempty"`

	// Namespaces are joined by process id; linux.namespaces can name a path.
	Namespaces []JoinedNamespace `json:"namespaces,omitempty"`
	// Enter takes what is not asked for from a running process.
	Enter *Enter `json:"enter,omitempty"`
	// Init gives a new pid namespace a process 1 of its own, which reaps; the
	// workload is process 2.
	Init bool `json:"init,omitempty"`
	// DenySetgroups has "deny" written before the gid map, see
	// user_namespaces(7).
	DenySetgroups bool `json:"denySetgroups,omitempty"`
	// MapHelper writes the maps with newuidmap(1) and newgidmap(1).
	MapHelper bool `json:"mapHelper,omitempty"`

	Cgroup  Cgroup  `json:"cgroup,omitzero"`
	Network Network `json:"network,omitzero"`

	// Securebits are the bits of prctl(2) PR_SET_SECUREBITS.
	Securebits *uint32 `json:"securebits,omitempty"`
	// Pdeathsig is sent to the workload when its parent dies; 0 is none.
	Pdeathsig   *Signal     `json:"pdeathsig,omitempty"`
	Speculation Speculation `json:"speculation,omitzero"`
	// PTracer is the process that Yama lets trace the workload besides its
	// ancestors; -1 is any.
	PTracer *int `json:"ptracer,omitempty"`

	Nice       *int    `json:"nice,omitempty"`         // -20 to 19
	TimerSlack *uint64 `json:"timerSlackNS,omitempty"` // nanoseconds; 0 is the default
	Affinity   []int   `json:"affinity,omitempty"`     // numbers of CPUs
	Uclamp     Uclamp  `json:"uclamp,omitzero"`
	// AutogroupNice is the nice value of the group of tasks that a new
	// session makes, sched(7); -20 to 19.
	AutogroupNice *int `json:"autogroupNice,omitempty"`
	// CoreSched gives the workload a core scheduling cookie of its own: it
	// never runs at the same time as others on one core.
	CoreSched bool `json:"coreSched,omitempty"`
	// IOFlusher is prctl(2) PR_SET_IO_FLUSHER.
	IOFlusher bool   `json:"ioFlusher,omitempty"`
	Memory    Memory `json:"memory,omitzero"`
	// Personality is the whole word of personality(2), for the bits that
	// linux.personality has no name for.
	Personality *uint32 `json:"personality,omitempty"`

	// Session makes the workload the leader of a new session.
	Session bool `json:"session,omitempty"`
	// ProcessGroup makes it the leader of a new process group.
	ProcessGroup bool `json:"processGroup,omitempty"`
	// Subreaper makes orphans below it its children.
	Subreaper bool `json:"subreaper,omitempty"`
	// NewKeyring gives it a session keyring of its own.
	NewKeyring bool     `json:"newKeyring,omitempty"`
	Keyring    *Keyring `json:"keyring,omitempty"`
	// IgnoreSignals and BlockSignals hold from the first instruction.
	IgnoreSignals []Signal `json:"ignoreSignals,omitempty"`
	BlockSignals  []Signal `json:"blockSignals,omitempty"`
	// Seccomp are further filters, as linux.seccomp. They are loaded before
	// that one, in this order, so each is beneath the next and linux.seccomp
	// is on top; the strictest of all decides on a call.
	Seccomp []*specs.LinuxSeccomp `json:"seccomp,omitempty"`
	// Landlock is enforced after no_new_privs and before linux.seccomp.
	Landlock *landlock.Policy `json:"landlock,omitempty"`

	// PassFDs is how many descriptors the workload gets beyond 0, 1 and 2,
	// numbered from 3 on.
	PassFDs int `json:"passFDs,omitempty"`
}

func (e *Extension) isZero() bool { return reflect.ValueOf(e).Elem().IsZero() }

// JoinedNamespace is the namespace of a running process.
type JoinedNamespace struct {
	Type specs.LinuxNamespaceType `json:"type"`
	PID  int                      `json:"pid"`
}

// Cgroup names cgroups by directory, where linux.cgroupsPath leaves the choice
// of hierarchies to the engine.
type Cgroup struct {
	V2     string            `json:"v2,omitempty"` // absolute, as the caller sees it
	V1     map[string]string `json:"v1,omitempty"` // controller to directory
	Create bool              `json:"create,omitempty"`
	Limits []CgroupLimit     `json:"limits,omitempty"`
	// Freeze stops the workload while it is parked, and until the caller
	// lets it go on. Freeze and Delegate go with linux.cgroupsPath too.
	Freeze bool `json:"freeze,omitempty"`
	// Delegate gives the version 2 cgroup to the workload's root, or user.
	Delegate bool `json:"delegate,omitempty"`
}

// IsZero reports that nothing is asked for.
func (c Cgroup) IsZero() bool { return !c.places() && !c.Freeze && !c.Delegate }

// places reports that cgroups are named, which linux.cgroupsPath does too.
func (c Cgroup) places() bool {
	return c.V2 != "" || len(c.V1) > 0 || c.Create || len(c.Limits) > 0
}

// CgroupLimit is one file of a cgroup and what is written to it.
type CgroupLimit struct {
	Controller string `json:"controller,omitempty"` // selects the V1 directory; empty means V2
	File       string `json:"file"`
	Value      string `json:"value"`
}

// Network is set up inside a new network namespace.
type Network struct {
	LoopbackUp bool    `json:"loopbackUp,omitempty"`
	Links      []Link  `json:"links,omitempty"`
	Routes     []Route `json:"routes,omitempty"`

	NetworkTables
}

// IsZero reports that nothing is asked for.
func (n Network) IsZero() bool {
	return !n.LoopbackUp && len(n.Links)+len(n.Routes) == 0 && n.NetworkTables.isZero()
}

// Link is one network device: "veth", "dummy", "bridge", "macvlan", "ipvlan",
// "vlan", "wireguard", or "move" for one of the host's.
type Link struct {
	Kind          string         `json:"kind"`
	Name          string         `json:"name"`
	Host          string         `json:"host,omitempty"`
	Addresses     []netip.Prefix `json:"addresses,omitempty"`
	HostAddresses []netip.Prefix `json:"hostAddresses,omitempty"`
	MTU           int            `json:"mtu,omitempty"`
	Down          bool           `json:"down,omitempty"`
	WireGuard     *WireGuard     `json:"wireguard,omitempty"`

	LinkAttributes
}

// Route is one route; without a destination it is the default route.
type Route struct {
	Destination netip.Prefix `json:"destination,omitzero"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Link        string       `json:"link,omitempty"`
	Table       int          `json:"table,omitempty"`
	Metric      int          `json:"metric,omitempty"`
}

// Signal is a signal number; in JSON it is a name ("SIGTERM") or a number.
type Signal int

// MarshalJSON writes the name, or the number where there is none.
func (s Signal) MarshalJSON() ([]byte, error) {
	if name := unix.SignalName(unix.Signal(s)); name != "" {
		return json.Marshal(name)
	}
	return json.Marshal(int(s))
}

// UnmarshalJSON reads a name, with or without SIG, or a number.
func (s *Signal) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		return json.Unmarshal(b, (*int)(s))
	}
	var name string
	if err := json.Unmarshal(b, &name); err != nil {
		return err
	}
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	n := unix.SignalNum(full)
	if n == 0 {
		return fmt.Errorf("unknown signal %q", name)
	}
	*s = Signal(n)
	return nil
}
