package suites

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	g "github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// FailOnLeaks makes every spec of the container fail that leaves something
// behind: an open descriptor, a process below this one, a mount, or a cgroup
// whose name begins with "holdshort". What ends a little later is waited for.
// It is called in the body of a container.
func FailOnLeaks() {
	var before *inventory
	g.BeforeEach(func() { before = takeInventory() })
	g.AfterEach(func() {
		gomega.Eventually(func() []string { return before.missing(takeInventory()) }).
			WithTimeout(3*time.Second).WithPolling(20*time.Millisecond).
			Should(gomega.BeEmpty(), "the spec left something behind")
	})
}

// inventory is what there is of everything that can leak.
type inventory struct {
	fds, processes, mounts, cgroups []string
}

func takeInventory() *inventory {
	in := &inventory{processes: descendants(os.Getpid())}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		to, err := os.Readlink(l)
		if err == nil && !strings.HasPrefix(to, "/proc/") {
			in.fds = append(in.fds, to)
		}
	}
	b, _ := os.ReadFile("/proc/self/mountinfo")
	in.mounts = strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, pattern := range []string{"/sys/fs/cgroup/holdshort*", "/sys/fs/cgroup/*/holdshort*"} {
		found, _ := filepath.Glob(pattern)
		in.cgroups = append(in.cgroups, found...)
	}
	return in
}

// descendants of a process, "pid comm", itself left out.
func descendants(pid int) []string {
	var out []string
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for s := range strings.FieldsSeq(string(b)) {
			n, err := strconv.Atoi(s)
			if err != nil {
				continue
			}
			comm, _ := os.ReadFile("/proc/" + s + "/comm")
			out = append(out, s+" "+strings.TrimSpace(string(comm)))
			out = append(out, descendants(n)...)
		}
	}
	return out
}

// missing lists what now has and in has not.
func (in *inventory) missing(now *inventory) []string {
	var out []string
	for _, k := range []struct {
		what    string
		was, is []string
	}{{"descriptor", in.fds, now.fds}, {"process", in.processes, now.processes}, {"mount", in.mounts, now.mounts}, {"cgroup", in.cgroups, now.cgroups}} {
		was := slices.Clone(k.was)
		for _, s := range k.is {
			if i := slices.Index(was, s); i >= 0 {
				was = slices.Delete(was, i, i+1)
				continue
			}
			out = append(out, k.what+" "+s)
		}
	}
	return out
}
