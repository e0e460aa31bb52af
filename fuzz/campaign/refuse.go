package campaign

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
)

// Refuse is [Campaign.Refuse]: it launches a request that must be refused, and looks
// for what is left of it. A request that is let through is a finding, and so is
// one that is refused for another reason than its defect, since whoever reads the
// error is sent elsewhere.
func (b *Bench) Refuse(ctx context.Context, index uint64, r *request.Request, want fuzz.Refusal) *Verdict {
	launched := r
	if b.accept != nil {
		launched = b.accept(r)
	}
	lent, back, err := b.nets.lend(b.Dir, launched)
	if err != nil {
		return Of(nil, err)
	}
	v := refused(nil, launched.Validate(), want)
	runner, wrong, done, err := b.from(ctx)
	if err != nil {
		back()
		return Of(nil, err)
	}
	c, err := runner.Run(ctx, lent[0], &checkpoint.Options{Files: b.passed(r)})
	done()
	switch {
	case want.Field == "" && v.accepted:
		v = refused(c, err, want)
	case want.Field != "" && !v.accepted && err == nil && c.Launch.Err == nil:
		// Who calls the launcher without validating has a second line.
		v.Keys = append(v.Keys, "accepted without validation, must be refused at "+want.String())
	}
	v.Keys = append(v.Keys, wrong...)
	for _, what := range back() {
		v.Keys = append(v.Keys, "residue: pooled network namespace: "+what)
	}
	if b.afterRefusal != nil {
		b.afterRefusal(index)
	}
	if what := b.residue(index); what != "" {
		v.Keys = append(v.Keys, "residue: "+what)
	}
	return v
}

// refused judges the outcome of a launch that must not come about.
func refused(c *harness.Case, err error, want fuzz.Refusal) *Verdict {
	v := &Verdict{Judged: true}
	var got fuzz.Refusal
	if err == nil && c != nil {
		err = c.Launch.Err
	}
	var step *checkpoint.Error
	var fields []string
	switch {
	case err == nil:
		v.Keys, v.accepted = []string{"accepted, must be refused at " + want.String()}, true
		return v
	case errors.Is(err, checkpoint.ErrAgentDied):
		return Of(nil, err)
	case errors.As(err, &step):
		got = fuzz.Refusal{Stage: string(step.Stage), Errno: errno(err)}
	default:
		if fields = fieldsOf(err); len(fields) == 0 {
			return Of(nil, err)
		}
		got.Field = fields[0]
		for _, f := range fields {
			if f == want.Field {
				got.Field = f // the others are what the defect brings along
			}
		}
	}
	if got != want {
		v.Keys = []string{"refused at " + got.String() + ", must be at " + want.String()}
	}
	return v
}

// fieldsOf lists the fields of a request that an error is about.
func fieldsOf(err error) (out []string) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case *request.FieldError:
		return []string{e.Field}
	case interface{ Unwrap() []error }:
		for _, x := range e.Unwrap() {
			out = append(out, fieldsOf(x)...)
		}
	case interface{ Unwrap() error }:
		return fieldsOf(e.Unwrap())
	}
	return out
}

// residue says what of a case is still there: its names have its number in them.
// The kernel takes a moment for a device whose network namespace is gone.
func (b *Bench) residue(index uint64) string {
	m := b.Machine
	name := "holdshort-" + m.Tag + "-" + strconv.FormatUint(index, 36)
	for _, mount := range m.CgroupV1 {
		if _, err := os.Lstat(filepath.Join(mount, name)); err == nil {
			return "cgroup"
		}
	}
	if m.CgroupV2 != "" {
		if _, err := os.Lstat(filepath.Join(m.CgroupV2, name)); err == nil {
			return "cgroup"
		}
	}
	link := "/sys/class/net/h" + m.Tag + strconv.FormatUint(index%(1<<40), 36)
	for end := time.Now().Add(10 * time.Second); ; <-time.After(20 * time.Millisecond) {
		switch _, err := os.Lstat(link); {
		case err != nil:
			return ""
		case time.Now().After(end):
			return "network device"
		}
	}
}
