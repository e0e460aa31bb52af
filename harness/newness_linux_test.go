package harness

import (
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestSabotageNotNew has a launcher join the namespace of another process where a
// new one is asked for: right in depth and owner, and not the caller's.
func TestSabotageNotNew(t *testing.T) {
	r := shared(t)
	kinds := map[checkpoint.NamespaceKind]specs.LinuxNamespaceType{
		checkpoint.Net: specs.NetworkNamespace, checkpoint.UTS: specs.UTSNamespace, checkpoint.IPC: specs.IPCNamespace,
		checkpoint.Cgroups: specs.CgroupNamespace, checkpoint.Mnt: specs.MountNamespace, checkpoint.PID: specs.PIDNamespace, checkpoint.Time: specs.TimeNamespace,
	}
	cfg := &checkpoint.Config{Args: []string{"/bin/sleep", "1000"}}
	for k := range kinds {
		cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: k})
	}
	w, err := r.launcher.Start(bg, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Kill(); _, _ = w.Wait(bg) })
	var rows []sabotage
	for kind, oci := range kinds {
		also := []string{"namespaces." + string(kind) + "_for_children"}
		switch kind {
		case checkpoint.PID:
			also = append(also, "process.pid_inside", "process.session", "process.process_group")
		case checkpoint.Mnt:
			also = append(also, "fs.")
		}
		rows = append(rows, sabotage{
			name: string(kind), ask: ns(oci),
			tamper: config(func(c *checkpoint.Config) {
				r.inUse.forget() // as if a second had passed
				c.Namespaces[0].PID = w.HostPID()
			}),
			want: finds{"namespaces." + string(kind): oracle.Weaker}, also: also,
		})
	}
	table(t, rows)
}

// forget has the next launch look at all processes again.
func (u *inUse) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.by = nil
}
