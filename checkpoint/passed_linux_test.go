package checkpoint

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/holdshort/holdshort/checkpoint/seccomp"
)

// A passed descriptor may have the number that the child's end of the exec pipe
// has, whatever that is. The start of the program is told all the same, and not
// only when it ends. Loading several filters leaves the agent time to look.
func TestStart_PassedFileOnTheExecPipe(t *testing.T) {
	l := newLauncher(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	filter := &seccomp.Policy{DefaultAction: seccomp.ActAllow}
	var more []*seccomp.Policy
	for range 8 {
		more = append(more, filter)
	}
	for number := 3; number < 24; number++ {
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		cfg := &Config{Args: []string{"/bin/sleep", "1000"}, NoNewPrivs: true, Filters: more}
		w, err := l.Start(ctx, cfg, &Options{Files: []PassedFile{{number, null}}})
		cancel()
		if err != nil {
			t.Errorf("number %d: %v", number, err)
		}
		if w != nil {
			_ = w.Kill()
			_, _ = w.Wait(bg)
		}
	}
}
