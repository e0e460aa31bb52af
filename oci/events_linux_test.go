package oci

import "testing"

// TestEventsEnd: also those of a container that lives longer than one wait for
// its end, which is 10 s.
func TestEventsEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 s: longer than one wait for the end")
	}
	c, id := newCommand(t), id(t)
	c.must("create", "--bundle", bundle(t, []string{"/bin/sleep", "12"}, nil), id)
	pid := c.state(id).Pid
	c.must("start", id)
	ended := make(chan int)
	go func() {
		code, _, _ := c.run("events", "--interval", "1h", id)
		ended <- code
	}()
	if st := reap(t, pid); st.ExitStatus() != 0 {
		t.Errorf("status %v", st)
	}
	if code := <-ended; code != 0 {
		t.Errorf("status %d", code)
	}
	c.must("delete", id)
}
