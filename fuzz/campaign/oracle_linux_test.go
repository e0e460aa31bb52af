package campaign

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// umask changes one thing that is asked for, in launcher and expectation alike.
func umask(r *request.Request) *request.Request {
	c := copied(r)
	c.Spec.Process.User.Umask = new(uint32(0o321))
	return c
}

// TestRelationsFindWhatTheExpectationCannot plants, for each oracle, a fault of
// launcher and expectation alike, which the expectation cannot see, and shows
// that this oracle sees it and no other.
func TestRelationsFindWhatTheExpectationCannot(t *testing.T) {
	b := bench(t)
	r := request.New(b.Dir + "/workload")
	all := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"}
	r.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
	r.Spec.Process.User.Umask = new(uint32(0o22))
	r.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UTSNamespace}, {Type: specs.IPCNamespace}, {Type: specs.NetworkNamespace}}
	r.Spec.Hostname = "inside"
	plain := copied(r)
	launches := 0
	faults := map[string]func(*request.Request) *request.Request{
		// Every second launch forgets.
		"twice": func(q *request.Request) *request.Request {
			if launches++; launches%2 == 0 {
				return umask(q)
			}
			return nil
		},
		// One restriction more, and a capability is back.
		"monotone": func(q *request.Request) *request.Request {
			k, l := q.Process().Capabilities, plain.Process().Capabilities
			if len(k.Permitted) >= len(l.Permitted) && q.Process().NoNewPrivileges == plain.Process().NoNewPrivileges &&
				len(q.Process().Rlimits) == 0 && q.Linux().Seccomp == nil {
				return nil
			}
			c := copied(q)
			n := c.Spec.Process.Capabilities
			for _, s := range []*[]string{&n.Bounding, &n.Permitted, &n.Effective} {
				*s = append(*s, "CAP_SYS_ADMIN")
			}
			return c
		},
		// What is there twice takes another place in a table that is too small.
		"idempotent": func(q *request.Request) *request.Request {
			if l := q.Process().Capabilities.Bounding; len(slices.Compact(slices.Sorted(slices.Values(l)))) != len(l) {
				return umask(q)
			}
			return nil
		},
		// The first entry is special.
		"order": func(q *request.Request) *request.Request {
			if q.Linux().Namespaces[0].Type != specs.UTSNamespace || q.Process().Capabilities.Bounding[0] != "CAP_CHOWN" {
				return umask(q)
			}
			return nil
		},
		// Something global is shared with whoever is there.
		"neighbour": func(q *request.Request) *request.Request {
			if b.neighbours.Load() > 0 {
				return umask(q)
			}
			return nil
		},
		// Who enters forgets a namespace.
		"enter": func(q *request.Request) *request.Request {
			if q.Ext.Enter == nil {
				return nil
			}
			c := copied(q)
			e := *q.Ext.Enter
			e.Namespaces = []specs.LinuxNamespaceType{specs.IPCNamespace, specs.NetworkNamespace}
			c.Ext.Enter = &e
			return c
		},
	}
	check := func(name string) (keys []string, ok bool) {
		t.Helper()
		list, _, err := b.Oracles(name)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(8) { // a shuffle may change nothing, a neighbour not start
			k, judged := list[0].Check(t.Context(), r, cover.Key(seed), nil)
			keys, ok = append(keys, k...), ok || judged
		}
		return keys, ok
	}
	for _, rel := range relations {
		if keys, ok := check(rel.name); !ok || len(keys) > 0 {
			t.Errorf("%s without a fault: judged %v, %v", rel.name, ok, keys)
		}
	}
	for name, fault := range faults {
		b.mangle, launches = func(q *request.Request) *request.Request {
			if q.Ext.Enter != nil && name != "enter" {
				return nil // it has nothing of what the others are about
			}
			return fault(q)
		}, 0
		if v := b.Run(t.Context(), r, r); !v.Clean() {
			t.Errorf("%s: the expectation finds it, too: %v, %v", name, v.Keys, v.Err)
		}
		launches = 0
		for _, rel := range relations {
			keys, ok := check(rel.name)
			switch {
			case rel.name == name && (!ok || len(keys) == 0):
				v := b.Run(t.Context(), r, r)
				t.Errorf("%s does not find its own fault (judged: %v; %v)", name, ok, v.Keys)
			case rel.name == name:
				t.Logf("%s: %v", name, slices.Compact(slices.Sorted(slices.Values(keys))))
			case name == "twice":
				// What comes and goes is seen by whoever launches twice.
			case len(keys) > 0:
				t.Errorf("the fault of %s is found by %s as well: %v", name, rel.name, keys)
			}
		}
		b.mangle = nil
	}
}

// TestRelationsHold: no oracle says anything of cases without a fault.
func TestRelationsHold(t *testing.T) {
	b := bench(t)
	list, text, err := b.Oracles("all")
	if err != nil {
		t.Fatal(err)
	}
	if want := len(relations); len(list) != want || strings.Count(text, "/") != want {
		t.Fatalf("%d oracles: %s", len(list), text)
	}
	q, err := b.Model.Sequence(77, 1)
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(24)
	if s := os.Getenv("HOLDSHORT_CASES"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	judged := map[string]int{}
	for i := range n {
		r := b.Model.Build(q.At(i), 77, i)
		ctx := WithCaller(t.Context(), b.Model.Caller(q.At(i)))
		base := b.Run(ctx, r, r)
		if !base.Clean() {
			t.Errorf("case %d: %v, %v", i, base.Keys, base.Err)
			continue
		}
		for _, o := range list {
			keys, ok := o.Check(ctx, r, cover.Key(i), base)
			if ok {
				judged[o.Name]++
			}
			if why, is := sparedFor(keys, ok); is {
				t.Logf("case %d: %s could not: %s", i, o.Name, why)
				continue
			}
			if len(keys) > 0 {
				t.Errorf("case %d: %s: %v: %s", i, o.Name, keys, b.Model.Text(q.At(i)))
			}
		}
	}
	t.Logf("%d cases, judged by: %v", n, judged)
	for _, o := range list {
		if judged[o.Name] == 0 {
			t.Errorf("%s never judged anything", o.Name)
		}
	}
}

// TestEnterSaysWhatItCannot: a container with a group that its user namespace has
// not mapped cannot be entered with it, which is told apart from what else may be
// refused. It needs root and eBPF.
func TestEnterSaysWhatItCannot(t *testing.T) {
	b := bench(t)
	if !b.Machine.UserNS {
		t.Skip("needs user namespaces")
	}
	list, _, err := b.Oracles("enter")
	if err != nil {
		t.Fatal(err)
	}
	r := request.New(b.Dir + "/workload")
	r.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace}}
	one := []specs.LinuxIDMapping{{ContainerID: 7, HostID: 7, Size: 1}}
	r.Spec.Linux.UIDMappings, r.Spec.Linux.GIDMappings = one, one
	keys, ok := list[0].Check(t.Context(), r, 1, nil)
	if why, is := sparedFor(keys, ok); !is || !strings.Contains(why, "not mapped") {
		t.Errorf("%v, judged: %v", keys, ok)
	}
	ctx := WithCaller(t.Context(), []string{"filter"})
	keys, ok = list[0].Check(ctx, request.New(b.Dir+"/workload"), 1, nil)
	if why, is := sparedFor(keys, ok); !is || !strings.Contains(why, "filter") {
		t.Errorf("%v, judged: %v", keys, ok)
	}
}
