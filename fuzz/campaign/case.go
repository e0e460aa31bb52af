package campaign

import (
	"context"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
)

// Case launches and judges one request, and returns all that was seen: in a
// namespace of its own, whatever the bench has in store.
func (b *Bench) Case(ctx context.Context, r *request.Request) (*harness.Case, error) {
	o := &checkpoint.Options{}
	for i := range min(r.Ext.PassFDs, len(b.files)) {
		o.Files = append(o.Files, checkpoint.PassedFile{Number: 3 + i, File: b.files[i]})
	}
	runner, _, done, err := b.from(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return runner.Run(ctx, r, o)
}
