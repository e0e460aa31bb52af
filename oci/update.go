package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// verbUpdate writes other limits into the cgroups of a container.
func verbUpdate(r *invocation, f *flagSet, args []string) error {
	var file string
	f.text(&file, "resources", "r", "file with linux.resources; - is standard input")
	u := newUpdate(f)
	c, err := r.held(f, "update", args)
	if err != nil {
		return err
	}
	defer c.close()
	if err := u.alone(file); err != nil {
		return err
	}
	if c.status() == specs.StateStopped {
		return errNotRunning
	}
	res := &specs.LinuxResources{}
	if file != "" {
		if res, err = readResources(file); err != nil {
			return err
		}
	} else if err := u.apply(res); err != nil {
		return err
	}
	return c.update(res)
}

func readResources(path string) (*specs.LinuxResources, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(os.Stdin, request.MaxSize))
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	res := &specs.LinuxResources{}
	if err := json.Unmarshal(b, res); err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	return res, nil
}

// updateFlags are those of runc's update.
type updateFlags struct{ values map[string]*string }

var updateNames = []string{
	"memory", "memory-reservation", "memory-swap", "kernel-memory", "kernel-memory-tcp", "pids-limit", "cpu-period", "cpu-quota", "cpu-burst", "cpu-share", "cpu-rt-period",
	"cpu-rt-runtime", "cpuset-cpus", "cpuset-mems", "blkio-weight", "cpu-idle", "l3-cache-schema", "mem-bw-schema",
}

func newUpdate(f *flagSet) *updateFlags {
	u := &updateFlags{map[string]*string{}}
	for _, name := range updateNames {
		v := new(string)
		u.values[name] = v
		f.text(v, name, "", "")
	}
	return u
}

// alone refuses flags that a file with all limits would overrule in silence.
func (u *updateFlags) alone(file string) error {
	if file == "" {
		return nil
	}
	var errs []error
	for _, name := range updateNames {
		if *u.values[name] != "" {
			errs = append(errs, fmt.Errorf("--%s together with --resources: the file says what the limits are; put it there", name))
		}
	}
	return errors.Join(errs...)
}

func (u *updateFlags) apply(res *specs.LinuxResources) error {
	var errs []error
	signed := func(name string) *int64 {
		if *u.values[name] == "" {
			return nil
		}
		n, err := parseSize(*u.values[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", name, err))
		}
		return &n
	}
	unsigned := func(name string) *uint64 {
		n := signed(name)
		if n == nil {
			return nil
		}
		if *n < 0 {
			errs = append(errs, fmt.Errorf("--%s: %d is negative", name, *n))
		}
		v := uint64(*n)
		return &v
	}
	for _, name := range []string{"kernel-memory", "kernel-memory-tcp", "l3-cache-schema", "mem-bw-schema"} {
		if *u.values[name] != "" {
			errs = append(errs, fmt.Errorf("--%s: not supported", name))
		}
	}
	res.Memory = &specs.LinuxMemory{Limit: signed("memory"), Reservation: signed("memory-reservation"), Swap: signed("memory-swap")}
	res.CPU = &specs.LinuxCPU{
		Shares: unsigned("cpu-share"), Quota: signed("cpu-quota"), Burst: unsigned("cpu-burst"), Period: unsigned("cpu-period"),
		RealtimeRuntime: signed("cpu-rt-runtime"), RealtimePeriod: unsigned("cpu-rt-period"),
		Cpus: *u.values["cpuset-cpus"], Mems: *u.values["cpuset-mems"], Idle: signed("cpu-idle"),
	}
	if n := signed("pids-limit"); n != nil {
		res.Pids = &specs.LinuxPids{Limit: n}
	}
	if n := unsigned("blkio-weight"); n != nil {
		if *n > math.MaxUint16 { // the field has no more, and a part of the number is another weight
			errs = append(errs, fmt.Errorf("--blkio-weight: %d is above %d", *n, math.MaxUint16))
		}
		w := uint16(*n)
		res.BlockIO = &specs.LinuxBlockIO{Weight: &w}
	}
	return errors.Join(errs...)
}

// parseSize reads a number, which may have a unit of 1024.
func parseSize(s string) (int64, error) {
	shift := 0
	if n := len(s); n > 1 {
		switch s[n-1] {
		case 'k', 'K':
			shift = 10
		case 'm', 'M':
			shift = 20
		case 'g', 'G':
			shift = 30
		}
		if shift > 0 {
			s = s[:n-1]
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n<<shift>>shift != n {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n << shift, nil
}

// update translates limits as create does, and writes them.
func (c *container) update(res *specs.LinuxResources) error {
	if m := res.Memory; m != nil && m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate {
		return &engine.UnsupportedError{Field: "linux.resources.memory.checkBeforeUpdate", Why: "what is in use is not looked at before a limit is written; look at it with events --stats"}
	}
	req, err := c.spec()
	if err != nil {
		return err
	}
	host, err := readHost()
	if err != nil {
		return err
	}
	ask := &request.Request{Spec: &specs.Spec{
		Version: specs.Version, Process: &specs.Process{Args: []string{"x"}, Cwd: "/"},
		Linux: &specs.Linux{CgroupsPath: req.Linux().CgroupsPath, Resources: res},
	}}
	if _, err := adapt(withRoot(ask), c.ID); err != nil {
		return err
	}
	ask.Spec.Root = nil
	cfg, err := engine.Config(ask, host)
	if err != nil {
		return err
	}
	if cfg.Cgroup.Devices.Set {
		return &engine.UnsupportedError{Field: "linux.resources.devices", Why: "rules about devices cannot be changed by update"}
	}
	for _, l := range ordered(cfg.Cgroup.Limits, c.readLimit) {
		dir, ok := c.Cgroups[l.Controller]
		if !ok {
			return fmt.Errorf("the container is in no cgroup for %s", l.File)
		}
		if err := os.WriteFile(filepath.Join(dir, l.File), []byte(l.Value), 0); err != nil {
			return err
		}
	}
	return c.checkTaken(cfg.Cgroup.Limits)
}

func withRoot(r *request.Request) *request.Request {
	r.Spec.Root = &specs.Root{Path: "/"}
	return r
}

// readLimit reads a limit of the container.
func (c *container) readLimit(controller, file string) (string, error) {
	dir, ok := c.Cgroups[controller]
	if !ok {
		return "", fmt.Errorf("the container is in no cgroup for %s", file)
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	return string(b), err
}

// checkTaken refuses the one limit that newer kernels take and forget
// (mem_cgroup_write, mm/memcontrol-v1.c: "Writing any value to this file has no
// effect").
func (c *container) checkTaken(limits []checkpoint.CgroupLimit) error {
	const file = "memory.kmem.limit_in_bytes"
	for _, l := range limits {
		if l.File != file || amount(l.Value) == 1<<63 {
			continue
		}
		now, err := c.readLimit(l.Controller, file)
		if err != nil {
			return err
		}
		if amount(now) > amount(l.Value) { // it may be rounded down to pages
			return &engine.UnsupportedError{Field: "linux.resources.memory.kernel", Why: "this kernel takes a limit of kernel memory and forgets it"}
		}
	}
	return nil
}
