package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// event is a line of events, in the form of runc's.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

type stats struct {
	CPU    cpuStats    `json:"cpu"`
	CPUSet any         `json:"cpuset"`
	Memory memoryStats `json:"memory"`
	Pids   pidsStats   `json:"pids"`
	BlkIO  any         `json:"blkio"`
	Huge   any         `json:"hugetlb"`
	RDT    any         `json:"intel_rdt"`
	Net    any         `json:"network_interfaces"`
}

type cpuStats struct {
	Usage struct {
		Total  uint64 `json:"total"`
		Kernel uint64 `json:"kernel"`
		User   uint64 `json:"user"`
	} `json:"usage"`
	Throttling struct {
		Periods          uint64 `json:"periods"`
		ThrottledPeriods uint64 `json:"throttledPeriods"`
		ThrottledTime    uint64 `json:"throttledTime"`
	} `json:"throttling"`
}

type memoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage"`
	Max     uint64 `json:"max"`
	Failcnt uint64 `json:"failcnt"`
}

type memoryStats struct {
	Cache uint64            `json:"cache"`
	Usage memoryEntry       `json:"usage"`
	Swap  memoryEntry       `json:"swap"`
	Raw   map[string]uint64 `json:"raw"`
}

type pidsStats struct {
	Current uint64 `json:"current"`
	Limit   uint64 `json:"limit"`
}

func verbEvents(r *invocation, f *flagSet, args []string) error {
	once, interval := false, "5s"
	f.flag(&once, "stats", "", "once")
	f.text(&interval, "interval", "", "how often")
	id, err := r.one(f, "events", args)
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(interval)
	if err != nil || every <= 0 {
		return usageError{fmt.Errorf("--interval: %q is no duration above 0", interval)}
	}
	c, err := findContainer(r.root, id, false)
	if err != nil {
		return err
	}
	defer c.close()
	if c.status() == specs.StateStopped {
		return errNotRunning
	}
	out := json.NewEncoder(r.stdout)
	if once {
		return out.Encode(event{"stats", c.ID, c.stats()})
	}
	return r.follow(c, every, out)
}

// follow prints statistics from time to time, and each time that memory has run
// out, until the container has stopped.
func (r *invocation) follow(c *container, every time.Duration, out *json.Encoder) error {
	fd, err := c.hold()
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ended, quit := make(chan struct{}), make(chan struct{})
	defer close(quit)
	go func() {
		defer closeFD(fd)
		for !waitEnd(fd) { // which is tired after a while
			select {
			case <-quit:
				return
			default:
			}
		}
		close(ended)
	}()
	kills := c.oomKills()
	for {
		if now := c.oomKills(); now > kills {
			kills = now
			if err := out.Encode(event{"oom", c.ID, nil}); err != nil {
				return err
			}
		}
		if err := out.Encode(event{"stats", c.ID, c.stats()}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ended:
			return nil
		case <-r.ctx.Done():
			return nil
		}
	}
}

// number reads a file with one number; "max" and what is missing is 0.
func number(dir, file string) uint64 {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// numbers reads lines of a name and a number.
func numbers(dir, file string) map[string]uint64 {
	out := map[string]uint64{}
	b, _ := os.ReadFile(filepath.Join(dir, file))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 {
			if n, err := strconv.ParseUint(f[1], 10, 64); err == nil {
				out[f[0]] = n
			}
		}
	}
	return out
}

func (c *container) oomKills() uint64 {
	if dir := c.Cgroups["memory"]; dir != "" {
		return numbers(dir, "memory.oom_control")["oom_kill"]
	}
	if dir := c.Cgroups[""]; dir != "" {
		return numbers(dir, "memory.events")["oom_kill"]
	}
	return 0
}

const clockTick = 100 // of the files that count in USER_HZ, on every architecture

func (c *container) stats() *stats {
	s := &stats{CPUSet: struct{}{}, BlkIO: struct{}{}, Huge: struct{}{}, RDT: struct{}{}, Memory: memoryStats{Raw: map[string]uint64{}}}
	v2 := c.Cgroups[""]
	if dir := c.Cgroups["cpuacct"]; dir != "" {
		s.CPU.Usage.Total = number(dir, "cpuacct.usage")
		n := numbers(dir, "cpuacct.stat")
		s.CPU.Usage.User, s.CPU.Usage.Kernel = n["user"]*(1e9/clockTick), n["system"]*(1e9/clockTick)
	} else if v2 != "" {
		n := numbers(v2, "cpu.stat")
		s.CPU.Usage.Total, s.CPU.Usage.User, s.CPU.Usage.Kernel = n["usage_usec"]*1000, n["user_usec"]*1000, n["system_usec"]*1000
		s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods, s.CPU.Throttling.ThrottledTime = n["nr_periods"], n["nr_throttled"], n["throttled_usec"]*1000
	}
	if dir := c.Cgroups["cpu"]; dir != "" {
		n := numbers(dir, "cpu.stat")
		s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods, s.CPU.Throttling.ThrottledTime = n["nr_periods"], n["nr_throttled"], n["throttled_time"]
	}
	if dir := c.Cgroups["memory"]; dir != "" {
		const f = "memory."
		s.Memory.Usage = memoryEntry{number(dir, f+"limit_in_bytes"), number(dir, f+"usage_in_bytes"), number(dir, f+"max_usage_in_bytes"), number(dir, f+"failcnt")}
		const w = "memory.memsw."
		s.Memory.Swap = memoryEntry{number(dir, w+"limit_in_bytes"), number(dir, w+"usage_in_bytes"), number(dir, w+"max_usage_in_bytes"), number(dir, w+"failcnt")}
		s.Memory.Raw = numbers(dir, "memory.stat")
		s.Memory.Cache = s.Memory.Raw["cache"]
	} else if v2 != "" {
		s.Memory.Usage = memoryEntry{number(v2, "memory.max"), number(v2, "memory.current"), number(v2, "memory.peak"), numbers(v2, "memory.events")["max"]}
		s.Memory.Swap = memoryEntry{Limit: number(v2, "memory.swap.max"), Usage: number(v2, "memory.swap.current")}
		s.Memory.Raw = numbers(v2, "memory.stat")
		s.Memory.Cache = s.Memory.Raw["file"]
	}
	dir := c.Cgroups["pids"]
	if dir == "" {
		dir = v2
	}
	if dir != "" {
		s.Pids = pidsStats{number(dir, "pids.current"), number(dir, "pids.max")}
	}
	return s
}
