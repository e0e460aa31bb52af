package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Call is one call of an OCI runtime, as far as it matters here.
type Call struct {
	Verb    string // create, run, start, exec, or another
	ID      string
	Root    string // of the runtime's state, if it was given
	Bundle  string
	PIDFile string
	Process string // file with the process of an exec

	flags map[string][]string // of the verb
	args  []string            // what follows the id
}

// Verified reports whether the call may start a program.
func (c *Call) Verified() bool {
	return slices.Contains([]string{"create", "run", "start", "exec"}, c.Verb)
}

// valued are the options that take a value, of runc(8), crun(1) and youki,
// global ones and those of create, run, start and exec. All others are switches,
// which no call of podman, containerd, docker or CRI-O contradicts.
var valued = []string{
	"root", "log", "log-format", "log-level", "criu", "rootless", "cgroup-manager", "cgroup_manager",
	"bundle", "b", "console-socket", "pid-file", "preserve-fds", "config", "f",
	"cwd", "env", "e", "user", "u", "additional-gids", "g", "process", "p", "cap", "c", "apparmor", "process-label", "cgroup", "ignore-paused-value",
}

// ParseCall reads the arguments of a runtime.
func ParseCall(args []string) *Call {
	c := &Call{flags: map[string][]string{}}
	take := func(i int) (name, value string, next int) {
		name = strings.TrimLeft(args[i], "-")
		if k, v, ok := strings.Cut(name, "="); ok {
			return k, v, i + 1
		}
		if slices.Contains(valued, name) && i+1 < len(args) && !(c.Verb == "" && (name == "b" || name == "p" || name == "c")) {
			return name, args[i+1], i + 2
		}
		return name, "true", i + 1
	}
	for i := 0; i < len(args); {
		a := args[i]
		switch {
		case a == "--" && c.ID == "":
			i++
		case strings.HasPrefix(a, "-") && len(a) > 1 && c.ID == "":
			var name, value string
			name, value, i = take(i)
			c.flags[name] = append(c.flags[name], value)
		case c.Verb == "":
			c.Verb = a
			i++
		case c.ID == "":
			c.ID = a
			i++
		default:
			c.args = args[i:]
			i = len(args)
		}
	}
	one := func(names ...string) string {
		for _, n := range names {
			if v := c.flags[n]; len(v) > 0 {
				return v[len(v)-1]
			}
		}
		return ""
	}
	c.Root, c.PIDFile = one("root"), one("pid-file")
	c.Bundle, c.Process = one("bundle", "b"), one("process", "p")
	if c.Verb == "run" || c.Verb == "create" {
		if c.Bundle == "" {
			c.Bundle = "."
		}
	}
	return c
}

// in makes the call's paths absolute.
func (c *Call) in(dir string) {
	for _, p := range []*string{&c.Bundle, &c.PIDFile, &c.Process, &c.Root} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// container reads what is asked of a container.
func (c *Call) container() (*request.Request, error) {
	b, err := os.ReadFile(filepath.Join(c.Bundle, "config.json"))
	if err != nil {
		return nil, err
	}
	req, err := request.Parse(b, false)
	if err != nil {
		return nil, err
	}
	req.Dir = c.Bundle
	if n, _ := strconv.Atoi(c.last("preserve-fds")); n > 0 {
		req.Ext.PassFDs = n
	}
	return req, nil
}

func (c *Call) last(name string) string {
	if v := c.flags[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// inside makes, of the container's request and its process, what is asked of one
// more process in it: the namespaces are the container's, and so is the filter.
func (c *Call) inside(container *request.Request, pid int) (*request.Request, error) {
	p, err := c.process(container.Process())
	if err != nil {
		return nil, err
	}
	req := &request.Request{Spec: &specs.Spec{Version: container.Spec.Version, Process: p, Linux: &specs.Linux{Seccomp: container.Linux().Seccomp}}}
	files := map[specs.LinuxNamespaceType]string{
		specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.MountNamespace: "mnt", specs.IPCNamespace: "ipc",
		specs.UTSNamespace: "uts", specs.UserNamespace: "user", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time",
	}
	for _, n := range container.Linux().Namespaces {
		req.Spec.Linux.Namespaces = append(req.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: n.Type, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, files[n.Type])})
	}
	if n, _ := strconv.Atoi(c.last("preserve-fds")); n > 0 {
		req.Ext.PassFDs = n
	}
	return req, req.Validate()
}

// process is that of an exec: from a file, or the container's own with what the
// options change.
func (c *Call) process(of *specs.Process) (*specs.Process, error) {
	if c.Process != "" {
		b, err := os.ReadFile(c.Process)
		if err != nil {
			return nil, err
		}
		p := &specs.Process{}
		return p, json.Unmarshal(b, p)
	}
	p := *of
	p.Terminal, p.ConsoleSize = c.last("tty") == "true" || c.last("t") == "true", nil
	if len(c.args) == 0 {
		return nil, errors.New("an exec without a program")
	}
	p.Args = c.args
	if p.Args[0] == "--" {
		p.Args = p.Args[1:]
	}
	if cwd := c.last("cwd"); cwd != "" {
		p.Cwd = cwd
	}
	p.Env = slices.Concat(p.Env, c.flags["env"], c.flags["e"])
	if u := c.last("user") + c.last("u"); u != "" {
		uid, gid, both := strings.Cut(u, ":")
		n, err := strconv.ParseUint(uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--user %s: %w", u, err)
		}
		p.User.UID = uint32(n)
		if both {
			if n, err = strconv.ParseUint(gid, 10, 32); err != nil {
				return nil, fmt.Errorf("--user %s: %w", u, err)
			}
			p.User.GID = uint32(n)
		}
	}
	if len(c.flags["cap"])+len(c.flags["c"]) > 0 {
		return nil, errors.New("--cap is not understood here; only --process is")
	}
	return &p, nil
}
