package checkpoint

import (
	"cmp"
	"slices"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// StepTime is a step that was taken, and when it was done.
type StepTime struct {
	PlannedStep
	Done int64 `json:"done"` // nanoseconds of CLOCK_MONOTONIC
}

// stamp is a step with the time by one of two clocks.
type stamp struct {
	PlannedStep
	ticks uint64 // of the processor's counter, or
	ns    int64
}

// stamps are the steps of a workload so far; its mu guards them.
type stamps struct {
	list []stamp
	done bool // the current batch
	by   agent.Clock
}

// Times are the steps that were taken, in the order in which they were done: from
// the clone, which has the moment before it, to the last one before execve, which
// leaves no trace in the child. It needs [Options].Times, and is complete once
// the workload has ended. Steps that were left out, such as what a best-effort
// one needs, are not in it.
//
// Steps of agent and child are timed by the processor's counter, which is taken
// to run at the same rate on each processor (an invariant TSC; on arm64 always).
func (w *Workload) Times() []StepTime {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.state.ended() || !w.plan.opts.Times {
		return nil
	}
	birth := PlannedStep{By: ByAgent, Stage: StageClone, Index: -1, Object: w.plan.birth(), Calls: []string{"clone3"}}
	out := []StepTime{{birth, w.stamps.by.Begun()}}
	for _, s := range w.stamps.list {
		if s.ns == 0 {
			s.ns = min(max(w.stamps.by.At(s.ticks), w.stamps.by.Begun()), w.stamps.by.Ended())
		}
		out = append(out, StepTime{s.PlannedStep, s.ns})
	}
	slices.SortStableFunc(out, func(a, b StepTime) int { return cmp.Compare(a.Done, b.Done) })
	return out
}

// stampBatch takes in what the child, or the agent for it, has done of a batch.
// The caller holds w.mu.
func (w *Workload) stampBatch(by Actor, list steps, ticks []uint64) {
	before := -1 // the step that the last operation belonged to
	for i := range min(len(list), len(ticks)) {
		s := &list[i]
		if ticks[i] == 0 || s.stage == StageExec {
			continue
		}
		if before >= 0 && list[before].stage == s.stage && list[before].index == s.index && list[before].object == s.object {
			last := &w.stamps.list[len(w.stamps.list)-1]
			last.Calls, last.ticks = append(last.Calls, callName(&s.op)), ticks[i]
		} else {
			w.stamps.list = append(w.stamps.list, stamp{PlannedStep{By: by, Stage: s.stage, Index: s.index, Object: s.object, Calls: []string{callName(&s.op)}}, ticks[i], 0})
		}
		before = i
	}
}

// stampParked is called when a batch is over, stampEnd when the child is.
func (w *Workload) stampParked() {
	if w.plan.opts.Times && w.launched != nil {
		w.stampBatch(ByChild, w.current, w.launched.Ticks())
		w.stamps.done = true
	}
}

func (w *Workload) stampEnd() {
	if !w.plan.opts.Times || w.launched == nil {
		return
	}
	if !w.stamps.done {
		w.stampParked()
	}
	w.stampBatch(ByAgent, w.plan.agent.steps, w.launched.AgentTicks())
	w.stamps.by = w.launched.Clock()
}

// stampHost is called when the host has taken a step.
func (w *Workload) stampHost(s *hostStep) {
	if !w.plan.opts.Times {
		return
	}
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stamps.list = append(w.stamps.list, stamp{PlannedStep{By: ByHost, Stage: s.stage, Index: -1, Object: s.object}, 0, ts.Nano()})
}
