package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdshort/holdshort/fuzz"
)

// census counts what launches could leave behind. Other processes of the
// machine come and go, so all but the namespaces is counted by what is ours.
type census struct {
	processes, fds, mounts, namespaces int
	links, cgroups, temps              []string
}

func takeCensus(m *fuzz.Machine) *census {
	c := &census{processes: len(descendants(os.Getpid()))}
	c.fds = entries("/proc/self/fd")
	for _, pid := range descendants(os.Getpid()) {
		c.fds += entries(fmt.Sprintf("/proc/%d/fd", pid))
	}
	b, _ := os.ReadFile("/proc/self/mountinfo")
	c.mounts = strings.Count(string(b), "\n")
	seen := map[string]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, l := range links {
		if name, err := os.Readlink(l); err == nil {
			seen[name] = true
		}
	}
	c.namespaces = len(seen)
	c.links = ownLinks(m)
	c.cgroups = ownCgroups(m)
	c.temps, _ = filepath.Glob(filepath.Join(m.Dir, "*"))
	return c
}

func entries(dir string) int {
	e, _ := os.ReadDir(dir)
	return len(e)
}

// ownLinks are the network devices that bear the campaign's mark.
func ownLinks(m *fuzz.Machine) []string {
	l, _ := filepath.Glob("/sys/class/net/h" + m.Tag + "*")
	return l
}

func ownCgroups(m *fuzz.Machine) []string {
	mounts := []string{m.CgroupV2}
	for _, d := range m.CgroupV1 {
		mounts = append(mounts, d)
	}
	var out []string
	for _, d := range mounts {
		if d != "" {
			found, _ := filepath.Glob(d + "/holdshort-" + m.Tag + "-*")
			out = append(out, found...)
		}
	}
	return out
}

// descendants of a process, itself left out.
func descendants(pid int) []int {
	var out []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for s := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(s); err == nil {
				out = append(out, n)
				out = append(out, descendants(n)...)
			}
		}
	}
	return out
}

func (c *census) compare(now *census) []string {
	var out []string
	count := func(what string, was, is int) {
		if is > was {
			out = append(out, fmt.Sprintf("%d %s (%d before, %d now)", is-was, what, was, is))
		}
	}
	count("processes", c.processes, now.processes)
	count("descriptors", c.fds, now.fds)
	count("mounts", c.mounts, now.mounts)
	count("namespaces", c.namespaces, now.namespaces)
	news := func(what string, was, is []string) {
		for _, s := range is {
			if !slices.Contains(was, s) {
				out = append(out, what+" "+s)
			}
		}
	}
	news("network device", c.links, now.links)
	news("cgroup", c.cgroups, now.cgroups)
	news("file", c.temps, now.temps)
	return out
}

// settle compares with how it is now, and gives the kernel time to finish the
// end of network namespaces, which it does on its own time.
func (c *census) settle(m *fuzz.Machine) []string {
	var left []string
	for range 100 {
		if left = c.compare(takeCensus(m)); len(left) == 0 {
			return nil
		}
		<-time.After(100 * time.Millisecond)
	}
	return left
}

// afterClose looks for processes that outlive the runner.
func afterClose(m *fuzz.Machine) []string {
	var out []string
	for range 50 {
		out = nil
		for _, pid := range descendants(os.Getpid()) {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			out = append(out, fmt.Sprintf("process %d (%s) after the end", pid, strings.TrimSpace(string(comm))))
		}
		for _, l := range append(ownLinks(m), ownCgroups(m)...) {
			out = append(out, l+" after the end")
		}
		if out == nil {
			return nil
		}
		<-time.After(100 * time.Millisecond)
	}
	return out
}
