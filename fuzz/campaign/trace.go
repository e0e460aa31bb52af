package campaign

import (
	"context"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness/request"
)

// Trace is [Campaign.Trace]: one more launch of a request, with all its times.
func (b *Bench) Trace(ctx context.Context, a fuzz.Assignment, r *request.Request) []Moment {
	launched := r
	if b.Sabotage != nil {
		if l := b.Sabotage(a, r); l != nil {
			launched = l
		}
	}
	o := &checkpoint.Options{Times: true}
	for i := range min(launched.Ext.PassFDs, len(b.files)) {
		o.Files = append(o.Files, checkpoint.PassedFile{Number: 3 + i, File: b.files[i]})
	}
	runner, _, done, err := b.from(ctx)
	if err != nil {
		return nil
	}
	defer done()
	c, err := runner.Plant(ctx, r, launched, o)
	if err != nil {
		return nil
	}
	var out []Moment
	for _, m := range c.Timeline {
		out = append(out, Moment(m))
	}
	return out
}

// trace writes down one launch of a finding that was made small.
func (c *Campaign) trace(ctx context.Context, m *Minimal) {
	if c.Trace == nil {
		return
	}
	a, err := c.Model.Assign(m.Values)
	if err != nil {
		return // of another model
	}
	ctx, cancel := context.WithTimeout(WithCaller(context.WithoutCancel(ctx), m.Caller), time.Minute)
	defer cancel()
	if events := c.Trace(ctx, a, m.Request); len(events) > 0 {
		c.write(&Line{Timeline: &Timeline{Index: m.Index, Oracle: m.Oracle, Key: m.Key, Events: events}})
	}
}
