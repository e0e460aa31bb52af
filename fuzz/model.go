package fuzz

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/request"
)

// Off is the first value of every parameter: the request does not speak of it.
const Off = "off"

// Parameter is one thing that can be asked for, with the few ways to ask for it
// that are told apart.
type Parameter struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // the first is [Off]
	Needs  []string `json:"needs,omitempty"`
}

// Assignment is a value for each parameter of a model, by their numbers.
type Assignment = cover.Row

// Model is the space of valid requests on one machine.
type Model struct {
	m      *Machine
	params []Parameter
	draws  []*dimension
	number []map[int]int // value to number of its variant
	index  map[string]int
	space  *cover.Space
	hash   [sha256.Size]byte
	needs  [][]int
	no     [][]cover.Term // what does not go together
	slow   []bool
	// callers are the parameters of [Model.Caller], by what it calls them; empty
	// for the others.
	callers []string
}

// NewModel makes the model of a machine.
func NewModel(m *Machine) (*Model, error) {
	md := &Model{m: m, index: map[string]int{}}
	// In the order of drawing, which the draw functions rely on.
	table := []*dimension{}
	for i := range dimensions {
		d := &dimensions[i]
		if d.name == "cgroup v2" || d.name == "rlimits" {
			for j := range only {
				if (only[j].name == "cgroups by path") == (d.name == "cgroup v2") {
					table = append(table, &only[j])
				}
			}
		}
		table = append(table, d)
	}
	for _, d := range table {
		if d.draw == nil || slices.Contains(notModelled, d.name) || !m.can(d) {
			continue
		}
		md.parameter(d)
	}
	var err error
	if err = md.relate(); err != nil {
		return nil, err
	}
	forbidden, err := md.forbidden()
	if err != nil {
		return nil, err
	}
	md.no = forbidden
	levels := make([]int, len(md.params))
	for i, p := range md.params {
		levels[i] = len(p.Values)
	}
	if md.space, err = cover.New(levels, forbidden); err != nil {
		return nil, fmt.Errorf("fuzz: %w", err)
	}
	return md, md.sum(forbidden)
}

func (md *Model) parameter(d *dimension) {
	names := variants[d.name]
	if names == nil {
		names = []string{"on"}
	}
	p := Parameter{Name: d.name, Values: []string{Off}, Needs: d.needs}
	number := map[int]int{}
	for i, v := range names {
		if !slices.Contains(md.m.lacking(d.name), v) {
			number[len(p.Values)] = i
			p.Values = append(p.Values, v)
		}
	}
	md.index[p.Name] = len(md.params)
	md.params = append(md.params, p)
	md.draws = append(md.draws, d)
	md.number = append(md.number, number)
}

// relate finds the parameters that others need by name, and those that are slow.
func (md *Model) relate() error {
	md.needs, md.slow, md.callers = make([][]int, len(md.params)), make([]bool, len(md.params)), make([]string, len(md.params))
	for i, p := range md.params {
		if name, ok := strings.CutPrefix(p.Name, callerPrefix); ok {
			md.callers[i] = name
		}
		md.slow[i] = slices.Contains(slow, p.Name)
		for _, n := range p.Needs {
			j, ok := md.index[n]
			if !ok {
				return fmt.Errorf("fuzz: %q needs %q, which is no parameter", p.Name, n)
			}
			md.needs[i] = append(md.needs[i], j)
		}
	}
	return nil
}

func (md *Model) forbidden() ([][]cover.Term, error) {
	var out [][]cover.Term
	for i, list := range md.needs {
		for _, j := range list {
			out = append(out, []cover.Term{{Param: i, Values: ^uint32(1)}, {Param: j, Values: 1}})
		}
	}
	for _, c := range md.m.clashes() {
		var terms []cover.Term
		for i, p := range md.params { // in this order, not the map's
			values, named := c[p.Name]
			if !named {
				continue
			}
			t := cover.Term{Param: i, Values: ^uint32(1)}
			if values != nil {
				t.Values = 0
				for v, name := range p.Values {
					if slices.Contains(values, name) {
						t.Values |= 1 << v
					}
				}
			}
			terms = append(terms, t)
		}
		for name := range c {
			if !slices.ContainsFunc(dimensions, func(d dimension) bool { return d.name == name }) && !slices.ContainsFunc(only, func(d dimension) bool { return d.name == name }) {
				return nil, fmt.Errorf("fuzz: no parameter %q for a clash", name)
			}
		}
		if len(terms) == len(c) {
			out = append(out, terms)
		}
	}
	return out, nil
}

// sum computes the hash.
func (md *Model) sum(forbidden [][]cover.Term) error {
	m := *md.m
	m.Dir, m.Tag, m.Listener, m.Without = "", "", "", nil // names, not features
	b, err := json.Marshal(map[string]any{
		"version": modelVersion, "arch": runtime.GOARCH, "machine": m, "parameters": md.params, "forbidden": forbidden,
	})
	if err != nil {
		return fmt.Errorf("fuzz: model: %w", err)
	}
	md.hash = sha256.Sum256(b)
	return nil
}

// modelVersion changes when the same values come to other requests.
const modelVersion = 8

// Hash identifies the model: parameters, values, constraints, and what of the
// machine limits them. Cases of different models have nothing to do with each
// other.
func (md *Model) Hash() string { return hex.EncodeToString(md.hash[:8]) }

// Parameters are all that the machine can do.
func (md *Model) Parameters() []Parameter { return md.params }

// Space is what the parameters span.
func (md *Model) Space() *cover.Space { return md.space }

func (md *Model) key(parts ...uint64) uint64 {
	return cover.Key(append([]uint64{binary.LittleEndian.Uint64(md.hash[:])}, parts...)...)
}

// Build makes the request of an assignment. seed and index give the details that
// are no parameter, as names and addresses; a parameter's details do not
// depend on which others are on.
func (md *Model) Build(a Assignment, seed, index uint64) *request.Request {
	return md.build(a, md.key(seed, index), index)
}

// BuildAs is Build with the details that another model gives, by its hash: an
// example of that model is the same request, as far as the machine does not limit
// details.
func (md *Model) BuildAs(model string, a Assignment, seed, index uint64) (*request.Request, error) {
	sum, err := hex.DecodeString(model)
	if err != nil || len(sum) != 8 {
		return nil, fmt.Errorf("fuzz: %q is not the hash of a model", model)
	}
	return md.build(a, cover.Key(binary.LittleEndian.Uint64(sum), seed, index), index), nil
}

func (md *Model) build(a Assignment, key, index uint64) *request.Request {
	d := &drawer{m: md.m, r: request.New(md.m.Dir + "/workload"), index: index, on: map[string]bool{}}
	for i, v := range a {
		if v > 0 {
			d.on[md.params[i].Name] = true
		}
	}
	for i, v := range a {
		if v > 0 {
			name := sha256.Sum256([]byte(md.params[i].Name))
			d.source = cover.NewStream(cover.Key(key, binary.LittleEndian.Uint64(name[:])))
			d.wanted = md.number[i][int(v)]
			md.draws[i].draw(d)
		}
	}
	return d.r
}

// Words writes an assignment as names and values, without what is off.
func (md *Model) Words(a Assignment) map[string]string {
	out := map[string]string{}
	for i, v := range a {
		if v > 0 {
			out[md.params[i].Name] = md.params[i].Values[v]
		}
	}
	return out
}

// Text is one line of [Model.Words], in the order of the parameters.
func (md *Model) Text(a Assignment) string {
	var out []string
	for i, v := range a {
		switch p := md.params[i]; {
		case v == 0:
		case p.Values[v] == "on":
			out = append(out, p.Name)
		default:
			out = append(out, p.Name+"="+p.Values[v])
		}
	}
	if out == nil {
		return "nothing"
	}
	return strings.Join(out, "; ")
}

// Assign reads names and values. The rest is off.
func (md *Model) Assign(words map[string]string) (Assignment, error) {
	a := make(Assignment, len(md.params))
	for name, value := range words {
		i, ok := md.index[name]
		if !ok {
			return nil, fmt.Errorf("fuzz: no parameter %q on this machine", name)
		}
		v := slices.Index(md.params[i].Values, value)
		if v < 0 {
			return nil, fmt.Errorf("fuzz: %q has no value %q on this machine", name, value)
		}
		a[i] = uint8(v)
	}
	if !md.space.Valid(a) {
		return nil, fmt.Errorf("fuzz: these values do not go together: %s", md.Text(a))
	}
	return a, nil
}

// Needs lists the parameters that one needs, by their numbers.
func (md *Model) Needs(param int) []int { return md.needs[param] }

// Slow reports whether an assignment has something on that holds up all that make
// or change network devices: the kernel waits for its own readers while it has
// the one lock for all of them (rtnl_mutex).
func (md *Model) Slow(a Assignment) bool {
	for p, v := range a {
		if v > 0 && md.slow[p] {
			return true
		}
	}
	return false
}
