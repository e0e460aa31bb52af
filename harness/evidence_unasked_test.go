package harness

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestUnaskedMounts(t *testing.T) {
	q := request.New("/bin/true")
	q.Spec.Root = &specs.Root{Path: "/nowhere/root"}
	q.Spec.Mounts = []specs.Mount{
		{Destination: "/proc", Type: "proc"},
		{Destination: "/data", Type: "bind", Options: []string{"rbind"}},
		{Destination: "/one", Type: "bind", Options: []string{"bind"}},
		{Destination: "sys/fs/cgroup/", Type: "cgroup"},
	}
	q.Spec.Linux.MaskedPaths, q.Spec.Linux.ReadonlyPaths = []string{"/proc/keys"}, []string{"/proc/sys"}
	q.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fuse"}}
	before := map[string]int{"/nowhere/root": 1, "/nowhere/root/disk": 1, "/old": 1}
	for at, asked := range map[string]bool{
		"/": true, "/proc": true, "/data": true, "/data/a/b": true, "/one": true, "/sys/fs/cgroup": true, "/sys/fs/cgroup/pids": true,
		"/proc/keys": true, "/proc/sys": true, "/proc/sys/fs/binfmt_misc": true, "/dev/fuse": true, "/dev/null": true, "/dev/console": true,
		"/disk": true, "/mine": true, "/all": true, "/all/of/it": true,
		"/old": false, "/one/two": false, "/database": false, "/proc/x": false, "/dev/sda": false, "/disk/below": false, "/mine/below": false,
		"/proc/keys/x": false, "/nowhere/root/disk": false,
	} {
		h := &held{
			pid: -1, req: q, cfg: &checkpoint.Config{Root: checkpoint.Root{Path: "/nowhere/root"}}, before: before, mountsAllowed: []string{"/mine", "/all/"},
			mounts: []*mountinfo.Info{{ID: 1, Mountpoint: "/"}, {ID: 2, Mountpoint: at}},
		}
		if _, holds, why, err := h.unaskedMounts(); holds != asked || err != nil {
			t.Errorf("%s: asked for: %v, %v (%s)", at, holds, err, why)
		}
		h.before = nil
		if _, holds, _, err := h.unaskedMounts(); holds == (err != nil) {
			t.Errorf("%s, without the table of before: %v, %v", at, holds, err)
		}
	}
}

// A mount of the place that it is on, with no less restrictions, gives nothing.
func TestUnaskedMounts_Restricting(t *testing.T) {
	q := request.New("/bin/true")
	q.Spec.Root = &specs.Root{Path: "/nowhere/root"}
	q.Spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc"}}
	for name, row := range map[string]struct {
		m    mountinfo.Info
		fine bool
	}{
		"itself, read-only":   {mountinfo.Info{Root: "/irq", Minor: 7, Options: "ro,nosuid,relatime"}, true},
		"itself, as it is":    {mountinfo.Info{Root: "/irq", Minor: 7, Options: "rw,nosuid,relatime"}, true},
		"itself, with setuid": {mountinfo.Info{Root: "/irq", Minor: 7, Options: "rw,relatime"}, false},
		"another part of it":  {mountinfo.Info{Root: "/sys", Minor: 7, Options: "ro,nosuid"}, false},
		"another":             {mountinfo.Info{Root: "/irq", Minor: 8, Options: "ro,nosuid"}, false},
	} {
		row.m.ID, row.m.Parent, row.m.Mountpoint = 3, 2, "/proc/irq"
		h := &held{
			pid: -1, req: q, cfg: &checkpoint.Config{Root: checkpoint.Root{Path: "/nowhere/root"}}, before: map[string]int{},
			mounts: []*mountinfo.Info{{ID: 1, Mountpoint: "/"}, {ID: 2, Parent: 1, Minor: 7, Mountpoint: "/proc", Root: "/", Options: "rw,nosuid,relatime"}, &row.m},
		}
		if _, holds, why, err := h.unaskedMounts(); holds != row.fine || err != nil {
			t.Errorf("%s: %v, %v (%s)", name, holds, err, why)
		}
	}
}
