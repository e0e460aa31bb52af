// Package corpus has examples of states that workloads were seen in, one of each:
// what campaigns derive some of their cases from, unless they are told
// otherwise. "holdshort corpus" writes the file from results, and "holdshort
// replay fuzz/corpus" looks whether all of it is still so.
package corpus

import (
	"bytes"
	_ "embed"

	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/fuzz/campaign"
)

//go:embed seeds.jsonl
var seeds []byte

// Seeds are the examples of this version.
func Seeds() ([]*campaign.Example, error) {
	r := &campaign.Results{}
	if err := r.Read(bytes.NewReader(seeds)); err != nil {
		return nil, err
	}
	return r.Examples(), nil
}

// Parents are what a campaign on a model is derived from: of a list of examples
// those that the model has.
func Parents(md *fuzz.Model, list []*campaign.Example) fuzz.Parents {
	var all fuzz.Parents
	for _, e := range list {
		all = append(all, e.Values)
	}
	return md.Fitting(all)
}
