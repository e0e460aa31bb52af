package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/probes/bpf"
	"github.com/holdshort/holdshort/probes/posture"
)

// Confirmation is what one optional hook saw of an exec: a few facts, read by
// another way than those of the snapshots. See [Options].Confirm.
type Confirmation struct {
	By     string `json:"by"`      // the name of the [Hook]
	Exec   int    `json:"exec"`    // which exec since the watch began, from 1
	TimeNS uint64 `json:"time_ns"` // of CLOCK_MONOTONIC
	TID    int    `json:"tid"`     // in the initial pid namespace
	// IP is the user instruction pointer; 0 where the hook comes before the
	// new program has one.
	IP uint64 `json:"ip,omitempty"`
	// Facts are by the names of the posture's fields: numbers, sets of
	// capabilities as bits, namespaces as inode numbers. What could not be
	// read is not there.
	Facts map[string]uint64 `json:"facts"`
}

// early: the hook comes before the snapshot at exec, and not after the return.
func (c *Confirmation) early() bool { return c.By == hookLSM || c.By == hookFexit }

// Contradiction is a fact of which an optional hook and the snapshots beside it
// say different things. Nobody knows which of them is right.
type Contradiction struct {
	By    string `json:"by"`
	Exec  int    `json:"exec"`
	Field string `json:"field"` // of the posture, or [FieldIP]
	Says  string `json:"says"`
	Other string `json:"other"` // what the snapshot says
	At    At     `json:"at"`    // which snapshot
}

// FieldIP stands for the instruction pointer in a [Contradiction].
const FieldIP = "ip"

// factNames are the fields in the order of enum fact, bpf/witness.h.
var factNames = [...]string{
	"ids.euid", "ids.egid", "capabilities.effective", "seccomp.mode", "privilege.no_new_privs",
	"namespaces.user", "namespaces.uts", "namespaces.ipc", "namespaces.mnt", "namespaces.pid_for_children",
	"namespaces.net", "namespaces.cgroup", "namespaces.time",
}

// testimonySize is that of struct testimony, without its head.
const testimonySize = (len(factNames) + 1) * 8

var witnessNames = map[bpf.WitnessWitness]string{
	bpf.WitnessWitnessWITNESS_LSM: hookLSM, bpf.WitnessWitnessWITNESS_FEXIT: hookFexit,
	bpf.WitnessWitnessWITNESS_WORK: hookWork, bpf.WitnessWitnessWITNESS_BREAK: hookBreak,
}

// testify takes what an optional hook said.
func (p *process) testify(h *head, b []byte) {
	by := witnessNames[bpf.WitnessWitness(h.info)]
	if len(b) < testimonySize || by == "" {
		return
	}
	c := Confirmation{By: by, Exec: int(h.exec), TimeNS: h.ktime, TID: int(h.tid), IP: h.ip, Facts: map[string]uint64{}}
	at := cursor{b}
	var values [len(factNames)]uint64
	at.u64s(values[:])
	failed := at.u64()
	for i, name := range factNames {
		if failed>>i&1 == 0 {
			c.Facts[name] = values[i]
		}
	}
	p.rec.Confirmations = append(p.rec.Confirmations, c)
}

// ConfirmedBy names the optional hooks that spoke of an exec, in the order in
// which they did. It does not say that they agree: see [Record.Contradictions].
func (r *Record) ConfirmedBy(exec int) []string {
	var list []string
	for i := range r.Confirmations {
		if c := &r.Confirmations[i]; c.Exec == exec && !slices.Contains(list, c.By) {
			list = append(list, c.By)
		}
	}
	return list
}

// Contradictions compares what the optional hooks said with the snapshots of the
// same exec. A hook before sched_process_exec has to agree with the snapshot at
// exec; one between the return and the first instruction with either of these
// two, since a tracer may change the task in between, which is then for the
// snapshots to tell. Where both are missing it has to agree with the one at exec.
func (r *Record) Contradictions() []Contradiction {
	var list []Contradiction
	for i := range r.Confirmations {
		c := &r.Confirmations[i]
		beside := r.beside(c)
		if len(beside) == 0 {
			continue // the exec was not seen or not wanted, and the record says so
		}
		for _, name := range factNames {
			if says, ok := c.Facts[name]; ok {
				list = c.against(list, name, says, beside, func(s *Snapshot) (uint64, bool) { return factOf(s.Posture(), name) })
			}
		}
		if c.IP != 0 {
			list = c.against(list, FieldIP, c.IP, beside, func(s *Snapshot) (uint64, bool) { return s.IP, s.IPKnown })
		}
	}
	return list
}

// beside are the snapshots that a confirmation has to agree with one of.
func (r *Record) beside(c *Confirmation) (list []*Snapshot) {
	want := []At{AtReturn, AtFirst}
	if c.early() {
		want = []At{AtExec}
	}
	for _, want := range [][]At{want, {AtExec}} {
		for i := range r.Snapshots {
			if s := &r.Snapshots[i]; s.Exec == c.Exec && slices.Contains(want, s.At) {
				list = append(list, s)
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

// against adds a contradiction unless a snapshot that knows the field agrees.
func (c *Confirmation) against(list []Contradiction, name string, says uint64, beside []*Snapshot, of func(*Snapshot) (uint64, bool)) []Contradiction {
	var other *Contradiction
	for _, s := range beside {
		v, ok := of(s)
		switch {
		case !ok:
		case v == says:
			return list
		default:
			other = &Contradiction{By: c.By, Exec: c.Exec, Field: name, Says: showFact(name, says), Other: showFact(name, v), At: s.At}
		}
	}
	if other == nil {
		return list
	}
	return append(list, *other)
}

func showFact(name string, v uint64) string {
	if name == FieldIP || strings.HasPrefix(name, "capabilities.") {
		return fmt.Sprintf("%#x", v)
	}
	return fmt.Sprint(v)
}

// factOf is the same fact in a posture.
func factOf(p *posture.Posture, name string) (uint64, bool) {
	small := func(v posture.Value[uint32]) (uint64, bool) {
		n, ok := v.Get()
		return uint64(n), ok
	}
	inode := func(v posture.Value[posture.Namespace]) (uint64, bool) {
		n, ok := v.Get()
		return uint64(n.Inode), ok
	}
	n := &p.Namespaces
	switch name {
	case "ids.euid":
		return small(p.IDs.EUID)
	case "ids.egid":
		return small(p.IDs.EGID)
	case "capabilities.effective":
		v, ok := p.Capabilities.Effective.Get()
		return uint64(v), ok
	case "seccomp.mode":
		return small(p.Seccomp.Mode)
	case "privilege.no_new_privs":
		v, ok := p.Privilege.NoNewPrivs.Get()
		if v {
			return 1, ok
		}
		return 0, ok
	case "namespaces.user":
		return inode(n.User)
	case "namespaces.uts":
		return inode(n.UTS)
	case "namespaces.ipc":
		return inode(n.IPC)
	case "namespaces.mnt":
		return inode(n.Mount)
	case "namespaces.pid_for_children":
		return inode(n.PIDForChildren)
	case "namespaces.net":
		return inode(n.Net)
	case "namespaces.cgroup":
		return inode(n.Cgroup)
	case "namespaces.time":
		return inode(n.Time)
	}
	return 0, false
}
