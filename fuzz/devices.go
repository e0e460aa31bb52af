package fuzz

import (
	"path"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// devices are drawn after the other dimensions of cgroups, whose choice of how
// to ask they follow.
var devices = []dimension{
	{
		name: "device rules", can: func(m *Machine) bool { return m.CgroupV2 != "" },
		draw: func(d *drawer) {
			if !d.oci() {
				c := &d.r.Ext.Cgroup
				c.V2, c.Create = path.Join(d.m.CgroupV2, d.cgroup()), true
			}
			var rules []specs.LinuxDeviceCgroup
			number := func() *int64 {
				if d.chance(30) {
					return nil
				}
				return new(int64(pick(d, 1, 3, 5, 8, 136, d.in(0, 4095))))
			}
			legacy := d.r.Linux().CgroupsPath != "" // may be of version 1, which cannot say everything
			for range pick(d, 1, 2, 5, 20) {
				rules = append(rules, specs.LinuxDeviceCgroup{
					Allow: true, Type: pick(d, "c", "b"), Major: number(), Minor: number(), Access: pick(d, "r", "w", "m", "rw", "rwm"),
				})
			}
			for i := range rules {
				if legacy {
					rules[i].Access = "rwm"
				} else {
					rules[i].Allow = d.chance(60)
				}
			}
			d.resources().Devices = rules
		},
		has: func(r *request.Request) bool {
			return r.Linux().Resources != nil && len(r.Linux().Resources.Devices) > 0
		},
	},
	{
		name: "cgroup freeze", can: func(m *Machine) bool { return m.CgroupV2 != "" },
		draw: func(d *drawer) {
			if !d.oci() {
				c := &d.r.Ext.Cgroup
				c.V2, c.Create = path.Join(d.m.CgroupV2, d.cgroup()), true
			}
			d.r.Ext.Cgroup.Freeze = true
		},
		has: func(r *request.Request) bool { return r.Ext.Cgroup.Freeze },
	},
	{
		name: "cgroup delegate", can: func(m *Machine) bool { return m.CgroupV2 != "" },
		draw: func(d *drawer) {
			zero := func(list []specs.LinuxIDMapping) bool {
				for _, e := range list {
					if e.ContainerID == 0 {
						return true
					}
				}
				return false
			}
			l := d.r.Linux()
			if d.r.Namespace(specs.UserNamespace).Asked && (!zero(l.UIDMappings) || !zero(l.GIDMappings)) {
				return
			}
			if !d.oci() {
				c := &d.r.Ext.Cgroup
				c.V2, c.Create = path.Join(d.m.CgroupV2, d.cgroup()), true
			}
			d.r.Ext.Cgroup.Delegate = true
		},
		has: func(r *request.Request) bool { return r.Ext.Cgroup.Delegate },
	},
}
