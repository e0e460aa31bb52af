package harness

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

func (h *held) sysctl(key, want string) (any, bool, string, error) {
	var got string
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	err := h.inside([]string{"net", "ipc", "uts"}, func() error {
		b, err := os.ReadFile(path)
		got = strings.Join(strings.Fields(string(b)), " ")
		return err
	})
	return got, got == strings.Join(strings.Fields(want), " "), "", err
}

// inside runs f in namespaces of the workload, on a thread that ends with it.
func (h *held) inside(kinds []string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		for _, k := range kinds {
			fd, err := unix.Open(h.proc("ns/"+k), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				err = unix.Setns(fd, 0)
				unix.Close(fd)
			}
			if err != nil {
				done <- fmt.Errorf("enter the workload's %s namespace: %w", k, err)
				return
			}
		}
		done <- f()
	}()
	return <-done
}
