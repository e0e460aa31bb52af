package checkpoint

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A child that parks before its parent has reported it is not parked for us
// before we know its pid.
func TestPidIsKnownOnceParked(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	for name, cfg := range map[string]Config{
		"one clone":  {},
		"two clones": {Namespaces: []Namespace{{Kind: Time}}, TimeOffsets: TimeOffsets{Monotonic: time.Hour}},
	} {
		cfg.Args = []string{"/bin/true"}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range rounds(300) {
					w, err := l.Spawn(t.Context(), &cfg, nil)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					if pid := w.HostPID(); pid == 0 {
						t.Errorf("%s: parked, and no pid", name)
					} else if _, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err != nil {
						t.Errorf("%s: parked, and its process is not there: %v", name, err)
					}
					if err := w.Abort(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
}
