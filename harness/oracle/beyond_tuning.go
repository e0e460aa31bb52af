package oracle

import (
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// askedTuning lists what is asked of the scheduler and of memory management
// that no posture shows.
func askedTuning(r *request.Request) []Beyond {
	var out []Beyond
	add := func(asked bool, field string, want any) {
		if asked {
			out = append(out, Beyond{Field: field, Want: want})
		}
	}
	x := &r.Ext
	if s := r.Process().Scheduler; s != nil && s.Policy == specs.SchedDeadline {
		add(true, "process.scheduler.deadline", s)
	}
	add(r.Linux().MemoryPolicy != nil, "linux.memoryPolicy", r.Linux().MemoryPolicy)
	add(!x.Uclamp.IsZero(), "holdshort.uclamp", x.Uclamp)
	if n := x.AutogroupNice; n != nil {
		add(true, "holdshort.autogroupNice", *n)
	}
	add(x.IOFlusher, "holdshort.ioFlusher", true)
	if b := x.Memory.THPDisable; b != nil {
		add(true, "holdshort.memory.thpDisable", *b)
	}
	if b := x.Memory.Merge; b != nil {
		add(true, "holdshort.memory.merge", *b)
	}
	return out
}
