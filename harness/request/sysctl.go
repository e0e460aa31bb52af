package request

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/internal/sysctl"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// sysctls refuses what would be changed for the whole machine, or for
// namespaces that are not asked for.
func (c *checker) sysctls(r *Request) {
	seen := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(r.Linux().Sysctl)) {
		f := "linux.sysctl." + k
		path := sysctl.Path(k)
		c.check(seen[path] == "", f, "is %s in another form", seen[path])
		seen[path] = k
		kind, ok := map[string]specs.LinuxNamespaceType{
			"net": specs.NetworkNamespace, "ipc": specs.IPCNamespace, "uts": specs.UTSNamespace, "user": specs.UserNamespace,
		}[sysctl.Namespace(k)]
		c.check(ok, f, "belongs to no namespace: it would be changed for the whole machine")
		c.check(!ok || r.Namespace(kind).Asked, f, "needs a %s namespace", kind)
	}
	host, domain := r.UTSNames()
	c.check(r.Spec.Hostname == "" || r.Spec.Hostname == host, "linux.sysctl.kernel.hostname", "and hostname differ")
	c.check(r.Spec.Domainname == "" || r.Spec.Domainname == domain, "linux.sysctl.kernel.domainname", "and domainname differ")
}

// UTSNames are the names that uname(2) shall tell, by whatever field they are
// asked for; empty if they are not.
func (r *Request) UTSNames() (host, domain string) {
	host, domain = r.Spec.Hostname, r.Spec.Domainname
	for k, v := range r.Linux().Sysctl {
		switch sysctl.Path(k) {
		case "kernel/hostname":
			host = strings.TrimSpace(v)
		case "kernel/domainname":
			domain = strings.TrimSpace(v)
		}
	}
	return host, domain
}
