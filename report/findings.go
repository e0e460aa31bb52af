package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness/request"
)

// Group is all findings in one field.
type Group struct {
	Field    string     `json:"field"`
	Findings []*Finding `json:"findings"`
}

// Finding is one signature: what differs, and the few settings that it takes.
// Cases, campaigns and kernels that show the same are one finding.
type Finding struct {
	// Fingerprint is the same on each kernel, with each seed, in each run: of
	// oracle, key, engine and the settings that matter.
	Fingerprint string         `json:"fingerprint"`
	Class       campaign.Class `json:"class"`
	Field       string         `json:"field"`
	Outcome     string         `json:"outcome"`
	Key         string         `json:"key"`
	Oracle      string         `json:"oracle,omitempty"`   // empty for the expectation
	Negative    string         `json:"negative,omitempty"` // why the request had to be refused
	// Values are the settings that matter, or all of the first case's if it
	// was not made small.
	Values     map[string]string `json:"values"`
	Small      bool              `json:"small"`
	Executions int               `json:"executions,omitempty"` // that it took
	Hits       int               `json:"hits,omitempty"`       // of so many runs, of the case that was seen least
	Runs       int               `json:"runs,omitempty"`
	Cases      int               `json:"cases"` // that it explains
	Seen       []Sighting        `json:"seen"`
	Request    *request.Request  `json:"request,omitempty"`
	Repeat     string            `json:"repeat,omitempty"` // a command
	Place      *Place            `json:"place,omitempty"`
	Details    []string          `json:"details,omitempty"`
}

// Sighting is one case of a finding.
type Sighting struct {
	Campaign string `json:"campaign,omitempty"`
	Kernel   string `json:"kernel"`
	Engine   string `json:"engine"`
	Seed     uint64 `json:"seed"`
	Index    uint64 `json:"index"`
}

func (s Sighting) compare(t Sighting) int {
	return cmp.Or(cmp.Compare(s.Kernel, t.Kernel), cmp.Compare(s.Engine, t.Engine), cmp.Compare(s.Campaign, t.Campaign), cmp.Compare(s.Index, t.Index))
}

// maxSeen is how many cases of a finding are listed.
const maxSeen = 20

// split takes a key apart: "fs.umask: ignored", "refused: devices: ENOENT".
func split(key string) (field, outcome string) {
	if rest, ok := strings.CutPrefix(key, "refused: "); ok {
		stage, errno, _ := strings.Cut(rest, ": ")
		return stage, strings.TrimSpace("refused " + errno)
	}
	if i := strings.LastIndex(key, ": "); i >= 0 {
		return key[:i], key[i+2:]
	}
	return key, ""
}

// fingerprint identifies what is the same finding wherever it is seen.
func fingerprint(oracle, negative, key, engine string, values map[string]string) string {
	b, err := json.Marshal([]any{oracle, negative, key, engine, values})
	if err != nil {
		panic(err) // of words
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// origin is what saw a finding: an oracle, empty for the expectation, and what
// was wrong with the request, if it had to be refused.
type origin struct{ oracle, negative string }

// finder collects findings.
type finder struct {
	set *Set
	of  map[string]*Finding // by fingerprint and class
}

// campaign adds the findings of one.
func (f *finder) campaign(c *Campaign, o *campaign.Outcome) {
	for _, m := range o.Findings() {
		x := f.get(campaign.Finding, origin{m.Oracle, m.Negative}, m.Key, c.Engine, m.Values)
		x.Small = true
		if x.Executions == 0 {
			x.Executions = m.Executions
		}
		f.see(x, c, m.Index, placeOf(m.Oracle, m.Key), true, m.Request)
	}
	for _, class := range []campaign.Class{campaign.Finding, campaign.Flaky} {
		list, by := o.Explained(class)
		for n, i := range list {
			var x *Finding
			if m := by[n]; m != nil && class == campaign.Finding {
				x = f.get(class, origin{m.Oracle, m.Negative}, m.Key, c.Engine, m.Values)
			} else {
				// What was not made small has no settings that are known to matter: one for each key.
				x = f.get(class, origin{i.Oracle, i.Negative}, i.Key, c.Engine, nil)
				if x.Values == nil || len(i.Values) < len(x.Values) {
					x.Values = i.Values
				}
			}
			if x.Runs == 0 || i.Hits*x.Runs < x.Hits*i.Runs {
				x.Hits, x.Runs = i.Hits, i.Runs
			}
			x.Cases++
			f.see(x, c, i.Index, i.Oracle, false, nil)
		}
	}
}

// get is the finding with a fingerprint; values are nil if they are not known to matter.
func (f *finder) get(class campaign.Class, from origin, key, engine string, values map[string]string) *Finding {
	print := fingerprint(from.oracle, from.negative, key, engine, values)
	x := f.of[string(class)+print]
	if x == nil {
		x = &Finding{Fingerprint: print, Class: class, Key: key, Oracle: from.oracle, Negative: from.negative, Values: values}
		x.Field, x.Outcome = split(strings.TrimPrefix(key, from.oracle+": "))
		f.of[string(class)+print] = x
	}
	return x
}

// see adds a case.
func (f *finder) see(x *Finding, c *Campaign, index uint64, key string, small bool, r *request.Request) {
	s := Sighting{c.ID, c.Kernel, c.Engine, c.Seed, index}
	if !slices.Contains(x.Seen, s) {
		x.Seen = append(x.Seen, s)
	}
	if x.Place != nil || x.Small != small {
		return
	}
	// The first case's, in the order of campaigns, whatever file it is in.
	if p, known := f.set.places[placeKey(c.ID, index, key)]; known {
		x.Place, x.Request = &p, r
		switch {
		case x.Small:
			x.Repeat = fmt.Sprintf("holdshort replay %s --case %d", quote(p.File), index)
		case x.Class == campaign.Finding:
			x.Repeat = "holdshort shrink " + quote(p.File)
		}
	}
}

// quote writes a file's name for a shell.
func quote(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,=:@%", r)
	}
	if name == "-" {
		return "RESULTS"
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		if name[0] == '-' {
			return "./" + name
		}
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// groups are all findings by field: real ones first, then those of most cases.
func (f *finder) groups() []*Group {
	byField := map[string]*Group{}
	for _, k := range slices.Sorted(maps.Keys(f.of)) {
		x := f.of[k]
		slices.SortFunc(x.Seen, Sighting.compare)
		if len(x.Seen) > maxSeen {
			x.Seen = x.Seen[:maxSeen]
		}
		g := byField[x.Field]
		if g == nil {
			g = &Group{Field: x.Field}
			byField[x.Field] = g
		}
		g.Findings = append(g.Findings, x)
	}
	list := []*Group{}
	for _, k := range slices.Sorted(maps.Keys(byField)) {
		g := byField[k]
		slices.SortStableFunc(g.Findings, func(a, b *Finding) int {
			return cmp.Or(cmp.Compare(a.Class, b.Class), -cmp.Compare(a.Cases, b.Cases), cmp.Compare(a.Key, b.Key), cmp.Compare(len(a.Values), len(b.Values)))
		})
		list = append(list, g)
	}
	slices.SortStableFunc(list, func(a, b *Group) int { return cmp.Compare(a.Findings[0].Class, b.Findings[0].Class) })
	return list
}
