package harness

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/holdshort/holdshort/internal/sysctl"
	"golang.org/x/sys/unix"
)

// sysctl reads a key in the namespace of the workload that has its value.
func (h *held) sysctl(key, want string) (any, bool, string, error) {
	kind := sysctl.Namespace(key)
	if kind == "user" || kind == "" {
		return nil, false, "", errors.New("who reads it must be in the workload's user namespace, which a process of several threads cannot join")
	}
	var got string
	err := h.inside([]string{kind}, func() error {
		b, err := os.ReadFile("/proc/sys/" + sysctl.Path(key))
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
