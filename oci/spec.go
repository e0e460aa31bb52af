package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/engine"
	"github.com/holdshort/holdshort/harness/request"
)

// loadSpec reads a configuration. What the specification has no word for is
// ignored, as it demands (config.md, Extensibility).
func loadSpec(path, bundle string) (*request.Request, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, request.MaxSize+1))
	if err != nil {
		return nil, nil, err
	}
	req, err := request.Parse(text, false)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	req.Dir = bundle
	return req, text, nil
}

// noProcess is the program of a container that has none. It is not there.
const noProcess = "/.holdshort-no-process"

// version1 reports whether it is a version of the specification with the number
// 1, as ociVersion has it: that of a semantic version, of which what follows the
// three numbers says nothing to us.
func version1(s string) bool {
	s, build, built := strings.Cut(s, "+")
	s, pre, early := strings.Cut(s, "-")
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
	if strings.Trim(build+pre, letters) != "" || built && build == "" || early && pre == "" {
		return false
	}
	n := strings.Split(s, ".")
	for _, x := range n {
		if x == "" || strings.Trim(x, "0123456789") != "" || len(x) > 1 && x[0] == '0' {
			return false
		}
	}
	return len(n) == 3 && n[0] == "1"
}

// adapt makes of a configuration what our launcher has words for, as engines
// are to read it. It changes the request, which is the caller's own, and
// returns what is to be warned of.
func adapt(req *request.Request, id string) (warnings []string, err error) {
	s := req.Spec
	if !version1(s.Version) {
		return nil, fmt.Errorf("ociVersion: %q is not a version 1 of the specification", s.Version)
	}
	if s.Process == nil {
		// A container can be made without one and cannot be started then
		// (config.md). A parked process keeps its namespaces all the same.
		s.Process = &specs.Process{Cwd: "/", Args: []string{noProcess}}
	}
	if s.Root == nil {
		return nil, errors.New("root: is missing")
	}
	for k := range s.Annotations {
		if strings.HasPrefix(k, "run.oci.") {
			delete(s.Annotations, k) // another engine's; unknown annotations must not be an error (config.md)
		}
	}
	if s.Linux == nil {
		s.Linux = &specs.Linux{}
	}
	for i := range s.Mounts {
		if m := &s.Mounts[i]; !filepath.IsAbs(m.Destination) {
			m.Destination = filepath.Join("/", m.Destination)
			warnings = append(warnings, fmt.Sprintf("mounts[%d].destination is not absolute: taken as %s", i, m.Destination))
		}
	}
	more, err := adaptProcess(s.Process)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, more...)
	if req.Ext.Init {
		return nil, &engine.UnsupportedError{Field: "holdshort.init", Why: "process 1 of a container is the program itself"}
	}
	if l := s.Linux; l.CgroupsPath == "" {
		l.CgroupsPath = "/" + id
	}
	if strings.Count(s.Linux.CgroupsPath, ":") == 2 && !strings.Contains(s.Linux.CgroupsPath, "/") {
		return nil, &engine.UnsupportedError{Field: "linux.cgroupsPath", Why: s.Linux.CgroupsPath + " is for the systemd cgroup driver; use the cgroupfs driver"}
	}
	if !filepath.IsAbs(s.Linux.CgroupsPath) && s.Linux.CgroupsPath != "" {
		s.Linux.CgroupsPath = filepath.Join("/", s.Linux.CgroupsPath)
	}
	for i := range s.Linux.Devices {
		if m := s.Linux.Devices[i].FileMode; m != nil { // callers take it from stat(2), with the type
			mode := *m & 0o7777
			s.Linux.Devices[i].FileMode = &mode
		}
	}
	adaptDevices(s)
	return warnings, nil
}

// adaptProcess is of every process that is started in a container.
func adaptProcess(p *specs.Process) (warnings []string, err error) {
	if p.Cwd == "" {
		return nil, errors.New("process.cwd: is missing")
	}
	if !filepath.IsAbs(p.Cwd) {
		return nil, fmt.Errorf("process.cwd: %q is not absolute", p.Cwd)
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{} // as every engine has it: none
	}
	held, err := ownCapabilities()
	if err != nil {
		return nil, err
	}
	c := p.Capabilities
	for _, set := range []struct {
		name string
		list *[]string
		may  uint64
	}{
		{"bounding", &c.Bounding, held.bounding},
		{"permitted", &c.Permitted, held.permitted},
		{"effective", &c.Effective, held.permitted},
		{"inheritable", &c.Inheritable, held.permitted},
		{"ambient", &c.Ambient, held.permitted},
	} {
		*set.list = slices.DeleteFunc(slices.Clone(*set.list), func(name string) bool {
			bit, err := request.CapSet([]string{name})
			switch {
			case err != nil:
				warnings = append(warnings, fmt.Sprintf("process.capabilities.%s: %s is not known here and is left out", set.name, name))
			case bit&set.may == 0:
				// "runtimes SHOULD NOT fail if the configuration requests
				// capabilities that cannot be granted" (config.md)
				warnings = append(warnings, fmt.Sprintf("process.capabilities.%s: %s cannot be granted, since this process has not got it", set.name, name))
			default:
				return false
			}
			return true
		})
	}
	c.Effective = slices.DeleteFunc(c.Effective, func(name string) bool { return !slices.Contains(c.Permitted, name) })
	if a := request.Ambient(c); len(c.Ambient) > 0 {
		for _, name := range c.Ambient {
			if bit, _ := request.CapSet([]string{name}); bit&a == 0 {
				warnings = append(warnings, fmt.Sprintf("process.capabilities.ambient: %s is not permitted and inheritable too and is left out", name))
			}
		}
	}
	return warnings, nil
}

type capabilities struct{ permitted, bounding uint64 }

func ownCapabilities() (capabilities, error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return capabilities{}, fmt.Errorf("capget: %w", err)
	}
	c := capabilities{permitted: uint64(d[0].Permitted) | uint64(d[1].Permitted)<<32}
	for n := range 64 {
		v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break
		}
		if v == 1 {
			c.bounding |= 1 << n
		}
	}
	return c, nil
}

// adaptDevices adds to rules about devices those that let the default devices
// be used and any node be made, as other engines do: the specification has the
// devices supplied and does not say that they can be opened.
func adaptDevices(s *specs.Spec) {
	r := s.Linux.Resources
	if r == nil || len(r.Devices) == 0 {
		return
	}
	rules := append(slices.Clone(r.Devices), engine.DefaultDevices()...)
	if s.Process.Terminal {
		console := [2]int64{5, 1}
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &console[0], Minor: &console[1], Access: "rwm"})
	}
	r.Devices = rules
}

// compiled is a configuration that can be launched.
type compiled struct {
	req      *request.Request
	cfg      *checkpoint.Config
	hooks    specs.Hooks
	resctrl  string // where it is mounted
	warnings []string
}

// compile checks a configuration and translates it. Problems come each with its
// field.
func compile(req *request.Request, id string, o *createOptions) (*compiled, error) {
	out := &compiled{req: req}
	var err error
	if out.warnings, err = adapt(req, id); err != nil {
		return nil, err
	}
	host, err := hostOf()
	if err != nil {
		return nil, err
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if l := req.Spec.Linux; l.IntelRdt != nil { // nor is this the launcher's
		rdt := l.IntelRdt
		if err := checkRDT(rdt, host.Resctrl); err != nil {
			return nil, err
		}
		out.resctrl, l.IntelRdt = host.Resctrl, nil
		defer func() { l.IntelRdt = rdt }()
	}
	if h := req.Spec.Hooks; h != nil {
		out.hooks = *h
		if err := checkHooks(h); err != nil {
			return nil, err
		}
		req.Spec.Hooks = nil // they are not the launcher's
		defer func() { req.Spec.Hooks = h }()
	}
	if out.cfg, err = engine.Config(req, host); err != nil {
		return nil, err
	}
	launcherNeeds(out.cfg, o.noNewKeyring)
	return out, nil
}

// launcherNeeds is what a container's process has beyond its configuration, as
// with other engines: a session of its own, and a session keyring.
func launcherNeeds(cfg *checkpoint.Config, noNewKeyring bool) {
	cfg.Session = true
	if !noNewKeyring && cfg.Keyring.IsZero() {
		cfg.NewKeyring = true
	}
}
