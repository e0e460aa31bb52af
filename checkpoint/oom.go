package checkpoint

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// oomKills reads how many processes of the workload's memory cgroup the kernel
// has killed for want of memory: oom_kill in memory.events of version 2, in
// memory.oom_control of version 1 (both since Linux 4.13).
func (c *Cgroup) oomKills() (uint64, bool) {
	if dir := c.V1["memory"]; dir != "" {
		return counter(filepath.Join(dir, "memory.oom_control"), "oom_kill")
	}
	if c.V2 != "" {
		return counter(filepath.Join(c.V2, "memory.events"), "oom_kill")
	}
	return 0, false
}

// counter reads one line "name value" of a flat file.
func counter(file, name string) (uint64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
