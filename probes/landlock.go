package probes

import "context"

// calibrateLandlock finds where Landlock keeps its domain.
func (o *Observer) calibrateLandlock(ctx context.Context) {
	o.facts.landlockWhy = "its place in the credentials' security blob is not known"
}
