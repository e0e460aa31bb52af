package oci

import (
	"context"

	"github.com/holdshort/holdshort/checkpoint"
)

// soon is a launcher that is started while the configuration is read: to start
// its agent is mostly waiting.
type soon struct {
	c     chan begun
	taken bool
}

type begun struct {
	l   *checkpoint.Launcher
	err error
}

func startSoon(ctx context.Context) *soon {
	s := &soon{c: make(chan begun, 1)}
	go func() {
		l, err := checkpoint.New(ctx)
		s.c <- begun{l, err}
	}()
	return s
}

// take waits for it. It is the caller's then.
func (s *soon) take() (*checkpoint.Launcher, error) {
	s.taken = true
	b := <-s.c
	return b.l, b.err
}

// drop ends it, if nobody has taken it.
func (s *soon) drop() {
	if s.taken {
		return
	}
	if l, err := s.take(); err == nil {
		l.Close()
	}
}
