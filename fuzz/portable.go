package fuzz

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/request"
	"golang.org/x/sys/unix"
)

// Portable is a case that is the same request on every machine that can do it:
// unlike one of a [Model] it is a function of seed and index alone. It is
// for comparing kernels.
type Portable struct {
	Index  uint64
	Values map[string]string // parameters that are on
	// Lacks names the parameters, with their values, that this machine does
	// not have; there is no request then.
	Lacks   []string
	Request *request.Request
	// ID is the same wherever the request is, but for the names that belong
	// to the campaign.
	ID string
}

// ofBench are values that a campaign's launcher gives a meaning to.
var ofBench = []string{"pooled"}

// rlimitSigpending is RLIMIT_SIGPENDING (include/uapi/asm-generic/resource.h).
const rlimitSigpending = 11

// portableVersion changes when the same index comes to another request.
const portableVersion = 1

// setting is one value of one parameter.
type setting struct {
	d      *dimension
	number int // of the variant
	value  string
}

// settings are all values of all parameters, of any machine, in the order of
// drawing.
func settings() (all []setting, order []*dimension) {
	for i := range dimensions {
		d := &dimensions[i]
		if d.name == "cgroup v2" || d.name == "rlimits" {
			for j := range only {
				if (only[j].name == "cgroups by path") == (d.name == "cgroup v2") {
					order = append(order, &only[j])
				}
			}
		}
		if d.draw != nil && !slices.Contains(notModelled, d.name) {
			order = append(order, d)
		}
	}
	for _, d := range order {
		names := variants[d.name]
		if names == nil {
			names = []string{"on"}
		}
		for i, v := range names {
			if !slices.Contains(ofBench, v) {
				all = append(all, setting{d, i, v})
			}
		}
	}
	return all, order
}

// Singles is how many of the first portable cases try one value of one
// parameter each, with what that parameter needs; the first asks for nothing.
// All later ones combine several.
func Singles() uint64 {
	all, _ := settings()
	return uint64(len(all)) + 1
}

// PortableCase computes a case. The machine decides what of it is possible,
// and nothing else. Its memory must not be smaller than that of the machines
// that it is compared with, since some limits are.
func PortableCase(seed, index uint64, m *Machine) *Portable {
	all, order := settings()
	key := cover.Key(portableVersion, seed, index)
	chosen := map[string]setting{}
	switch {
	case index == 0:
	case index <= uint64(len(all)):
		choose(chosen, all[index-1], all, key)
	default:
		s := cover.NewStream(cover.Key(key, 1))
		want := 2 + s.IntN(11)
		for tries := 0; len(chosen) < want && tries < 4*want; tries++ {
			next := maps.Clone(chosen)
			choose(next, all[s.IntN(len(all))], all, key)
			if !clashing(next) {
				chosen = next
			}
		}
	}
	p := &Portable{Index: index, Values: map[string]string{}}
	for name, x := range chosen {
		p.Values[name] = x.value
		switch {
		case !m.can(x.d):
			p.Lacks = append(p.Lacks, name)
		case slices.Contains(m.lacking(name), x.value):
			p.Lacks = append(p.Lacks, name+"="+x.value)
		}
	}
	slices.Sort(p.Lacks)
	if p.Lacks == nil {
		p.Request = buildPortable(m, chosen, order, key, index)
		common := *m
		common.Dir, common.Tag, common.Listener = "/dir", "tag", "/dir/listener"
		if m.CgroupV2 != "" {
			common.CgroupV2 = "/cgroup"
		}
		b, err := json.Marshal(buildPortable(&common, chosen, order, key, index))
		if err != nil {
			panic(err) // of plain data
		}
		sum := sha256.Sum256(b)
		p.ID = hex.EncodeToString(sum[:8])
	}
	return p
}

// choose adds a value and what its parameter needs.
func choose(chosen map[string]setting, x setting, all []setting, key uint64) {
	if _, there := chosen[x.d.name]; there {
		return
	}
	chosen[x.d.name] = x
	for _, n := range x.d.needs {
		var of []setting
		for _, y := range all {
			if y.d.name == n {
				of = append(of, y)
			}
		}
		if len(of) == 0 {
			panic("fuzz: no parameter " + n)
		}
		choose(chosen, of[cover.NewStream(cover.Key(key, 2, hashName(n))).IntN(len(of))], all, key)
	}
}

// clashing reports whether some of the values do not go together on any machine.
func clashing(chosen map[string]setting) bool {
	widest := Machine{RTGroups: true}
	for _, c := range widest.clashes() {
		all := true
		for name, values := range c {
			x, on := chosen[name]
			all = all && on && (values == nil || slices.Contains(values, x.value))
		}
		if all {
			return true
		}
	}
	return false
}

func hashName(name string) uint64 {
	h := sha256.Sum256([]byte(name))
	return binary.LittleEndian.Uint64(h[:])
}

// buildPortable makes the request as if the machine could do just what the
// values need: what else it can must not change what is drawn.
func buildPortable(m *Machine, chosen map[string]setting, order []*dimension, key, index uint64) *request.Request {
	plain := *m
	plain.SetAttr, plain.WaitKillable = false, false
	if abi := 1; m.LandlockABI > 0 {
		for name, x := range chosen {
			switch {
			case name == "landlock, rules for ports", name == "landlock" && x.value == "ports":
				abi = max(abi, 4)
			case name == "landlock" && x.value == "scopes":
				abi = max(abi, 6)
			}
		}
		plain.LandlockABI = abi
	}
	for i := range plain.Rlimits { // those of processes and signals follow from the size of memory
		plain.Rlimits[i][1] = min(plain.Rlimits[i][1], 1<<31)
		if i == unix.RLIMIT_NPROC || i == rlimitSigpending {
			plain.Rlimits[i][1] = min(plain.Rlimits[i][1], 1000)
		}
	}
	d := &drawer{m: &plain, r: request.New(plain.Dir + "/workload"), index: index, on: map[string]bool{}}
	for name := range chosen {
		d.on[name] = true
	}
	for _, x := range order {
		if s, on := chosen[x.name]; on {
			d.source = cover.NewStream(cover.Key(key, hashName(x.name)))
			d.wanted = s.number
			x.draw(d)
		}
	}
	return d.r
}

// String names the case.
func (p *Portable) String() string { return fmt.Sprintf("case %d", p.Index) }

// AllDimensions lists the names of everything that can be drawn on any machine.
func AllDimensions() []string {
	_, order := settings()
	var out []string
	for _, d := range order {
		out = append(out, d.name)
	}
	return out
}

// Can reports whether a machine can do what a dimension asks for.
func Can(m *Machine, name string) bool {
	_, order := settings()
	i := slices.IndexFunc(order, func(d *dimension) bool { return d.name == name })
	return i >= 0 && m.can(order[i])
}
