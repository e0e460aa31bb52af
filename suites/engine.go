package suites

import (
	"context"
	"os/exec"

	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/harness/request"
)

// Engine is what starts confined processes.
type Engine interface {
	// Run runs the request's program under its constraints, waits for its
	// end, and says what was seen. An error that matches
	// [harness.Unsupported] means that the engine cannot express the request,
	// and the spec is skipped with its text.
	Run(ctx context.Context, req *request.Request) (*harness.Case, error)
	Close() error
}

// Planter is an engine that can be made to do something else than it is asked.
type Planter interface {
	Engine
	// Plant runs one request and judges it against another.
	Plant(ctx context.Context, asked, launched *request.Request) (*harness.Case, error)
}

// Open makes an engine; it is called once for each suite.
type Open func(ctx context.Context) (Engine, error)

// Native is this project's own launcher.
func Native(ctx context.Context) (Engine, error) {
	r, err := harness.NewRunner(ctx, &harness.RunnerOptions{Plan: true})
	if err != nil {
		return nil, err
	}
	return native{r}, nil
}

type native struct{ r *harness.Runner }

func (n native) Run(ctx context.Context, req *request.Request) (*harness.Case, error) {
	return n.r.Run(ctx, req, nil)
}

func (n native) Plant(ctx context.Context, asked, launched *request.Request) (*harness.Case, error) {
	return n.r.Plant(ctx, asked, launched, nil)
}

func (n native) Close() error { return n.r.Close() }

// Command is an engine that is a command: build makes the command that runs a
// request, or an error that matches [harness.Unsupported]. The command gets
// /dev/null for the standard streams that build leaves unset.
func Command(build func(ctx context.Context, req *request.Request) (*exec.Cmd, error)) Open {
	return func(ctx context.Context) (Engine, error) {
		v, err := harness.NewVerifier(ctx, nil)
		if err != nil {
			return nil, err
		}
		return command{v, build}, nil
	}
}

type command struct {
	v     *harness.Verifier
	build func(context.Context, *request.Request) (*exec.Cmd, error)
}

func (c command) Run(ctx context.Context, req *request.Request) (*harness.Case, error) {
	cmd, err := c.build(ctx, req)
	if err != nil {
		return nil, err
	}
	return c.v.Verify(ctx, req, cmd)
}

func (c command) Close() error { return c.v.Close() }
