package probes

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/link"

	"github.com/holdshort/holdshort/probes/bpf"
	"github.com/holdshort/holdshort/probes/posture"
)

// ChangeKind says what somebody did to a process.
type ChangeKind string

// The kinds of change that can be told of.
const (
	ChangeCgroup   ChangeKind = "cgroup"   // moved; About is the number of the cgroup
	ChangeOOM      ChangeKind = "oom"      // its OOM score adjustment was written
	ChangeName     ChangeKind = "name"     // its comm was set
	ChangeSignal   ChangeKind = "signal"   // sent; About is the signal
	ChangeLimit    ChangeKind = "limit"    // prlimit64; About is the resource
	ChangeSched    ChangeKind = "sched"    // sched_setattr, sched_setscheduler, sched_setparam; About is the call's number
	ChangeAffinity ChangeKind = "affinity" // sched_setaffinity
	ChangeNice     ChangeKind = "nice"     // setpriority
	ChangeIOPrio   ChangeKind = "ioprio"   // ioprio_set
	ChangePtrace   ChangeKind = "ptrace"   // a tracer attached; About is the request
)

var changeKinds = [...]ChangeKind{
	bpf.ProbesChangeCHANGE_CGROUP: ChangeCgroup, bpf.ProbesChangeCHANGE_OOM: ChangeOOM, bpf.ProbesChangeCHANGE_NAME: ChangeName,
	bpf.ProbesChangeCHANGE_SIGNAL: ChangeSignal, bpf.ProbesChangeCHANGE_LIMIT: ChangeLimit, bpf.ProbesChangeCHANGE_SCHED: ChangeSched,
	bpf.ProbesChangeCHANGE_AFFINITY: ChangeAffinity, bpf.ProbesChangeCHANGE_NICE: ChangeNice,
	bpf.ProbesChangeCHANGE_IOPRIO: ChangeIOPrio, bpf.ProbesChangeCHANGE_PTRACE: ChangePtrace,
}

// Change is one thing that was done to a process after its exec, by itself or
// by another. What is told of by a system call (limit, sched, affinity, nice,
// ioprio, ptrace) was tried, and may have failed.
type Change struct {
	Kind   ChangeKind `json:"kind"`
	About  uint64     `json:"about,omitempty"`
	TimeNS uint64     `json:"time_ns"` // of CLOCK_MONOTONIC
	By     int        `json:"by"`      // process, in the initial pid namespace
	ByName string     `json:"by_name"` // its comm
}

// fields are those of a posture that the change can be the cause of.
func (c *Change) touches(field string) bool {
	switch c.Kind {
	case ChangeCgroup:
		return slices.Contains([]string{"cgroup.v2", "cgroup.v1", "cgroup.frozen", "sched.affinity", "memory.mems_allowed", "memory.nodes"}, field)
	case ChangeOOM:
		return field == "oom.score_adj" || field == "oom.score_adj_min"
	case ChangeName:
		return field == "exec.comm"
	case ChangeLimit:
		return c.About < uint64(len(posture.RlimitNames)) && field == "rlimits."+posture.RlimitNames[c.About]
	case ChangeSched:
		return len(field) > 6 && field[:6] == "sched." && field != "sched.affinity" && field != "sched.ioprio"
	case ChangeAffinity:
		return field == "sched.affinity"
	case ChangeNice:
		return field == "sched.nice"
	case ChangeIOPrio:
		return field == "sched.ioprio"
	case ChangePtrace:
		return field == "process.tracer"
	}
	return false
}

func newChange(h *head) (Change, bool) {
	kind := h.info & 0xff
	if kind == 0 || kind >= uint64(len(changeKinds)) {
		return Change{}, false
	}
	var name [16]byte
	binary.LittleEndian.PutUint64(name[:], h.ip)
	binary.LittleEndian.PutUint64(name[8:], h.entry)
	return Change{Kind: changeKinds[kind], About: h.info >> 8, TimeNS: h.ktime, By: int(h.parent), ByName: cString(name[:])}, true
}

// Drift is a field that was another at the end of a process than at its first
// instruction.
type Drift struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
	// By is the last change that can be the cause, nil if none is known.
	By *Change `json:"by,omitempty"`
	// Outside: that change was made by another process.
	Outside bool `json:"outside,omitempty"`
}

// notDrift are fields that the life of every process changes.
var notDrift = []string{"files", "signals.pending", "process.threads", "process.io_uring"}

// Drift compares the posture at the end with the one nearest to the first
// instruction. It needs the snapshot at the exit. What a process has already
// given back when it ends is not compared.
func (r *Record) Drift() []Drift {
	before, after := r.Latest(), r.Snapshot(AtExit)
	if before == nil || after == nil || before.Equal(after) {
		return nil
	}
	var list []Drift
	for _, d := range posture.Diff(before.Posture(), after.Posture()) {
		if d.Unreadable || slices.Contains(notDrift, d.Path) {
			continue
		}
		// No process can get rid of a filter: its end released them
		// (seccomp_filter_release, which newer kernels call in do_exit).
		if d.Path == "seccomp.filters" && d.B == "none" {
			continue
		}
		x := Drift{Field: d.Path, From: d.A, To: d.B}
		for i := range r.Changes {
			if c := &r.Changes[i]; c.TimeNS >= before.TimeNS && c.touches(d.Path) {
				x.By, x.Outside = c, c.By != r.TGID
			}
		}
		list = append(list, x)
	}
	return list
}

// changeHooks are the tracepoints that tell who does what.
var changeHooks = [][2]string{
	{"cgroup_attach_task", "on_cgroup_attach"},
	{"oom_score_adj_update", "on_oom_adj"},
	{"task_rename", "on_rename"},
	{"signal_generate", "on_signal"},
	{"sys_enter", "on_change_call"},
}

// changeSet counts the users of these hooks in and out.
type changeSet struct {
	users int
	links []link.Link
	blind []string // what could not be attached, and why
}

func (s *changeSet) acquire(objs *objects) {
	if s.users++; s.users > 1 {
		return
	}
	s.blind = nil
	for _, h := range changeHooks {
		p := objs.program(h[1])
		if p == nil {
			s.blind = append(s.blind, h[0]+": "+ErrNotSupported.Error())
			continue
		}
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: h[0], Program: p})
		if err != nil {
			s.blind = append(s.blind, fmt.Sprintf("%s: %v", h[0], explain("attach", err)))
			continue
		}
		s.links = append(s.links, l)
	}
}

func (s *changeSet) release() {
	if s.users--; s.users == 0 {
		s.close()
	}
}

func (s *changeSet) close() {
	for _, l := range s.links {
		_ = l.Close()
	}
	s.links = nil
}
