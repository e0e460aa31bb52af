package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// account says how much memory is in use: of a memory cgroup of our own, which
// counts the kernel's memory for our processes too and nothing of others, or
// else of the whole machine.
type account struct {
	how  string
	dir  string
	back string // where we came from
	file string
}

func newAccount() (*account, error) {
	name := "holdshort-scale-" + strconv.Itoa(os.Getpid())
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(l), ":", 3)
		if len(f) == 3 && f[1] == "memory" {
			root := filepath.Join("/sys/fs/cgroup/memory", f[2])
			if a, ok := join(root, name, "memory.usage_in_bytes"); ok {
				return a, nil
			}
		}
	}
	if a, ok := join("/sys/fs/cgroup", name, "memory.current"); ok {
		return a, nil
	}
	return &account{how: "by MemAvailable of the machine; noisy"}, nil
}

func join(root, name, file string) (*account, bool) {
	dir := filepath.Join(root, name)
	if os.Mkdir(dir, 0o755) != nil {
		return nil, false
	}
	a := &account{how: "by its memory cgroup, kernel memory included", dir: dir, back: root, file: filepath.Join(dir, file)}
	if _, err := os.Stat(a.file); err != nil || os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0) != nil {
		os.Remove(dir)
		return nil, false
	}
	return a, true
}

func (a *account) bytes() int64 {
	if a.file != "" {
		b, _ := os.ReadFile(a.file)
		n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return n
	}
	b, _ := os.ReadFile("/proc/meminfo")
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, "MemAvailable:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return -n * 1024
		}
	}
	return 0
}

func (a *account) close() {
	if a.dir != "" {
		_ = os.WriteFile(filepath.Join(a.back, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
		_ = os.Remove(a.dir)
	}
}
