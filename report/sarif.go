package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/holdshort/holdshort/fuzz/campaign"
)

type sarifLog struct {
	Schema  string      `json:"$schema"`
	Version string      `json:"version"`
	Runs    []*sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool          `json:"tool"`
	Invocations []*sarifInvocation `json:"invocations"`
	Results     []*sarifResult     `json:"results"`
	ColumnKind  string             `json:"columnKind"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string       `json:"name"`
	Version string       `json:"semanticVersion,omitempty"`
	Rules   []*sarifRule `json:"rules"`
}

type sarifRule struct {
	ID      string         `json:"id"`
	Short   sarifMessage   `json:"shortDescription"`
	Full    sarifMessage   `json:"fullDescription"`
	Help    sarifMessage   `json:"help"`
	Default sarifConfig    `json:"defaultConfiguration"`
	Props   map[string]any `json:"properties,omitempty"`
}

type sarifConfig struct {
	Level string `json:"level"`
}

type sarifMessage struct {
	Text string `json:"text"`
}

type sarifInvocation struct {
	OK            bool                 `json:"executionSuccessful"`
	ExitCode      int                  `json:"exitCode"`
	Notifications []*sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level   string       `json:"level"`
	Message sarifMessage `json:"message"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      sarifMessage      `json:"message"`
	Locations    []*sarifLocation  `json:"locations,omitempty"`
	Fingerprints map[string]string `json:"partialFingerprints"`
	Count        int               `json:"occurrenceCount"`
	Props        map[string]any    `json:"properties"`
}

type sarifLocation struct {
	Physical *sarifPhysical  `json:"physicalLocation,omitempty"`
	Logical  []*sarifLogical `json:"logicalLocations"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region struct {
		Line int `json:"startLine"`
	} `json:"region"`
}

type sarifLogical struct {
	FullName string `json:"fullyQualifiedName"`
	Kind     string `json:"kind"`
}

// SARIF writes the findings in version 2.1.0 of the Static Analysis Results
// Interchange Format. The partial fingerprints are those of [Finding]: the same
// for the same finding in whatever run. The location is the line of the result
// file that has the smallest request, since there is no source that could be
// pointed at; the field is a logical location.
func (d *Document) SARIF(w io.Writer, version string) error {
	run := &sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "holdshort", Version: version, Rules: []*sarifRule{}}},
		Results: []*sarifResult{}, ColumnKind: "unicodeCodePoints",
		Invocations: []*sarifInvocation{{OK: d.Verdict != Fault, ExitCode: d.Verdict.ExitCode()}},
	}
	note := func(level, text string) {
		i := run.Invocations[0]
		i.Notifications = append(i.Notifications, &sarifNotification{level, sarifMessage{plain(text)}})
	}
	for _, p := range d.Problems {
		level := "error" // what could not be read may be a finding
		if p.Cut {
			level = "warning"
		}
		note(level, "not read: "+p.String())
	}
	for _, t := range d.Unjudged {
		note("warning", fmt.Sprintf("not judged, %s: %s", count(t.Cases, "time"), t.Key))
	}
	for _, g := range d.Groups {
		for _, f := range g.Findings {
			run.add(f)
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(&sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []*sarifRun{run}})
}

func (r *sarifRun) add(f *Finding) {
	level := "error"
	if f.Class == campaign.Flaky {
		level = "warning"
	}
	id := plain(f.Title())
	rules := &r.Tool.Driver.Rules
	n := slices.IndexFunc(*rules, func(x *sarifRule) bool { return x.ID == id })
	if n < 0 {
		n = len(*rules)
		field, outcome := plain(f.Field), plain(f.Outcome)
		*rules = append(*rules, &sarifRule{
			ID: id, Short: sarifMessage{id}, Default: sarifConfig{"error"},
			Full: sarifMessage{fmt.Sprintf("What the kernel enforced on a workload differs from what was asked for, in the field %q: %s.", field, outcome)},
			Help: sarifMessage{"The result's properties have the settings that matter and a command that repeats it."},
		})
	}
	text := fmt.Sprintf("%s: with %s", f.Key, f.Settings())
	if f.Class == campaign.Flaky {
		text += fmt.Sprintf(" (flaky: seen %d of %d times)", f.Hits, f.Runs)
	}
	if f.Repeat != "" {
		text += ". Repeat: " + f.Repeat
	}
	at := &sarifLocation{Logical: []*sarifLogical{{plain(f.Field), "member"}}}
	if f.Place != nil {
		at.Physical = &sarifPhysical{}
		at.Physical.Artifact.URI = (&url.URL{Path: filepath.ToSlash(f.Place.File)}).EscapedPath()
		at.Physical.Region.Line = f.Place.Line
	}
	r.Results = append(r.Results, &sarifResult{
		RuleID: id, RuleIndex: n, Level: level, Message: sarifMessage{plain(text)}, Locations: []*sarifLocation{at}, Count: max(f.Cases, 1),
		Fingerprints: map[string]string{"holdshort/v1": f.Fingerprint, "primaryLocationLineHash": f.Fingerprint},
		Props:        map[string]any{"values": f.Values, "repeat": f.Repeat, "seen": f.Seen, "small": f.Small},
	})
}
