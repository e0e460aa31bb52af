package fuzz

import (
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/fuzz/cover"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Refusal is where and why a request must be refused: either a field, by the
// request's own validation, or a stage and an errno, by launcher and kernel.
type Refusal struct {
	Field string `json:"field,omitempty"`
	Stage string `json:"stage,omitempty"`
	Errno string `json:"errno,omitempty"`
}

// String is as in keys of findings.
func (r Refusal) String() string {
	if r.Field != "" {
		return "field " + r.Field
	}
	return r.Stage + ": " + r.Errno
}

// Defect makes a valid request one that must be refused.
type Defect struct {
	Name string
	// breaks changes a request whose parts are its own; ok is false if it does
	// not go with what is asked for.
	breaks func(r *request.Request, m *Machine) (want Refusal, ok bool)
}

// Break makes a copy of a request with the defect, and says how it must be refused;
// ok is false if the defect does not go with what else is asked for.
func (d *Defect) Break(md *Model, r *request.Request) (broken *request.Request, want Refusal, ok bool) {
	c, spec, process, linux := *r, *r.Spec, *r.Process(), *r.Linux()
	spec.Process, spec.Linux, c.Spec = &process, &linux, &spec
	process.Args, process.Env, process.Rlimits = slices.Clone(process.Args), slices.Clone(process.Env), slices.Clone(process.Rlimits)
	linux.Namespaces, spec.Mounts = slices.Clone(linux.Namespaces), slices.Clone(spec.Mounts)
	want, ok = d.breaks(&c, md.m)
	return &c, want, ok
}

// Defects are all, in a fixed order.
func Defects() []Defect { return defects }

// FindDefect finds one by its name.
func FindDefect(name string) (*Defect, bool) {
	i := slices.IndexFunc(defects, func(d Defect) bool { return d.Name == name })
	if i < 0 {
		return nil, false
	}
	return &defects[i], true
}

// Defect chooses one for a case; nil if none goes with it.
func (md *Model) Defect(seed, index uint64, r *request.Request) *Defect {
	s := cover.NewStream(md.key(seed, index, 2))
	order := make([]int, len(defects))
	for i := range order {
		order[i] = i
	}
	s.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, i := range order {
		if _, _, ok := defects[i].Break(md, r); ok {
			return &defects[i]
		}
	}
	return nil
}

// field is a defect that validation refuses.
func field(name string, breaks func(r *request.Request) (field string)) Defect {
	return Defect{name, func(r *request.Request, _ *Machine) (Refusal, bool) {
		f := breaks(r)
		return Refusal{Field: f}, f != ""
	}}
}

// step is one that the launch fails of.
func step(name, stage, errno string, breaks func(r *request.Request, m *Machine) bool) Defect {
	return Defect{name, func(r *request.Request, m *Machine) (Refusal, bool) {
		return Refusal{Stage: stage, Errno: errno}, breaks(r, m)
	}}
}

// byName: the program is found by its name, in the caller's root or its own.
func byName(r *request.Request) bool { return r.Ext.Program == nil }

var defects = []Defect{
	field("no program", func(r *request.Request) string {
		if !byName(r) {
			return ""
		}
		r.Spec.Process.Args[0] = ""
		return "process.args[0]"
	}),
	field("variable without value", func(r *request.Request) string {
		r.Spec.Process.Env = append(r.Spec.Process.Env, "NOTHING")
		return fmt.Sprintf("process.env[%d]", len(r.Spec.Process.Env)-1)
	}),
	field("relative directory", func(r *request.Request) string {
		r.Spec.Process.Cwd = "here"
		return "process.cwd"
	}),
	field("user -1", func(r *request.Request) string {
		if r.Ext.KeepIDs {
			return ""
		}
		r.Spec.Process.User.UID = ^uint32(0)
		return "process.user.uid"
	}),
	field("umask beyond 0777", func(r *request.Request) string {
		r.Spec.Process.User.Umask = new(uint32(0o1000))
		return "process.user.umask"
	}),
	field("soft above hard limit", func(r *request.Request) string {
		if len(r.Process().Rlimits) == 0 {
			r.Spec.Process.Rlimits = append(r.Spec.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_CORE"})
		}
		l := &r.Spec.Process.Rlimits[len(r.Process().Rlimits)-1]
		if l.Hard == ^uint64(0) {
			return ""
		}
		l.Soft = l.Hard + 1
		return fmt.Sprintf("process.rlimits[%d]", len(r.Process().Rlimits)-1)
	}),
	field("a limit twice", func(r *request.Request) string {
		n := len(r.Process().Rlimits)
		if n == 0 {
			return ""
		}
		r.Spec.Process.Rlimits = append(r.Spec.Process.Rlimits, r.Process().Rlimits[0])
		return fmt.Sprintf("process.rlimits[%d]", n)
	}),
	field("oom score beyond 1000", func(r *request.Request) string {
		r.Spec.Process.OOMScoreAdj = new(1001)
		return "process.oomScoreAdj"
	}),
	field("effective and not permitted", func(r *request.Request) string {
		r.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"}}
		return "process.capabilities.effective"
	}),
	field("unknown capability", func(r *request.Request) string {
		r.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_FLY"}}
		return "process.capabilities.bounding[0]"
	}),
	field("a namespace twice", func(r *request.Request) string {
		n := len(r.Linux().Namespaces)
		if n == 0 {
			return ""
		}
		r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: r.Linux().Namespaces[0].Type})
		return fmt.Sprintf("linux.namespaces[%d]", n)
	}),
	step("program that is not there", "execve", "ENOENT", func(r *request.Request, m *Machine) bool {
		if !byName(r) {
			return false
		}
		r.Spec.Process.Args[0] = m.Dir + "/nothing"
		return true
	}),
	step("program that must not run", "execve", "EACCES", func(r *request.Request, m *Machine) bool {
		if !byName(r) {
			return false
		}
		r.Spec.Process.Args[0] = m.Dir + "/point/file"
		if r.Spec.Root != nil {
			r.Spec.Process.Args[0] = "/point/file"
		}
		// Whatever is mounted over it may be another.
		return len(r.Spec.Mounts) == 0 && len(r.Linux().MaskedPaths) == 0
	}),
	step("directory that is not there", "cwd", "ENOENT", func(r *request.Request, m *Machine) bool {
		r.Spec.Process.Cwd = m.Dir + "/nothing"
		return true
	}),
	step("file system that nobody knows", "mounts", "ENODEV", func(r *request.Request, m *Machine) bool {
		point := m.Dir + "/point/a"
		if r.Spec.Root != nil {
			point = "/point/a"
		}
		r.Spec.Mounts = append(r.Spec.Mounts, specs.Mount{Destination: point, Type: "nothingfs", Source: "none"})
		return r.Namespace(specs.MountNamespace).Fresh()
	}),
	step("namespace that is not there", "namespaces", "ENOENT", func(r *request.Request, m *Machine) bool {
		if !m.Root || r.Namespace(specs.IPCNamespace).Asked {
			return false
		}
		r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.IPCNamespace, Path: m.Dir + "/nothing"})
		return true
	}),
	step("user that is not mapped", "ids", "EINVAL", func(r *request.Request, _ *Machine) bool {
		if r.Ext.KeepIDs || !r.Namespace(specs.UserNamespace).Fresh() {
			return false
		}
		r.Spec.Process.User.UID = 4_000_000_000
		return true
	}),
}
