package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
)

// errHookTimeout is why a hook was ended.
var errHookTimeout = errors.New("took longer than its timeout")

func checkHooks(h *specs.Hooks) error {
	for _, list := range []struct {
		name  string
		hooks []specs.Hook
	}{
		{"prestart", h.Prestart}, //nolint:staticcheck // deprecated, and still to be run
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	} {
		for i, k := range list.hooks {
			if !filepath.IsAbs(k.Path) {
				return fmt.Errorf("hooks.%s[%d].path: %q is not absolute", list.name, i, k.Path)
			}
			if k.Timeout != nil && *k.Timeout <= 0 {
				return fmt.Errorf("hooks.%s[%d].timeout: %d is not above 0", list.name, i, *k.Timeout)
			}
		}
	}
	return nil
}

// hookRunner runs one hook to its end, with text on its stdin.
type hookRunner func(ctx context.Context, k *specs.Hook, text []byte) error

// runHooks runs hooks one after the other, up to the first that fails.
func runHooks(ctx context.Context, name string, hooks []specs.Hook, state *specs.State, run hookRunner) error {
	if len(hooks) == 0 {
		return nil
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	for i := range hooks {
		if err := timed(ctx, &hooks[i], text, run); err != nil {
			return fmt.Errorf("hooks.%s[%d] %s: %w", name, i, hooks[i].Path, err)
		}
	}
	return nil
}

func timed(ctx context.Context, k *specs.Hook, text []byte, run hookRunner) error {
	if k.Timeout == nil {
		return run(ctx, k, text)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(*k.Timeout)*time.Second, errHookTimeout)
	defer cancel()
	err := run(ctx, k, text)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// onHost runs a hook in our own namespaces.
func onHost(bundle string) hookRunner {
	return func(ctx context.Context, k *specs.Hook, text []byte) error {
		cmd := exec.CommandContext(ctx, k.Path)
		if cmd.Args = k.Args; len(k.Args) == 0 {
			cmd.Args = []string{k.Path}
		}
		cmd.Env = append([]string{}, k.Env...)
		cmd.Dir = bundle
		cmd.Stdin = bytes.NewReader(text)
		var out tail
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second // a child of the hook may keep its output open
		err := cmd.Run()
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		return out.explain(err)
	}
}

// inside runs a hook in the namespaces of a process. Its path is what it is
// there.
func inside(l *checkpoint.Launcher, pidfd *os.File) hookRunner {
	return func(ctx context.Context, k *specs.Hook, text []byte) error {
		cfg := &checkpoint.Config{
			Path: k.Path, Args: k.Args, Env: k.Env, Cwd: "/", Session: true,
			Enter: &checkpoint.Enter{Skip: []checkpoint.Aspect{
				checkpoint.TakeLimits, checkpoint.TakeCredentials, checkpoint.TakeCwd, checkpoint.TakeUmask, checkpoint.TakeSeccomp,
			}},
		}
		if len(cfg.Args) == 0 {
			cfg.Args = []string{k.Path}
		}
		in, stdin, err := os.Pipe()
		if err != nil {
			return err
		}
		defer in.Close()
		stdout, out, err := os.Pipe()
		if err != nil {
			stdin.Close()
			return err
		}
		defer stdout.Close()
		w, err := l.Start(ctx, cfg, &checkpoint.Options{Stdin: in, Stdout: out, Stderr: out, Target: pidfd})
		in.Close()
		out.Close()
		if err != nil {
			stdin.Close()
			return err
		}
		go func() {
			_, _ = stdin.Write(text)
			stdin.Close()
		}()
		var said tail
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = said.ReadFrom(stdout)
		}()
		r, err := w.Wait(ctx)
		if err != nil {
			_ = w.Kill()
			<-w.Done()
			return err
		}
		select {
		case <-read:
		case <-time.After(time.Second):
			stdout.Close() // a child of the hook may keep its output open
			<-read
		}
		switch {
		case r.Err != nil:
			err = r.Err
		case r.State != checkpoint.Exited || r.ExitCode != 0:
			err = errors.New(r.String())
		}
		return said.explain(err)
	}
}

// tail keeps the last of what a hook says.
type tail struct{ bytes.Buffer }

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	n := len(b)
	if n > tailSize {
		b = b[n-tailSize:]
	}
	if over := t.Len() + len(b) - tailSize; over > 0 {
		t.Next(over)
	}
	t.Buffer.Write(b)
	return n, nil
}

func (t *tail) ReadFrom(f *os.File) (int64, error) {
	buf := make([]byte, tailSize)
	var total int64
	for {
		n, err := f.Read(buf)
		_, _ = t.Write(buf[:n])
		if total += int64(n); err != nil {
			return total, err
		}
	}
}

func (t *tail) explain(err error) error {
	if text := strings.TrimSpace(t.String()); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}
