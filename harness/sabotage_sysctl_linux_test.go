package harness

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	"github.com/holdshort/holdshort/internal/sysctl"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// One key of each family that a namespace has for itself, in both forms.
func TestSabotageSysctls(t *testing.T) {
	type key struct {
		kind              specs.LinuxNamespaceType
		name, value, less string
	}
	var rows []sabotage
	for _, k := range []key{
		{specs.NetworkNamespace, "net.ipv4.ip_default_ttl", "63", "62"},
		{specs.NetworkNamespace, "net/ipv4/conf/lo/rp_filter", "1", "2"},
		{specs.NetworkNamespace, "net.ipv6.conf.all.forwarding", "1", "0"},
		{specs.IPCNamespace, "kernel.shmmax", "65536", "65537"},
		{specs.IPCNamespace, "kernel.shmmni", "77", "78"},
		{specs.IPCNamespace, "kernel.msgmnb", "7777", "7778"},
		{specs.IPCNamespace, "kernel.sem", "250 32000 32 77", "250 32000 32 78"},
		{specs.IPCNamespace, "fs.mqueue.msg_max", "7", "8"},
		{specs.UTSNamespace, "kernel.domainname", "example.org", "example.net"},
	} {
		ask := func(t *testing.T, q *request.Request) {
			t.Helper()
			ns(k.kind)(t, q)
			q.Spec.Linux.Sysctl = map[string]string{k.name: k.value}
		}
		need := func(*testing.T, *Runner) string {
			if _, err := os.Stat("/proc/sys/" + sysctl.Path(k.name)); err != nil {
				return k.name
			}
			return ""
		}
		field := "linux.sysctl." + k.name
		var also []string
		if k.kind == specs.UTSNamespace {
			also = []string{"uts.domainname"}
		}
		rows = append(rows,
			sabotage{name: k.name + "/missing", need: need, ask: ask, tamper: config(func(c *checkpoint.Config) { c.Sysctls = nil }), want: finds{field: oracle.Weaker}, also: also},
			sabotage{name: k.name + "/another value", need: need, ask: ask, tamper: config(func(c *checkpoint.Config) { c.Sysctls = map[string]string{k.name: k.less} }), want: finds{field: oracle.Weaker}, also: also},
		)
	}
	rows = append(rows, sabotage{
		name: "names by sysctl/unasked", ask: ns(specs.UTSNamespace), tamper: config(func(c *checkpoint.Config) {
			c.Sysctls = map[string]string{"kernel.hostname": "leaked"}
		}), want: finds{"uts.hostname": oracle.Leaked},
	})
	table(t, rows)
}

// What is not a namespace's is refused before anything happens, by request and
// by launcher, and so is what its namespace was not asked for.
func TestSysctlsOfTheMachine(t *testing.T) {
	before, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
	for name, c := range map[string]struct {
		key string
		ns  []specs.LinuxNamespaceType
	}{
		"of the machine":          {"kernel.core_pattern", []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace}},
		"by another way":          {"net/../kernel/core_pattern", []specs.LinuxNamespaceType{specs.NetworkNamespace}},
		"network, not asked for":  {"net.ipv4.ip_forward", []specs.LinuxNamespaceType{specs.IPCNamespace}},
		"ipc, not asked for":      {"kernel.shmmax", []specs.LinuxNamespaceType{specs.NetworkNamespace}},
		"messages, not asked for": {"fs.mqueue.msg_max", nil},
		"names, not asked for":    {"kernel.domainname", nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := request.New("/bin/true")
			ns(c.ns...)(t, q)
			q.Spec.Linux.Sysctl = map[string]string{c.key: "1"}
			if err := q.Validate(); err == nil || !strings.Contains(err.Error(), "linux.sysctl."+c.key) {
				t.Errorf("request: %v", err)
			}
			cfg := &checkpoint.Config{Args: []string{"/bin/true"}, Sysctls: map[string]string{c.key: "1"}}
			for _, k := range c.ns {
				cfg.Namespaces = append(cfg.Namespaces, checkpoint.Namespace{Kind: map[specs.LinuxNamespaceType]checkpoint.NamespaceKind{
					specs.NetworkNamespace: checkpoint.Net, specs.IPCNamespace: checkpoint.IPC, specs.UTSNamespace: checkpoint.UTS,
				}[k]})
			}
			if err := cfg.Validate(); !errors.Is(err, unix.EINVAL) {
				t.Errorf("launcher: %v", err)
			}
		})
	}
	if after, _ := os.ReadFile("/proc/sys/kernel/core_pattern"); string(after) != string(before) {
		t.Errorf("core_pattern has become %q", after)
	}
}
