package agent

import "sync/atomic"

// Ticks are the moments at which the operations of the current batch were done,
// in ticks of the processor's counter, 0 for those that were not. It needs
// [Spec.Times], and is for who is called by the agent's events.
func (l *Launch) Ticks() []uint64 { return l.ticks(int(l.mem.ops), int(l.mem.nops)) }

// AgentTicks is [Launch.Ticks] of the agent's operations.
func (l *Launch) AgentTicks() []uint64 { return l.ticks(int(l.mem.agentOps), int(l.mem.agentNops)) }

func (l *Launch) ticks(off, n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		if p := l.agent.arena.opAt(off + i*opSize); atomic.LoadUint32(&p.done) != 0 {
			out[i] = p.args[5]
		}
	}
	return out
}

// Clock turns ticks into nanoseconds of CLOCK_MONOTONIC.
type Clock struct{ from, to clock }

// Clock is valid at the Exited event of a launch with [Spec.Times].
func (l *Launch) Clock() Clock { return Clock{l.mem.clock[0], l.mem.clock[1]} }

// Begun is the moment before the clone.
func (c Clock) Begun() int64 { return int64(c.from.ns) }

// Ended is the moment at which the agent had reaped the child.
func (c Clock) Ended() int64 { return int64(c.to.ns) }

// At is the moment of some ticks, by the counter's rate over the whole launch.
func (c Clock) At(ticks uint64) int64 {
	if c.to.ticks <= c.from.ticks {
		return c.Begun()
	}
	rate := float64(c.to.ns-c.from.ns) / float64(c.to.ticks-c.from.ticks)
	return c.Begun() + int64(float64(int64(ticks-c.from.ticks))*rate)
}
