package engine

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/devices"
)

// deviceRules go into the devices controller of version 1 where the workload is
// placed in one, else into a program for the version 2 cgroup. The list is all
// there is: nothing is allowed beyond it, not even /dev/null.
func (t *translator) deviceRules(rules []specs.LinuxDeviceCgroup) {
	if len(rules) == 0 {
		return
	}
	const field = "linux.resources.devices"
	out := make([]devices.Rule, 0, len(rules))
	for i := range rules {
		r := deviceRule(&rules[i])
		t.fail(fieldAt(field, i), r.Validate())
		out = append(out, r)
	}
	c := &t.cfg.Cgroup
	_, here := t.host.CgroupV1["devices"]
	if here {
		t.join("devices")
	}
	if c.V1["devices"] != "" {
		_, err := devices.Lines(out)
		t.refuse(err != nil, field, errorText(err))
	} else {
		t.refuse(c.V2 == "", field, "it needs linux.cgroupsPath or holdshort.cgroup, and version 2 or a devices controller")
	}
	c.Devices = checkpoint.Some(out)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// deviceRule fills in what the runtime-spec lets out: everything.
func deviceRule(r *specs.LinuxDeviceCgroup) devices.Rule {
	number := func(n *int64) int64 {
		if n == nil || *n < 0 {
			return devices.Any
		}
		return *n
	}
	out := devices.Rule{Allow: r.Allow, Type: devices.Type(r.Type), Major: number(r.Major), Minor: number(r.Minor)}
	if r.Type == "" {
		out.Type = devices.All
	}
	for letter, bit := range map[string]devices.Access{"r": devices.Read, "w": devices.Write, "m": devices.Mknod} {
		if r.Access == "" || strings.Contains(r.Access, letter) {
			out.Access |= bit
		}
	}
	return out
}
