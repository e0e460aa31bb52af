package probes

import (
	"slices"

	"github.com/holdshort/holdshort/probes/bpf"
)

// process is one watched process, as the reader knows it. All of it is guarded
// by the observer's mutex, except the two channels.
type process struct {
	g      *group
	key    key
	rec    Record
	taken  bool
	noExec bool     // had not exec'd when the watch began
	up     *process // its creator, kept though it may be forgotten; nil if that is not watched
	// midwife: created a sibling (CLONE_PARENT), which is the one to be taken.
	midwife bool
	beside  *process // the newest of those siblings

	exec       *body // the body at the last exec, which has the filters' instructions
	pending    map[At]bool
	seen       bool // an event of it has arrived
	lostBefore uint64
	ready      chan struct{} // closed when the record is complete
	ended      chan struct{} // closed when the process has ended
	frozen     chan struct{} // one token for each time it goes to rest at an entry
	rested     bool          // the token was given though the return was not seen
	isReady    bool
}

// process finds or makes the entry of a process.
func (g *group) process(k key) *process {
	if p := g.procs[k]; p != nil {
		return p
	}
	p := &process{
		g: g, key: k, pending: map[At]bool{},
		ready: make(chan struct{}), ended: make(chan struct{}), frozen: make(chan struct{}, 1),
		noExec: true,
	}
	p.rec.TGID, p.rec.StartNS = int(k.tgid), k.start
	g.procs[k] = p
	return p
}

// event takes one event of a process of this group.
func (g *group) event(h *head, b []byte) {
	if h.at == bpf.ProbesAtAT_WITNESS {
		if p := g.procs[key{h.tgid, h.start}]; p != nil {
			p.testify(h, b)
		}
		return
	}
	g.process(key{h.tgid, h.start}).event(h, b)
}

func (p *process) event(h *head, b []byte) {
	if !p.seen {
		p.seen = true
		if p.lostBefore == 0 {
			p.lostBefore = h.lostAll
		}
	}
	if h.pidHere != 0 {
		p.rec.PID = int(h.pidHere)
		p.g.newest[h.pidHere] = p
	}
	p.rec.Lost = max(p.rec.Lost, uint64(h.lost))
	if h.at != bpf.ProbesAtAT_FORK {
		p.rec.Execs = int(h.exec)
	}
	switch h.at {
	case bpf.ProbesAtAT_FORK:
		p.rec.Parent = int(h.parent)
		p.up = p.g.procs[key{h.parent, h.info}]
		if s, ok := p.snapshot(AtCaller, h, b); ok {
			s.PID, s.TGID, s.TID, s.StartNS = 0, int(h.parent), 0, h.info
			p.rec.Caller = &s
		}
		if h.entry != 0 {
			p.bornBeside(key{uint32(h.entry), h.ip})
		}
	case bpf.ProbesAtAT_EXEC:
		p.rec.passed = false
		p.rested = false
		p.giveUp("another exec came first", true)
		if s, ok := p.snapshot(AtExec, h, b); ok {
			p.exec = s.body
			p.rec.Snapshots = append(p.rec.Snapshots, s)
		}
		for _, at := range []At{AtReturn, AtFirst} {
			if p.g.opts.wants(at) {
				p.pending[at] = true
			}
		}
		if !p.pending[AtReturn] {
			p.freeze()
		}
		if p.pending[AtFirst] && h.flags&bpf.ProbesHeadFlagHEAD_IP == 0 {
			p.missing(AtFirst, "the entry address could not be read (there is a helper for it since Linux 5.15)", true)
		}
	case bpf.ProbesAtAT_RETURN:
		p.add(AtReturn, h, b)
		p.freeze()
	case bpf.ProbesAtAT_FIRST:
		p.rec.passed = true
		if p.pending[AtReturn] {
			p.noReturn(h)
		}
		p.add(AtFirst, h, b)
	case bpf.ProbesAtAT_NO_RETURN:
		p.noReturn(h)
	case bpf.ProbesAtAT_NO_FIRST:
		p.rec.passed = true
		if p.g.o.faultHook() {
			p.missing(AtFirst, "no page fault at the entry point: the page was mapped already, or the process ended before", true)
		} else {
			p.missing(AtFirst, "no hook at page faults", false)
		}
	case bpf.ProbesAtAT_CHANGE:
		if c, ok := newChange(h); ok {
			p.rec.Changes = append(p.rec.Changes, c)
		}
	case bpf.ProbesAtAT_EXIT:
		if s, ok := p.snapshot(AtExit, h, b); ok {
			p.rec.Snapshots = append(p.rec.Snapshots, s)
		}
		p.end(h.info&pfForkNoExec == 0)
	}
	p.settle()
}

// snapshot makes a snapshot of an event that carries a body.
func (p *process) snapshot(at At, h *head, b []byte) (Snapshot, bool) {
	if h.flags&bpf.ProbesHeadFlagHEAD_BODY == 0 {
		return Snapshot{}, false
	}
	withCode := h.flags&bpf.ProbesHeadFlagHEAD_CODE != 0
	// The usual case: nothing has changed, and one decoding serves all.
	if !withCode && p.exec.same(b) {
		return newSnapshot(at, h, p.exec), true
	}
	body, err := splitBody(b, withCode, p.g.o.facts)
	if err != nil {
		p.rec.Lost++
		return Snapshot{}, false
	}
	if !withCode {
		body.codeOf = p.exec
	}
	return newSnapshot(at, h, body), true
}

// bornBeside takes over the caller from the process that created this one as its
// sibling: both have the same parent. Nobody will ask for that process, so it is
// forgotten when it ends.
func (p *process) bornBeside(creator key) {
	c := p.g.procs[creator]
	if c == nil {
		return // its birth was before the watch, or was lost: no caller
	}
	p.rec.Caller = c.rec.Caller
	p.rec.Lost = max(p.rec.Lost, c.rec.Lost)
	c.attend()
	// Of several siblings (an init, and what runs under it) the last is meant.
	if c.beside != nil {
		c.beside.attend()
	}
	c.beside = p
}

// attend marks a process that nobody will ask for.
func (p *process) attend() {
	if p.midwife = true; p.rec.Ended {
		p.drop()
	}
}

// drop forgets the process, unless somebody has taken it.
func (p *process) drop() {
	if p.taken {
		return
	}
	delete(p.g.procs, p.key)
	if n := uint32(p.rec.PID); p.g.newest[n] == p {
		delete(p.g.newest, n)
	}
}

func (p *process) add(at At, h *head, b []byte) {
	if s, ok := p.snapshot(at, h, b); ok {
		p.rec.Snapshots = append(p.rec.Snapshots, s)
	}
	delete(p.pending, at)
}

func (p *process) missing(at At, why string, harmless bool) {
	delete(p.pending, at)
	p.rec.Missing = append(p.rec.Missing, Missing{At: at, Exec: p.rec.Execs, Why: why, Harmless: harmless})
}

// freeze tells who waits for it that the process is about to stop.
func (p *process) freeze() {
	if !p.g.opts.Freeze {
		return
	}
	select {
	case p.frozen <- struct{}{}:
	default:
	}
	p.g.wake()
}

// wake tells who waits for any process of the group.
func (g *group) wake() {
	close(g.stir)
	g.stir = make(chan struct{})
}

// noReturn: the return of execve was not seen. If the kernel itself says that it
// left the program out, and the first instruction was seen, nothing is lost by
// it: that snapshot is of the same exec and later, and comes before anything
// that the workload does. That it is the first one shows in the registers, since
// the program at sys_enter, which otherwise tells, may have been left out too.
// See docs/observation.md.
func (p *process) noReturn(h *head) {
	leftOut := p.g.o.skipped("on_sys_exit")
	const fresh = bpf.ProbesHeadFlagHEAD_IP | bpf.ProbesHeadFlagHEAD_FRESH
	first := h.at == bpf.ProbesAtAT_FIRST && h.flags&fresh == fresh && h.ip == h.entry
	switch {
	case !leftOut:
		p.missing(AtReturn, "the return of execve was not seen: the hook at sys_exit did not fire", false)
	case first:
		p.missing(AtReturn, "the kernel left out the program at sys_exit, which was running already; the first instruction was seen", true)
	default:
		p.missing(AtReturn, "the kernel left out the program at sys_exit, which was running already on that CPU", false)
	}
}

// giveUp marks everything still pending as missing.
func (p *process) giveUp(why string, firstHarmless bool) {
	for _, at := range []At{AtReturn, AtFirst} {
		if p.pending[at] {
			p.missing(at, why, at == AtFirst && firstHarmless)
		}
	}
}

// end closes the account of a process. didExec says whether it ever exec'd.
func (p *process) end(didExec bool) {
	if p.rec.Ended {
		return
	}
	p.giveUp("the process ended first", true)
	if want := max(p.g.opts.Exec, 1); p.exec == nil {
		switch {
		case p.rec.Execs > 0:
			p.rec.Missing = append(p.rec.Missing, Missing{At: AtExec, Exec: want, Why: "the process ended before that exec", Harmless: true})
		case didExec && p.noExec:
			p.rec.Missing = append(p.rec.Missing, Missing{At: AtExec, Exec: want, Why: "the process exec'd and the hook at sched_process_exec saw nothing of it"})
		case didExec:
			p.rec.Missing = append(p.rec.Missing, Missing{At: AtExec, Exec: want, Why: "the process ended and no exec was seen since the watch began"})
		default:
			p.rec.Missing = append(p.rec.Missing, Missing{At: AtExec, Exec: want, Why: "the process ended without an exec", Harmless: true})
		}
	}
	p.rec.Ended = true
	close(p.ended)
	p.g.wake()
	switch {
	case p.midwife:
		p.drop()
	case !didExec:
		p.g.unasked(p)
	}
}

// keepUnasked is how many processes that ended without an exec are kept for
// somebody to ask for.
const keepUnasked = 64

// unasked keeps a process that ended without an exec: nothing can be judged of
// it, and of most of them nobody ever asks.
func (g *group) unasked(p *process) {
	g.idle = append(g.idle, p)
	if len(g.idle) > keepUnasked {
		g.idle[0].drop()
		g.idle = g.idle[1:]
	}
}

// vanish is the end of a process whose last event did not arrive.
func (p *process) vanish() {
	if p.rec.Ended {
		return
	}
	p.rec.Lost = max(p.rec.Lost, 1)
	p.giveUp("the process is gone and its events did not arrive", false)
	if p.exec == nil {
		p.rec.Missing = append(p.rec.Missing, Missing{At: AtExec, Exec: max(p.g.opts.Exec, 1), Why: "the process is gone and its events did not arrive"})
	}
	p.rec.Ended = true
	close(p.ended)
	p.g.wake()
	p.settle()
}

// settle wakes those who wait, once nothing more is to come.
func (p *process) settle() {
	if p.isReady {
		return
	}
	o := &p.g.opts
	more := o.Exec == AllExecs || o.wants(AtExit) || p.exec == nil || len(p.pending) > 0
	if more && !p.rec.Ended {
		return
	}
	p.isReady = true
	close(p.ready)
}

// record copies the record, so that later events do not change it.
func (p *process) record() *Record {
	p.g.o.mu.Lock()
	defer p.g.o.mu.Unlock()
	r := p.rec
	r.Snapshots = append([]Snapshot(nil), p.rec.Snapshots...)
	r.Missing = append([]Missing(nil), p.rec.Missing...)
	r.Changes = slices.Clone(p.rec.Changes)
	r.Confirmations = slices.Clone(p.rec.Confirmations)
	r.Blind = p.g.blind
	for _, at := range []At{AtReturn, AtFirst} {
		if p.pending[at] {
			r.Missing = append(r.Missing, Missing{At: at, Exec: r.Execs, Why: "not yet"})
		}
	}
	if !p.isReady && p.exec == nil && !p.rec.Ended {
		r.Missing = append(r.Missing, Missing{At: AtExec, Exec: max(p.g.opts.Exec, 1), Why: "not yet"})
	}
	if now := p.g.o.lostCounters().Total(); now > p.lostBefore {
		r.LostElsewhere = now - p.lostBefore - min(r.Lost, now-p.lostBefore)
	}
	return &r
}

func (p *process) descendsFrom(a *process) bool {
	for up := p.up; up != nil; up = up.up {
		if up == a {
			return true
		}
	}
	return false
}
