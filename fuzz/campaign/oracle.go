package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/probes/posture"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Oracle judges a case by something else than the expectation, which launcher and
// oracle may both get wrong in the same way: by what must hold between launches.
type Oracle struct {
	Name  string
	Share int // it judges one of so many cases
	// Check launches variants of a request that was clean, and says what must
	// not be. If evidence is missing ok is false, and keys say of what; without
	// keys there was nothing to try, and one that begins with "spared: " says
	// why what there was could not be. seed decides what is tried; base is a clean launch of the request, or nil.
	Check func(ctx context.Context, r *request.Request, seed uint64, base *Verdict) (keys []string, ok bool)
}

// relations are the oracles of a bench: name, what they say, share by default.
var relations = []struct {
	name, says string
	share      int
	check      func(*variant) ([]string, bool)
}{
	{"twice", "the same request twice: the same state but for what names one process", 16, (*variant).twice},
	{"monotone", "one restriction more: no right more", 16, (*variant).monotone},
	{"idempotent", "entries of a set twice: the same state", 32, (*variant).idempotent},
	{"order", "entries of a set in another order: the same state", 32, (*variant).order},
	{"neighbour", "another container beside it: the same state", 32, (*variant).neighbour},
	{"enter", "a process that enters the container: in its namespaces, with its names and maps", 64, (*variant).enter},
}

// OracleHelp lists the oracles, one a line.
func OracleHelp() string {
	var b strings.Builder
	for _, r := range relations {
		fmt.Fprintf(&b, "%s/%d: %s\n", r.name, r.share, r.says)
	}
	return b.String()
}

// Oracles are those that a text names: "all", "none", or names with shares, as
// "twice/4 monotone". The second result is the text in its one form, for
// [Info].Oracles.
func (b *Bench) Oracles(text string) ([]Oracle, string, error) {
	if text == "none" || text == "" {
		return nil, "", nil
	}
	want := map[string]int{}
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		name, share, _ := strings.Cut(w, "/")
		n := 0
		if share != "" {
			var err error
			if n, err = strconv.Atoi(share); err != nil || n < 1 {
				return nil, "", fmt.Errorf("oracle %q: after the stroke is a positive number: one of so many cases", w)
			}
		}
		found := false
		for _, r := range relations {
			if name == r.name || name == "all" {
				found = true
				if want[r.name] = n; n == 0 {
					want[r.name] = r.share
				}
			}
		}
		if !found {
			return nil, "", fmt.Errorf("no oracle %q; there are:\n%s", name, OracleHelp())
		}
	}
	var out []Oracle
	var names []string
	for _, r := range relations {
		if want[r.name] == 0 {
			continue
		}
		out = append(out, Oracle{Name: r.name, Share: want[r.name], Check: func(ctx context.Context, q *request.Request, seed uint64, base *Verdict) ([]string, bool) {
			return r.check(&variant{ctx: ctx, b: b, asked: q, r: cover.NewStream(seed), base: base})
		}})
		names = append(names, fmt.Sprintf("%s/%d", r.name, want[r.name]))
	}
	slices.Sort(names)
	return out, strings.Join(names, " "), nil
}

// spared begins the one key of a check that could not be made of a case, though
// the oracle was asked to: what follows says why. That is no incident; it is
// counted.
const spared = "spared: "

func spare(why string) ([]string, bool) { return []string{spared + why}, false }

// variant is one check under way.
type variant struct {
	ctx   context.Context
	b     *Bench
	asked *request.Request
	r     *cover.Stream
	base  *Verdict
}

// first is the state of the request as it is; nil if it is not clean any more, or
// was not seen.
func (v *variant) first() map[string]string {
	if v.base == nil {
		v.base = v.b.Run(v.ctx, v.asked, v.asked)
	}
	if !v.base.Clean() || v.base.Seen == nil {
		return nil
	}
	return v.b.host.state(v.base.Seen)
}

// lost says that a launch has no evidence to compare.
func (v *variant) lost(of *Verdict) ([]string, bool) {
	if of.Judged || len(of.Keys) == 0 {
		return []string{"unknown: nothing to compare"}, false
	}
	return of.Keys[:1], false
}

// same launches another request that has to come to the same.
func (v *variant) same(r *request.Request) ([]string, bool) {
	want := v.first()
	if want == nil {
		return v.lost(v.base)
	}
	got := v.b.Run(v.ctx, r, r)
	switch {
	case !got.Judged:
		return v.lost(got)
	case len(got.Keys) > 0:
		return got.Keys, true // clean as it was, and not so
	case got.Seen == nil:
		return v.lost(got)
	}
	return differences(want, v.b.host.state(got.Seen)), true
}

func (v *variant) twice() ([]string, bool) { return v.same(v.asked) }

// copied is a request of which the parts that variants change can be changed.
func copied(r *request.Request) *request.Request {
	c, spec, process, linux := *r, *r.Spec, *r.Process(), *r.Linux()
	spec.Process, spec.Linux, c.Spec = &process, &linux, &spec
	process.User.AdditionalGids = slices.Clone(process.User.AdditionalGids)
	process.Rlimits = slices.Clone(process.Rlimits)
	linux.Namespaces = slices.Clone(linux.Namespaces)
	linux.MaskedPaths, linux.ReadonlyPaths = slices.Clone(linux.MaskedPaths), slices.Clone(linux.ReadonlyPaths)
	if k := process.Capabilities; k != nil {
		caps := *k
		for _, l := range []*[]string{&caps.Bounding, &caps.Permitted, &caps.Effective, &caps.Inheritable, &caps.Ambient} {
			*l = slices.Clone(*l)
		}
		process.Capabilities = &caps
	}
	return &c
}

// sets calls each of the functions with a list whose order says nothing, and says
// whether there was one of more than least entries.
func sets(r *request.Request, least int, words func(*[]string), ids func(*[]uint32), rest ...func()) (any bool) {
	use := func(l *[]string) {
		if len(*l) > least {
			words(l)
			any = true
		}
	}
	if k := r.Process().Capabilities; k != nil {
		for _, l := range []*[]string{&k.Bounding, &k.Permitted, &k.Effective, &k.Inheritable, &k.Ambient} {
			use(l)
		}
	}
	use(&r.Spec.Linux.MaskedPaths)
	use(&r.Spec.Linux.ReadonlyPaths)
	if len(r.Process().User.AdditionalGids) > least {
		ids(&r.Spec.Process.User.AdditionalGids)
		any = true
	}
	for _, f := range rest {
		f()
	}
	return any
}

func doubled[T any](l *[]T) { *l = append(slices.Clip(*l), *l...) }

// idempotent asks for everything twice that is a set. Groups are none: the kernel
// keeps one as often as setgroups(2) has it.
func (v *variant) idempotent() ([]string, bool) {
	c := copied(v.asked)
	c.Spec.Process.User.AdditionalGids = nil
	if !sets(c, 0, doubled[string], nil) {
		return nil, false
	}
	c.Spec.Process.User.AdditionalGids = v.asked.Process().User.AdditionalGids
	return v.same(c)
}

func shuffled[T any](r *cover.Stream) func(*[]T) {
	return func(l *[]T) { r.Shuffle(len(*l), func(i, j int) { (*l)[i], (*l)[j] = (*l)[j], (*l)[i] }) }
}

// order brings what is a set into another order.
func (v *variant) order() ([]string, bool) {
	c := copied(v.asked)
	more := false
	sorted := func() {
		if len(c.Spec.Linux.Namespaces) > 1 {
			shuffled[specs.LinuxNamespace](v.r)(&c.Spec.Linux.Namespaces)
			more = true
		}
		if len(c.Spec.Process.Rlimits) > 1 {
			shuffled[specs.POSIXRlimit](v.r)(&c.Spec.Process.Rlimits)
			more = true
		}
	}
	if !sets(c, 1, shuffled[string](v.r), shuffled[uint32](v.r), sorted) && !more {
		return nil, false
	}
	return v.same(c)
}

// neighbour holds another case's container beside it.
func (v *variant) neighbour() ([]string, bool) {
	a := v.b.Model.Space().Sparse(v.r, slices.Repeat([]uint8{60}, len(v.b.Model.Parameters())))
	for _, not := range []string{"cgroup freeze", "seccomp, notify"} {
		if _, on := v.b.Model.Words(a)[not]; on {
			return nil, false
		}
	}
	// Cases have numbers below this, and names come from numbers.
	other := v.b.Model.Build(a, v.r.Uint64(), 1<<39|v.r.Uint64N(1<<38))
	if v.first() == nil {
		return v.lost(v.base)
	}
	end, err := v.b.beside(v.ctx, other)
	if err != nil {
		return nil, false // that it is refused is that case's own finding
	}
	v.b.neighbours.Add(1)
	keys, ok := v.same(v.asked)
	v.b.neighbours.Add(-1)
	if err := end(); err != nil {
		return []string{"residue: neighbour: " + errno(err)}, true
	}
	return keys, ok
}

// enter has a process join the container, as an engine's exec does.
func (v *variant) enter() ([]string, bool) {
	if v.asked.Ext.Enter != nil || v.asked.Namespace(specs.PIDNamespace).Asked || v.asked.Ext.Cgroup.Freeze {
		return nil, false
	}
	if fuzz.Notifies(v.asked) {
		return nil, false // there is nobody to take the container's listener
	}
	if slices.Contains(callerOf(v.ctx), "filter") {
		// Which takes stopping the container, to copy its filters; and they are
		// then there twice, once of the launcher and once of the container.
		return spare("the launcher's caller has a filter, and the container the same")
	}
	want := v.first()
	if want == nil {
		return v.lost(v.base)
	}
	pid, end, err := v.b.hold(v.ctx, v.asked)
	if err != nil {
		return []string{"unknown: container: " + errno(err)}, false
	}
	r := request.New(v.b.Dir + "/workload")
	if v.asked.Spec.Root != nil {
		r = request.New("/workload")
	}
	r.Ext.Enter = &request.Enter{PID: pid}
	got := v.b.Run(v.ctx, r, r)
	if err := end(); err != nil {
		return []string{"residue: container: " + errno(err)}, true
	}
	switch {
	case !got.Judged || got.Seen == nil && len(got.Keys) == 0:
		return v.lost(got)
	case errors.Is(got.refusal, checkpoint.ErrUnmapped):
		return spare("the container has ids that its user namespace has not mapped")
	case got.Seen == nil:
		return got.Keys, true // refused
	}
	keys := got.Keys
	state := v.b.host.state(got.Seen)
	for _, d := range differences(want, state) {
		if strings.HasPrefix(d, "namespaces.") || strings.HasPrefix(d, "uts.") || strings.HasPrefix(d, "user_namespace.") || strings.HasPrefix(d, "time.") {
			keys = append(keys, d)
		}
	}
	return keys, true
}

// monotone asks for one thing more that can only take rights away.
func (v *variant) monotone() ([]string, bool) {
	c := copied(v.asked)
	p := c.Spec.Process
	var ways []func()
	if !p.NoNewPrivileges {
		ways = append(ways, func() { p.NoNewPrivileges = true })
	}
	for _, name := range []string{"RLIMIT_CORE", "RLIMIT_MSGQUEUE", "RLIMIT_NICE"} {
		if !slices.ContainsFunc(p.Rlimits, func(l specs.POSIXRlimit) bool { return l.Type == name }) {
			ways = append(ways, func() { p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{Type: name}) })
		}
	}
	if k := p.Capabilities; k != nil {
		for _, name := range k.Permitted {
			ways = append(ways, func() {
				for _, l := range []*[]string{&k.Bounding, &k.Permitted, &k.Effective, &k.Inheritable, &k.Ambient} {
					*l = slices.DeleteFunc(*l, func(s string) bool { return s == name })
				}
			})
			break
		}
	}
	if c.Linux().Seccomp == nil {
		ways = append(ways, func() {
			nr := uint(1)
			c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"acct"}, Action: specs.ActErrno, ErrnoRet: &nr}},
			}
		})
	}
	if len(ways) == 0 {
		return nil, false
	}
	if v.first() == nil {
		return v.lost(v.base)
	}
	ways[v.r.IntN(len(ways))]()
	got := v.b.Run(v.ctx, c, c)
	switch {
	case !got.Judged || got.Seen == nil && len(got.Keys) == 0:
		return v.lost(got)
	case got.Seen == nil:
		return got.Keys, true // refused
	}
	return append(slices.Clone(got.Keys), wider(v.base.Seen, got.Seen)...), true
}

// wider names what the second posture may do and the first may not.
func wider(a, b *posture.Posture) []string {
	var out []string
	for _, set := range []struct {
		name string
		of   func(*posture.Posture) *posture.Value[posture.CapSet]
	}{
		{"capabilities.bounding", func(p *posture.Posture) *posture.Value[posture.CapSet] { return &p.Capabilities.Bounding }},
		{"capabilities.permitted", func(p *posture.Posture) *posture.Value[posture.CapSet] { return &p.Capabilities.Permitted }},
		{"capabilities.effective", func(p *posture.Posture) *posture.Value[posture.CapSet] { return &p.Capabilities.Effective }},
		{"capabilities.inheritable", func(p *posture.Posture) *posture.Value[posture.CapSet] { return &p.Capabilities.Inheritable }},
		{"capabilities.ambient", func(p *posture.Posture) *posture.Value[posture.CapSet] { return &p.Capabilities.Ambient }},
	} {
		x, xok := set.of(a).Get()
		y, yok := set.of(b).Get()
		if xok && yok && y&^x != 0 {
			out = append(out, fmt.Sprintf("%s: wider", set.name))
		}
	}
	less := func(name string, x, y posture.Value[uint32]) {
		m, mok := x.Get()
		n, nok := y.Get()
		if mok && nok && n < m {
			out = append(out, name+": wider")
		}
	}
	less("seccomp.mode", a.Seccomp.Mode, b.Seccomp.Mode)
	less("seccomp.filter_count", a.Seccomp.Count, b.Seccomp.Count)
	less("landlock.layers", a.Landlock.Layers, b.Landlock.Layers)
	if x, ok := a.FS.Umask.Get(); ok {
		if y, ok := b.FS.Umask.Get(); ok && x&^y != 0 {
			out = append(out, "fs.umask: wider")
		}
	}
	off := func(name string, x, y posture.Value[bool]) {
		m, mok := x.Get()
		n, nok := y.Get()
		if mok && nok && m && !n {
			out = append(out, name+": wider")
		}
	}
	off("privilege.no_new_privs", a.Privilege.NoNewPrivs, b.Privilege.NoNewPrivs)
	off("fs.root_read_only", a.FS.RootReadOnly, b.FS.RootReadOnly)
	off("seccomp.armed", a.Seccomp.Armed, b.Seccomp.Armed)
	x, xok := a.Rlimits.Get()
	y, yok := b.Rlimits.Get()
	for i := range x {
		if xok && yok && (y[i].Hard > x[i].Hard || y[i].Soft > x[i].Soft) {
			out = append(out, "rlimits."+posture.RlimitNames[i]+": wider")
		}
	}
	for _, id := range []struct {
		name string
		x, y posture.Value[uint32]
	}{{"ids.euid", a.IDs.EUID, b.IDs.EUID}, {"ids.uid", a.IDs.UID, b.IDs.UID}, {"ids.egid", a.IDs.EGID, b.IDs.EGID}} {
		m, mok := id.x.Get()
		n, nok := id.y.Get()
		if mok && nok && m != n {
			out = append(out, id.name+": another")
		}
	}
	if m, ok := a.IDs.Groups.Get(); ok {
		if n, ok := b.IDs.Groups.Get(); ok && slices.ContainsFunc(n, func(g uint32) bool { return !slices.Contains(m, g) }) {
			out = append(out, "ids.groups: wider")
		}
	}
	if m, ok := a.Privilege.Securebits.Get(); ok {
		// Bits that take something from user 0; keep caps gives.
		const takes = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<6 | 1<<7
		if n, ok := b.Privilege.Securebits.Get(); ok && bits.OnesCount32(m&^n&takes) > 0 {
			out = append(out, "privilege.securebits: wider")
		}
	}
	return out
}

// hold and beside keep a container for a while; see [harness.Runner.Beside].
func (b *Bench) hold(ctx context.Context, r *request.Request) (pid int, end func() error, err error) {
	lent, back, err := b.nets.lend(b.Dir, r)
	if err != nil {
		return 0, nil, err
	}
	runner, _, done, err := b.from(ctx)
	if err != nil {
		back()
		return 0, nil, err
	}
	pid, abort, err := runner.Beside(ctx, lent[0], &checkpoint.Options{Files: b.passed(r)})
	if err != nil {
		done()
		back()
		return 0, nil, err
	}
	return pid, func() error {
		err := abort()
		done()
		if changed := back(); changed != nil {
			err = errors.Join(err, fmt.Errorf("pooled network namespace: %v", changed))
		}
		return err
	}, nil
}

func (b *Bench) beside(ctx context.Context, r *request.Request) (end func() error, err error) {
	_, end, err = b.hold(ctx, r)
	return end, err
}
