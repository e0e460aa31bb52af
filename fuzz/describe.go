package fuzz

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/holdshort/holdshort/fuzz/cover"
)

// Description is what the assignments of a campaign's cases are computed from.
// With it they can be computed on any machine; requests cannot be built.
type Description struct {
	Hash       string         `json:"hash"`
	Parameters []Parameter    `json:"parameters"`
	Forbidden  [][]cover.Term `json:"forbidden"`
}

// Describe writes a model down.
func (md *Model) Describe() *Description {
	return &Description{Hash: md.Hash(), Parameters: md.params, Forbidden: md.no}
}

// Model is one of which assignments, sequences and words can be had, but no
// requests ([Model.Build] panics).
func (d *Description) Model() (*Model, error) {
	md := &Model{index: map[string]int{}, no: d.Forbidden}
	sum, err := hex.DecodeString(d.Hash)
	if err != nil || len(sum) != 8 {
		return nil, fmt.Errorf("fuzz: %q is not the hash of a model", d.Hash)
	}
	binary.LittleEndian.PutUint64(md.hash[:], binary.LittleEndian.Uint64(sum))
	levels := make([]int, len(d.Parameters))
	for i, p := range d.Parameters {
		md.index[p.Name], levels[i] = i, len(p.Values)
	}
	md.params = d.Parameters
	if err = md.relate(); err != nil {
		return nil, err
	}
	if md.space, err = cover.New(levels, d.Forbidden); err != nil {
		return nil, fmt.Errorf("fuzz: %w", err)
	}
	return md, nil
}
