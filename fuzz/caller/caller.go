package caller

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/holdshort/holdshort/checkpoint"
)

// Kind is one way in which a caller is not as usual.
type Kind struct {
	Name string
	// Says is what the caller has.
	Says string
	// Kept are fields of a workload's posture for which nothing was asked, and
	// what they then are, as posture.Field.Format writes them: the launcher
	// passes them on, and says so. Without any the launcher passes nothing on.
	Kept map[string]string

	thread  func() error                 // of the calling thread, which will end
	process func() (func() error, error) // of all threads, until undone
}

// Kinds are all, in the order in which they are made.
func Kinds() []Kind { return kinds }

// Names are those of [Kinds].
func Names() []string {
	var out []string
	for i := range kinds {
		out = append(out, kinds[i].Name)
	}
	return out
}

// Find is the kind of a name.
func Find(name string) (*Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return nil, false
	}
	return &kinds[i], true
}

// Possible lists the names of the kinds that this process can be.
func Possible() []string {
	var out []string
	for i := range kinds {
		if As([]string{kinds[i].Name}, func() error { return nil }) == nil {
			out = append(out, kinds[i].Name)
		}
	}
	return out
}

// starting: what is the process's is one start's at a time.
var starting sync.Mutex

// As runs f as a caller of the named kinds, on a thread that then ends: what f
// starts inherits from it. The order of names does not matter.
func As(names []string, f func() error) (err error) {
	for _, n := range names {
		if _, ok := Find(n); !ok {
			return fmt.Errorf("caller: no kind %q", n)
		}
	}
	starting.Lock()
	defer starting.Unlock()
	for i := range kinds {
		if kinds[i].process == nil || !slices.Contains(names, kinds[i].Name) {
			continue
		}
		undo, e := kinds[i].process()
		if e != nil {
			return fmt.Errorf("caller: %s: %w", kinds[i].Name, e)
		}
		defer func() { err = errors.Join(err, undo()) }()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with what it is
		for i := range kinds {
			if kinds[i].thread == nil || !slices.Contains(names, kinds[i].Name) {
				continue
			}
			if e := kinds[i].thread(); e != nil {
				done <- fmt.Errorf("caller: %s: %w", kinds[i].Name, e)
				return
			}
		}
		done <- f()
	}()
	return <-done
}

// Launcher starts one as a caller of the named kinds.
func Launcher(ctx context.Context, names []string) (l *checkpoint.Launcher, err error) {
	err = As(names, func() (err error) {
		l, err = checkpoint.New(ctx)
		return err
	})
	if err != nil && l != nil {
		err, l = errors.Join(err, l.Close()), nil
	}
	return l, err
}
