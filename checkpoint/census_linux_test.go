package checkpoint

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// census counts what a launch could leave behind: children of this process or
// its agents, descriptors, mounts and links.
func census() map[string]int {
	c := map[string]int{}
	fds, _ := os.ReadDir("/proc/self/fd")
	c["fds"] = len(fds)
	b, _ := os.ReadFile("/proc/self/mountinfo")
	c["mounts"] = strings.Count(string(b), "\n")
	b, _ = os.ReadFile("/proc/net/dev")
	c["links"] = strings.Count(string(b), "\n")
	for range childrenOf(os.Getpid()) {
		c["children"]++
	}
	return c
}

func childrenOf(pid int) []int {
	var out []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for s := range strings.FieldsSeq(string(b)) {
			n, _ := strconv.Atoi(s)
			out = append(out, n)
		}
	}
	return out
}

// leavesNothing runs f and fails if anything is left behind.
func leavesNothing(t *testing.T, f func()) {
	t.Helper()
	f() // first uses open descriptors that stay, such as the netpoller's
	before := census()
	f()
	var after map[string]int
	for range 100 { // links and mounts of a namespace go a moment after its last process
		if after = census(); maps.Equal(before, after) {
			return
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the kernel has no event for the end of a namespace
	}
	t.Errorf("left behind: before %v, after %v", before, after)
}
