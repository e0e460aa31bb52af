package checkpoint

import (
	"context"
	"sync"
	"testing"
	"time"
)

// A slot of the agent that is freed and filled again within one turn of its loop
// must not take the end of the old exec pipe for that of the new one: then
// nobody would ever learn that the new workload runs.
func TestStart_SlotsReusedAtOnce(t *testing.T) {
	l := newLauncher(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range rounds(60) {
				args := []string{"/bin/true"}
				if i%4 == 0 {
					args = []string{"/bin/sleep", "1000"}
				}
				w, err := l.Start(ctx, &Config{Args: args}, nil)
				if err != nil {
					t.Errorf("launch %d: %v", i, err)
					return
				}
				if i%4 == 0 {
					_ = w.Kill()
				}
				_, _ = w.Wait(ctx)
			}
		})
	}
	wg.Wait()
}
