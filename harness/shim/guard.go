package shim

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// guard outlives the keeper, and does what the policy says about processes that
// it leaves stopped: a keeper that is killed must not stop a container for ever,
// nor let one run that should not.
type guard struct {
	mu sync.Mutex
	to *os.File
}

// GuardArg is the argument with which our own binary becomes the guard.
const GuardArg = "--guard"

func startGuard() (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "shim", GuardArg)
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return &guard{to: w}, cmd.Process.Release()
}

func (g *guard) say(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = fmt.Fprintf(g.to, format, args...)
}

func (g *guard) add(pid int, closed bool) { g.say("+ %d %v\n", pid, closed) }
func (g *guard) remove(pid int)           { g.say("- %d\n", pid) }
func (g *guard) close()                   { g.say("end\n"); _ = g.to.Close() }

// Guard is the guard: it listens to the keeper and, at its end, lets go or kills
// what is still watched, with all that descends from it and is stopped.
func Guard() {
	watched := map[int]bool{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) == 1 && f[0] == "end" {
			return
		}
		if len(f) < 2 {
			continue
		}
		pid, err := strconv.Atoi(f[1])
		switch {
		case err != nil:
		case f[0] == "+":
			watched[pid] = len(f) > 2 && f[2] == "true"
		default:
			delete(watched, pid)
		}
	}
	// What stops at its entry point just now is stopped a moment later.
	for range 40 {
		for pid, closed := range watched {
			release(pid, closed)
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // nobody tells of a process that stops but to its parent and tracer
	}
}

// release lets go, or kills, what is stopped of a process and all that descends
// from it.
func release(pid int, closed bool) {
	for _, p := range append(below(pid), pid) {
		if !stopped(p) {
			continue
		}
		if closed {
			_ = unix.Kill(p, unix.SIGKILL)
		}
		_ = unix.Kill(p, unix.SIGCONT)
	}
}

func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
}

// stopped: by a signal, or still by the tracer, which the keeper was and from whom
// the kernel takes its tracees only after its files (do_exit, kernel/exit.c).
func stopped(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && (f[0] == "T" || f[0] == "t")
}

// below lists what descends from a process.
func below(pid int) []int {
	children := map[int][]int{}
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range list {
		n, _ := strconv.Atoi(filepath.Base(p))
		if f := stat(n); len(f) > 1 {
			up, _ := strconv.Atoi(f[1])
			children[up] = append(children[up], n)
		}
	}
	var out []int
	for next := []int{pid}; len(next) > 0; {
		c := children[next[0]]
		out, next = append(out, c...), append(next[1:], c...)
	}
	return out
}
