package oracle

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
)

// Class says how the field got into the expectation.
func (e *Expectation) Class(f Field) Class { return e.rules[f].class }

// Source is the part of the request, or the promise, that a field's wanted
// value comes from.
func (e *Expectation) Source(f Field) string {
	if s := e.rules[f].source; s != "" {
		return s
	}
	return "not asked for"
}

// Note is something to be told about the field even when it is as wanted, or
// empty: that the request itself undoes what it asks for.
func (e *Expectation) Note(f Field) string { return e.rules[f].note }

// Request returns the request that the expectation was made from.
func (e *Expectation) Request() *request.Request { return e.req }

// Beyond lists what was asked for and cannot be seen in a posture. The slice is
// shared.
func (e *Expectation) Beyond() []Beyond { return e.beyond }

// Holds reports whether the field is known in all the postures and everywhere
// what is wanted. It is the short way for what is nearly always the case; where
// it says no, [Expectation.Compare] says what is the matter, if anything.
func (e *Expectation) Holds(f Field, seen []*posture.Posture) bool {
	return e.rules[f].pred == isEqual && e.rlimitsAsked == 0 && table[f].ops.agree(&e.want, seen)
}

// Compare judges one field of an observed posture. The second result says why,
// where that is not obvious from wanted and observed value.
func (e *Expectation) Compare(f Field, got *posture.Posture) (Outcome, string) {
	o, why := e.compare(f, got)
	return e.chosen(f, got, o, why)
}

func (e *Expectation) compare(f Field, got *posture.Posture) (Outcome, string) {
	o := table[f].ops
	if ok, why := o.known(got); !ok {
		return Unobservable, why
	}
	r := &e.rules[f]
	ok := false
	switch r.pred {
	case isEqual:
		if known, why := e.known(f); !known {
			return Unobservable, why
		}
		ok = o.equal(&e.want, got) || f == SignalsIgnored && e.ignoredAlike(got)
	case isFresh, isMirror:
		return e.fresh(f, got)
	case isFiltered:
		return e.filtered(got)
	case isArmed:
		return e.armed(got)
	case isTable:
		if g, _ := got.Files.Get(); g.Truncated > 0 {
			return e.truncated(g)
		}
		ok = o.equal(&e.want, got)
	case isSecure:
		g, _ := got.Exec.Secure.Get()
		ok = g || o.equal(&e.want, got)
	case isAllowed:
		g, _ := got.Signals.Pending.Get()
		ok = g&^(e.signals|unblockable) == 0
	case isShared, isSlave:
		g, _ := got.FS.RootPropagation.Get()
		ok = o.equal(&e.want, got) || r.pred == isShared && g == posture.PropagationSharedSlave || r.pred == isSlave && g == posture.PropagationPrivate
	case isWithin:
		g, _ := got.Sched.Affinity.Get()
		w, _ := e.want.Sched.Affinity.Get()
		ok = within(g, w)
	case isAtLeast:
		g, _ := got.Privilege.SpecFlags.Get()
		w, _ := e.want.Privilege.SpecFlags.Get()
		ok = w&^g == 0
	}
	if ok {
		return Equal, ""
	}
	if want, known := e.want.Exec.Exe.Get(); f == ExecExe && known && want == NoFile {
		return Leaked, "it is no file of the root that was asked for: the program's name leads to what its parent has open"
	}
	return e.miss(f, got), ""
}

// unblockable are SIGKILL and SIGSTOP (signal(7)): no process can have left them
// pending for the program to find, so one that is pending was sent from outside
// a moment ago, and the program's first instruction never sees it.
const unblockable = 1<<(9-1) | 1<<(19-1)

// armed judges the flag that makes seccomp work at all.
func (e *Expectation) armed(got *posture.Posture) (Outcome, string) {
	mode, ok := got.Seccomp.Mode.Get()
	armed, _ := got.Seccomp.Armed.Get()
	switch {
	case !ok:
		return Unobservable, "the mode was not read"
	case armed == (mode != 0):
		return Equal, ""
	case armed:
		return Leaked, "system calls go through seccomp, which is off"
	}
	return Weaker, "system calls do not go through seccomp"
}

// known reports whether there is a wanted value.
func (e *Expectation) known(f Field) (bool, string) {
	if e.rlimitsAsked != 0 && f >= RlimitCPU && f <= RlimitRTTime && e.rlimitsAsked>>(f-RlimitCPU)&1 == 0 {
		return false, "the caller's limits were not read"
	}
	ok, why := table[f].ops.known(&e.want)
	if ok {
		return true, ""
	}
	if e.rules[f].class == Kept {
		return false, "the caller's is not known"
	}
	if why == "not read" {
		why = needsFact
	}
	return false, why
}

// miss names a difference.
func (e *Expectation) miss(f Field, got *posture.Posture) Outcome {
	o := table[f].ops
	known, _ := o.known(e.caller)
	asBefore := known && o.equal(e.caller, got)
	switch e.rules[f].class {
	case Requested:
		if asBefore {
			return Ignored
		}
		if o.order(&e.want, got) == stricter {
			return Stronger
		}
		return Weaker
	case Kept:
		return Leaked
	}
	if asBefore {
		return Inherited
	}
	return Leaked
}

const notApart = "the caller's is not known, so it cannot be told apart"

// fresh judges a namespace or keyring that must not be the caller's.
func (e *Expectation) fresh(f Field, got *posture.Posture) (Outcome, string) {
	if known, _ := table[f].ops.known(e.caller); !known {
		return Unobservable, notApart
	}
	if f == KeyringSession {
		before, _ := e.caller.Keyrings.Session.Get()
		after, _ := got.Keyrings.Session.Get()
		switch {
		case after == before:
			return Ignored, "it is the caller's"
		case after == 0:
			return Weaker, "there is none"
		}
		return Equal, ""
	}
	if f == SchedCoreCookie {
		before, _ := e.caller.Sched.CoreCookie.Get()
		after, _ := got.Sched.CoreCookie.Get()
		switch {
		case after == before:
			return Ignored, "it is the caller's"
		case after == 0:
			return Weaker, "there is none"
		}
		return Equal, ""
	}
	if f == SchedAutogroup {
		before, _ := e.caller.Sched.Autogroup.Get()
		if after, _ := got.Sched.Autogroup.Get(); after == before {
			return Inherited, "it is the caller's"
		}
		return Equal, ""
	}
	if o, why := e.apart(f, got); o != Equal {
		return o, why
	}
	if f == NSUser {
		return Equal, ""
	}
	after, _ := namespaceOf(got, f)
	if owner, ok := e.ownerOf(got); ok && after.Owner != owner {
		return Weaker, fmt.Sprintf("user namespace %d owns it, not %d", after.Owner, owner)
	}
	return Equal, ""
}

// apart judges a new namespace, but for its owner.
func (e *Expectation) apart(f Field, got *posture.Posture) (Outcome, string) {
	before, known := namespaceOf(e.caller, f)
	after, _ := namespaceOf(got, f)
	switch {
	case !known:
		return Unobservable, notApart
	case after.Inode == before.Inode:
		if e.rules[f].class == Requested {
			return Ignored, "it is the caller's"
		}
		return Inherited, "it is the caller's"
	case after.Inode == 0:
		return Weaker, "it has no number"
	}
	if l := e.levels[f]; l != 0 && after.Level != l {
		return Weaker, fmt.Sprintf("it is %d levels deep, not %d", after.Level, l)
	}
	if e.rules[f].pred == isMirror {
		if own, ok := namespaceOf(got, f-1); ok && own != after && own.Inode != before.Inode {
			return Leaked, fmt.Sprintf("children would be in %d, it is in %d itself", after.Inode, own.Inode)
		}
	}
	return Equal, ""
}

// ownerOf returns the inode number of the user namespace that must own new
// namespaces: the workload's own, if that was asked for, else the caller's.
func (e *Expectation) ownerOf(got *posture.Posture) (uint32, bool) {
	if !e.user.Asked {
		return e.owner.Get()
	}
	if o, _ := e.Compare(NSUser, got); o != Equal {
		return 0, false // is a finding of its own
	}
	ns, ok := got.Namespaces.User.Get()
	return ns.Inode, ok
}

// truncated judges a table of which only the beginning was seen.
func (e *Expectation) truncated(g posture.Files) (Outcome, string) {
	w, _ := e.want.Files.Get()
	if len(g.Open)+int(g.Truncated) > len(w.Open) {
		return Leaked, fmt.Sprintf("%d descriptors, %d of them not listed", len(g.Open)+int(g.Truncated), g.Truncated)
	}
	return Unobservable, fmt.Sprintf("%d descriptors were not listed", g.Truncated)
}

// judged remembers the last filter that was judged: launches of one request
// install the same one, and simulating it takes longer than all the rest.
type judged struct {
	last atomic.Pointer[verdictOnFilter]
}

type verdictOnFilter struct {
	filter  posture.Filter
	outcome Outcome
	why     string
}

// filtered judges the stack of seccomp filters: those that were asked for, in
// their order, each by what it does, on top of exactly those that the caller
// has.
func (e *Expectation) filtered(got *posture.Posture) (Outcome, string) {
	before, ok := e.want.Seccomp.Filters.Get()
	if !ok {
		return Unobservable, "the caller's filters are not known"
	}
	after, _ := got.Seccomp.Filters.Get()
	added, asked := len(after)-len(before), len(e.filters)
	switch {
	case added < 0:
		return Weaker, fmt.Sprintf("%d filters, the caller has %d", len(after), len(before))
	case added == 0:
		return Ignored, "no filter was added"
	case added < asked:
		return Weaker, fmt.Sprintf("%d of %d filters were added", added, asked)
	case added > asked:
		return Stronger, fmt.Sprintf("%d filters were added, not %d", added, asked)
	}
	if !equalFilters(before, after[added:]) {
		return Leaked, "the caller's own filters are not beneath"
	}
	for i := range after {
		if len(after[i].Instructions) == 0 {
			return Unobservable, "filter " + strconv.Itoa(i) + ": " + after[i].InstructionsLost
		}
	}
	if e.feat.Seccomp == nil {
		return Unobservable, "there is no judge for filters"
	}
	worst, why := Equal, ""
	for i := range e.filters {
		o, w := e.filter(i, &after[i])
		if asked > 1 && w != "" {
			w = fmt.Sprintf("filter %d of %d: %s", asked-i, asked, w)
		}
		if gravity(o) > gravity(worst) {
			worst, why = o, w
		}
	}
	return worst, why
}

// filter judges one of the filters that were asked for.
func (e *Expectation) filter(i int, f *posture.Filter) (Outcome, string) {
	if v := e.judged[i].last.Load(); v != nil && equalFilter(&v.filter, f) {
		return v.outcome, v.why
	}
	v := &verdictOnFilter{filter: *f}
	v.filter.Instructions = slices.Clone(f.Instructions)
	v.outcome, v.why = e.feat.Seccomp.JudgeFilter(e.filters[i], f)
	e.judged[i].last.Store(v)
	return v.outcome, v.why
}

// Want is the wanted value for a report, or a description of it where it is
// not a single value.
func (e *Expectation) Want(f Field) any {
	r := &e.rules[f]
	switch r.pred {
	case isFresh, isMirror:
		return map[string]any{"new": true, "not": f.Value(e.caller)}
	case isFiltered:
		if len(e.filters) == 1 {
			return map[string]any{"policy": e.filters[0], "on_top_of": f.Value(e.caller)}
		}
		return map[string]any{"policies": e.filters, "on_top_of": f.Value(e.caller)}
	case isArmed:
		return map[string]any{"as": SeccompMode.String()}
	case isWithin:
		return map[string]any{"within": f.Value(&e.want)}
	case isAtLeast:
		return map[string]any{"at_least": f.Value(&e.want)}
	}
	if ok, why := e.known(f); !ok {
		return map[string]any{"unknown": why}
	}
	return f.Value(&e.want)
}

// ignoredAlike: what is ignored differs only in signals that may be either.
func (e *Expectation) ignoredAlike(got *posture.Posture) bool {
	want, _ := e.want.Signals.Ignored.Get()
	g, _ := got.Signals.Ignored.Get()
	return want&^e.ignorable == g&^e.ignorable
}
