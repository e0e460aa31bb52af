package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestParkedChildIsLean looks at what a parked child has: no memory of its own
// but a page of the arena, and one page table of each level.
func TestParkedChildIsLean(t *testing.T) {
	a := start(t)
	parked := make(chan int32, 4)
	l, err := a.Launch(&Spec{CgroupFD: -1}, func(ev *Event, fd int) {
		switch ev.Kind {
		case Spawned:
			unix.Close(fd)
		case Parked:
			parked <- 0
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	<-parked
	pid := int(l.mem.pid)
	maps := proc(t, pid, "smaps")
	t.Log(maps + proc(t, pid, "status"))
	if strings.Contains(maps, "[vdso]") {
		t.Skip("this kernel does not let a process unmap its vdso (CONFIG_MSEAL_SYSTEM_MAPPINGS)")
	}
	dirty, areas := 0, 0
	for line := range strings.Lines(maps) {
		var from, to uint64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			if strings.Contains(line, "[vsyscall]") {
				continue
			}
			if areas++; to > homeBase+uint64(os.Getpagesize()) {
				t.Errorf("mapped beyond the home: %s", line)
			}
		}
		if v, ok := strings.CutPrefix(line, "Private_Dirty:"); ok {
			dirty += kilobytes(v)
		}
	}
	page := os.Getpagesize() / 1024
	if dirty > page { // the page of the arena, if the host's is not counted
		t.Errorf("%d kB of memory of its own; want at most the page that it shares with the host", dirty)
	}
	if areas != 2 {
		t.Errorf("%d mappings; want program and home", areas)
	}
	_, rest, _ := strings.Cut(proc(t, pid, "status"), "VmPTE:")
	if n := kilobytes(rest); n > 3*page { // the first level is not counted
		t.Errorf("%d kB of page tables; want at most three pages", n)
	}
	l.Abort()
}

func proc(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func kilobytes(s string) int {
	var n int
	_, _ = fmt.Sscan(s, &n)
	return n
}
