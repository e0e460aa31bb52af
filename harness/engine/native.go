package engine

import (
	"errors"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
)

// Config translates a request for this project's own launcher. Every field is
// either honoured or refused with an error that matches [ErrUnsupported]; all
// refusals are joined. It does no I/O.
//
// Three fields belong to the run rather than to the configuration, and are left
// to the caller: process.terminal, process.consoleSize (both for
// [checkpoint.Options]) and holdshort.passFDs. Annotations have no effect on a
// launch, except those of other engines that do, which are refused.
//
// Precondition: req.Validate() is nil.
func Config(req *request.Request, host Host) (*checkpoint.Config, error) {
	t := &translator{req: req, host: &host, cfg: &checkpoint.Config{}}
	t.spec()
	t.process()
	t.namespaces()
	t.network()
	t.cgroup()
	t.mounts() // after the cgroups, which a mount may show
	t.extension()
	t.tuning()
	if s := req.Linux().Seccomp; s != nil {
		p, err := seccompPolicy(s)
		t.fail("linux.seccomp", err)
		t.cfg.Seccomp = p
	}
	for i, s := range req.Ext.Seccomp {
		p, err := seccompPolicy(s)
		t.fail("holdshort.seccomp["+strconv.Itoa(i)+"]", err)
		t.cfg.Filters = append(t.cfg.Filters, p)
	}
	if err := errors.Join(t.errs...); err != nil {
		return nil, err
	}
	return t.cfg, nil
}

type translator struct {
	refusals
	req  *request.Request
	host *Host
	cfg  *checkpoint.Config
}

// spec refuses what is not about Linux processes at all.
func (t *translator) spec() {
	s := t.req.Spec
	t.refuse(s.Hooks != nil && !emptyHooks(s.Hooks), "hooks")
	t.refuse(s.Solaris != nil, "solaris")
	t.refuse(s.Windows != nil, "windows")
	t.refuse(s.VM != nil, "vm")
	t.refuse(s.ZOS != nil, "zos")
	t.refuse(s.FreeBSD != nil, "freebsd")
	for k := range s.Annotations {
		t.refuse(strings.HasPrefix(k, "run.oci."), "annotations."+k)
	}
	l := t.req.Linux()
	t.refuse(l.MountLabel != "", "linux.mountLabel")
	t.refuse(l.IntelRdt != nil, "linux.intelRdt", t.resctrl())
}

func emptyHooks(h *specs.Hooks) bool {
	return len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer)+len(h.StartContainer)+len(h.Poststart)+len(h.Poststop) == 0 //nolint:staticcheck // prestart is deprecated, and refused all the same
}

// Placement says in which cgroup hierarchies a configuration places the
// workload: what the oracle's features want to know.
func Placement(c *checkpoint.Config) (v2 bool, v1 []string) {
	return c.Cgroup.V2 != "", sortedKeys(c.Cgroup.V1)
}
