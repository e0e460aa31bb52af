package request

import (
	"slices"
	"strings"
)

// Program names a file of the host that is executed by descriptor
// (execveat(2)), whatever the workload's root has under the name in
// process.args or holdshort.path.
type Program struct {
	// Host is its absolute path as the caller sees it.
	Host string `json:"host"`
	// Memfd executes a sealed copy in memory instead of the file, so that no
	// later change to the file reaches the workload, and no write of the
	// workload the file.
	Memfd bool `json:"memfd,omitempty"`
	// Number is where the descriptor stays open in the workload, 3 or more
	// and beyond those that are passed; 0 closes it. A script needs one, and
	// a /dev/fd.
	Number int `json:"number,omitempty"`
}

// Keyring describes the session keyring that the workload gets.
type Keyring struct {
	// Name: an existing keyring of this name is joined, else it is made.
	Name string `json:"name,omitempty"`
	// Permissions are a mask as in keyctl_setperm(3).
	Permissions *uint32 `json:"permissions,omitempty"`
}

// OwnKeyring reports that a session keyring is asked for.
func (e *Extension) OwnKeyring() bool { return e.NewKeyring || e.Keyring != nil }

// Speculation is prctl(2) PR_SET_SPECULATION_CTRL: "enable", "disable" or
// "force-disable" for each control.
type Speculation struct {
	StoreBypass    string `json:"storeBypass,omitempty"`
	IndirectBranch string `json:"indirectBranch,omitempty"`
	L1DFlush       string `json:"l1dFlush,omitempty"`
}

// IsZero reports that nothing is asked for.
func (s Speculation) IsZero() bool { return s == Speculation{} }

// Flags reports that something is asked for that the flags of a task show.
func (s Speculation) Flags() bool { return s.StoreBypass != "" || s.IndirectBranch != "" }

func (c *checker) identity(r *Request) {
	x := &r.Ext
	for _, s := range []struct{ field, mode string }{
		{"storeBypass", x.Speculation.StoreBypass},
		{"indirectBranch", x.Speculation.IndirectBranch},
		{"l1dFlush", x.Speculation.L1DFlush},
	} {
		c.check(slices.Contains([]string{"", "enable", "disable", "force-disable"}, s.mode), "holdshort.speculation."+s.field, "unknown word %q", s.mode)
	}
	c.check(x.PTracer == nil || *x.PTracer >= -1 && *x.PTracer != 0, "holdshort.ptracer", "%d is no process id", deref(x.PTracer))
	if k := x.Keyring; k != nil {
		c.noNUL("holdshort.keyring.name", k.Name)
		c.check(k.Name != "" || x.NewKeyring, "holdshort.keyring", "needs a name, or holdshort.newKeyring")
		c.check(len(k.Name) < 4096 && !strings.HasPrefix(k.Name, "."), "holdshort.keyring.name", "%.20q is no name of a keyring", k.Name)
		c.check(deref(k.Permissions)&^0x3f3f3f3f == 0, "holdshort.keyring.permissions", "%#x has bits that mean nothing", deref(k.Permissions))
	}
	if p := x.Program; p != nil {
		c.check(strings.HasPrefix(p.Host, "/"), "holdshort.program.host", "%q is not absolute", p.Host)
		c.noNUL("holdshort.program.host", p.Host)
		c.check(p.Number == 0 || p.Number >= 3+x.PassFDs && p.Number < 1<<16, "holdshort.program.number", "%d is one of the passed descriptors, or none", p.Number)
		c.check(!x.SearchPath, "holdshort.searchPath", "and holdshort.program both say what to execute")
	}
	proc := r.Process()
	c.noNUL("process.apparmorProfile", proc.ApparmorProfile)
	c.noNUL("process.selinuxLabel", proc.SelinuxLabel)
}
