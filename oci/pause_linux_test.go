package oci

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestPausedBeforeStart: a created container that is paused is not started, and
// can be resumed, started and deleted.
func TestPausedBeforeStart(t *testing.T) {
	c, id := newCommand(t), id(t)
	c.must("create", "--bundle", bundle(t, []string{"/bin/true"}, nil), id)
	pid := c.state(id).Pid
	if code, _, said := c.run("pause", id); code != 0 {
		c.must("delete", "--force", id)
		reap(t, pid)
		t.Skipf("needs a freezer: %s", said)
	}
	if s := c.state(id); s.Status != statusPaused || s.Pid != pid {
		t.Errorf("%+v", s)
	}
	c.fails("cannot start a container in the paused state", "start", id)
	c.fails("not running or created", "pause", id)
	c.fails("not stopped", "delete", id)
	c.must("resume", id)
	if s := c.state(id); s.Status != specs.StateCreated {
		t.Errorf("%+v", s)
	}
	c.must("start", id)
	if st := reap(t, pid); !st.Exited() || st.ExitStatus() != 0 {
		t.Errorf("status %v", st)
	}
	c.must("delete", id)
}
