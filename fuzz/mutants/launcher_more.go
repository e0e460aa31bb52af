//go:build mutants

package mutants

import (
	"os"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/fuzz"
	"github.com/holdshort/holdshort/harness"
)

// rights are faults in identity, capabilities, Landlock and seccomp.
var rights = []Fault{
	changed("ids/the user stays", Skip, "ids", "ids.uid", func(c *config) { c.UID = none[uint32]() }),
	changed("ids/the group is the user", Value, "ids", "ids.gid", func(c *config) { c.GID = c.UID }),
	changed("groups/the last one missing", Value, "groups", "ids.groups", func(c *config) { c.Groups.Value = c.Groups.Value[:len(c.Groups.Value)-1] }),
	changed("groups/one more", Value, "groups=two", "ids.groups", func(c *config) { c.Groups.Value = append(c.Groups.Value, 0) }),
	changed("groups/kept", Skip, "ids", "ids.groups", func(c *config) { c.Groups = none[[]uint32]() }),
	changed("no new privileges/skipped", Skip, "no new privileges", "privilege.no_new_privs, refused", func(c *config) { c.NoNewPrivs = false }),
	changed("no new privileges/unasked", Extra, "umask", "privilege.no_new_privs", func(c *config) { c.NoNewPrivs = true }),
	changed("securebits/skipped", Skip, "securebits", "privilege.securebits", func(c *config) { c.Securebits = none[uint32]() }),
	changed("securebits/unlocked", Value, "securebits=locked", "privilege.securebits", func(c *config) { c.Securebits.Value &^= 0xaa }),
	changed("capabilities/bounding kept", Skip, "capabilities=none", "capabilities.bounding", func(c *config) { c.Capabilities.Bounding = none[checkpoint.CapSet]() }),
	changed("capabilities/one left in the bounding set", Value, "capabilities=some", "capabilities.bounding", func(c *config) { c.Capabilities.Bounding.Value |= 1 << 5 }),
	changed("capabilities/effective is permitted", Value, "capabilities=some", "capabilities.effective", func(c *config) {
		c.Capabilities.Effective = c.Capabilities.Permitted
	}),
	changed("capabilities/inheritable dropped", Value, "capabilities=some", "capabilities.inheritable", func(c *config) {
		c.Capabilities.Inheritable.Value, c.Capabilities.Ambient.Value = 0, 0
	}),
	changed("capabilities/ambient skipped", Skip, "capabilities=ambient", "capabilities.ambient", func(c *config) { c.Capabilities.Ambient = none[checkpoint.CapSet]() }),
	changed("personality/skipped", Skip, "personality=bits", "privilege.personality", func(c *config) { c.Personality = none[uint32]() }),
	changed("speculation/skipped", Skip, "speculation", "privilege.spec_flags", func(c *config) { c.Speculation = checkpoint.Speculation{} }),
	changed("pdeathsig/skipped", Skip, "pdeathsig", "privilege.pdeathsig", func(c *config) { c.Pdeathsig = none[int]() }),
	changed("landlock/skipped", Skip, "landlock", "landlock.layers, refused", func(c *config) { c.Landlock = nil }),
	changed("landlock/last layer missing", Skip, "landlock=layers", "landlock.layers", func(c *config) {
		p := c.Landlock
		p.Layers = p.Layers[:len(p.Layers)-1]
	}),
	changed("landlock/a right less handled", Value, "landlock=files", "landlock.handled, landlock.layers", func(c *config) {
		if l := &c.Landlock.Layers[0]; len(l.PathBeneath) == 0 {
			l.HandledAccessFS = l.HandledAccessFS[1:]
		}
	}),
	changed("landlock/scopes forgotten", Skip, "landlock=scopes", "landlock.handled", func(c *config) {
		for i := range c.Landlock.Layers {
			l := &c.Landlock.Layers[i]
			if l.Scoped = nil; len(l.HandledAccessFS)+len(l.HandledAccessNet) == 0 {
				l.HandledAccessFS = []landlock.Right{"make_sock"}
			}
		}
	}),
	changed("landlock/rules for paths skipped", Skip, "landlock, rules for paths", "landlock.rule, refused", func(c *config) {
		for i := range c.Landlock.Layers {
			c.Landlock.Layers[i].PathBeneath = nil
		}
	}),
	changed("landlock/another port", Value, "landlock, rules for ports", "landlock.rule", func(c *config) {
		for i := range c.Landlock.Layers {
			for j := range c.Landlock.Layers[i].NetPort {
				c.Landlock.Layers[i].NetPort[j].Port ^= 2
			}
		}
	}),
	changed("seccomp/skipped", Skip, "seccomp", "seccomp.", func(c *config) { c.Seccomp, c.Filters = nil, nil }),
	changed("seccomp/everything allowed", Value, "seccomp=deny list", "seccomp.filters", func(c *config) { allowAll(c.Seccomp) }),
	changed("seccomp/another errno", Value, "seccomp=deny list", "seccomp.filters", func(c *config) {
		for i := range c.Seccomp.Syscalls {
			if r := &c.Seccomp.Syscalls[i]; r.Action == seccomp.ActErrno {
				r.ErrnoRet = new(uint(134))
			}
		}
	}),
	changed("seccomp/by default allowed", Value, "seccomp=allow list", "seccomp.filters", func(c *config) {
		c.Seccomp.DefaultAction, c.Seccomp.DefaultErrnoRet = seccomp.ActAllow, nil
	}),
	changed("seccomp/arguments ignored", Value, "seccomp", "seccomp.filters, refused: seccomp", func(c *config) {
		for i := range c.Seccomp.Syscalls {
			c.Seccomp.Syscalls[i].Args = nil
		}
	}),
	changed("seccomp/flags skipped", Skip, "seccomp", "seccomp.filters, refused, privilege.spec_flags", func(c *config) {
		c.Seccomp.Flags = slices.DeleteFunc(c.Seccomp.Flags, func(f seccomp.Flag) bool { return f == seccomp.FlagLog })
	}),
	changed("seccomp/the filters beneath skipped", Skip, "seccomp, stacked", "seccomp.", func(c *config) { c.Filters = nil }),
	changed("seccomp/stacked in another order", Ordering, "seccomp, stacked", "seccomp.filters, refused: seccomp", func(c *config) { slices.Reverse(c.Filters) }),
}

// processes are faults in what else a process has.
var processes = []Fault{
	changed("session/skipped", Skip, "session", "process.session", func(c *config) { c.Session = false }),
	changed("process group/skipped", Skip, "process group", "process.process_group", func(c *config) { c.ProcessGroup = false }),
	changed("subreaper/skipped", Skip, "subreaper", "process.child_subreaper", func(c *config) { c.Subreaper = false }),
	changed("subreaper/unasked", Extra, "nice", "process.child_subreaper", func(c *config) { c.Subreaper = true }),
	changed("keyring/skipped", Skip, "keyring", "keyrings.session", func(c *config) { c.NewKeyring = false }),
	changed("named keyring/another name", Value, "named keyring", "holdshort.keyring", func(c *config) { c.Keyring.Name += "x" }),
	changed("environment/one more", Extra, "env", "exec.env", func(c *config) { c.Env = append(c.Env, "SECRET=1") }),
	changed("environment/the last one missing", Value, "env=ten", "exec.env", func(c *config) { c.Env = c.Env[:len(c.Env)-1] }),
	changed("arguments/the last one missing", Value, "args", "exec.args", func(c *config) { c.Args = c.Args[:len(c.Args)-1] }),
	changed("ignored signals/one less", Value, "ignored signals", "signals.ignored", func(c *config) { c.IgnoreSignals = c.IgnoreSignals[1:] }),
	changed("ignored signals/SIGHUP unasked", Extra, "blocked signals", "signals.ignored", func(c *config) {
		if !slices.Contains(c.IgnoreSignals, 1) {
			c.IgnoreSignals = append(c.IgnoreSignals, 1)
		}
	}),
	changed("blocked signals/skipped", Skip, "blocked signals", "signals.blocked", func(c *config) { c.BlockSignals = nil }),
	{
		Name: "passed descriptors/one more", Where: Launcher, Kind: Extra, When: "passed descriptors", Want: []string{"files"},
		Plant: func(*Scene) *harness.Fault {
			return &harness.Fault{Config: func(_ *config, o *checkpoint.Options) {
				o.Files = append(slices.Clone(o.Files), checkpoint.PassedFile{Number: 3 + len(o.Files) + 9, File: o.Files[0].File})
			}}
		},
	},
	{
		Name: "passed descriptors/two swapped", Where: Launcher, Kind: Value, When: "passed descriptors", Want: []string{"files"},
		Plant: func(*Scene) *harness.Fault {
			return &harness.Fault{Config: func(_ *config, o *checkpoint.Options) {
				if o.Files = slices.Clone(o.Files); len(o.Files) > 1 {
					o.Files[0].Number, o.Files[1].Number = o.Files[1].Number, o.Files[0].Number
				}
			}}
		},
	},
	{
		Name: "program/another file", Where: Launcher, Kind: Process, When: "program by descriptor=file", Want: []string{"exec.exe"},
		Plant: func(*Scene) *harness.Fault {
			return &harness.Fault{Config: func(c *config, o *checkpoint.Options) {
				if f, err := os.Open("/bin/true"); err == nil {
					o.Program = f // the garbage collector closes it
				}
			}}
		},
	},
	{
		Name: "standard output/the host's", Where: Launcher, Kind: Value, When: "session", Want: []string{"files"},
		Plant: func(*Scene) *harness.Fault {
			return &harness.Fault{Config: func(_ *config, o *checkpoint.Options) { o.Stdout = os.Stdout }}
		},
	},
}

// inOrder is a fault in when something is done.
func inOrder(name, when, want string, f func(*checkpoint.Order)) Fault {
	return Fault{Name: name, Where: Launcher, Kind: Ordering, When: when, Want: strings.Split(want, ", "), Plant: func(*Scene) *harness.Fault {
		return &harness.Fault{Order: f}
	}}
}

// orders are faults in the order of the steps, each for the reason for which
// docs/architecture.md gives that order.
var orders = []Fault{
	inOrder("user before groups", "ids; groups", "refused: ids, capabilities., ids.", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageIDs, "groups", checkpoint.StageNNP)
		o.Move(checkpoint.StageIDs, "groups", checkpoint.StagePdeathsig)
	}),
	inOrder("ids before the bounding set", "ids; capabilities=none", "refused: capabilities.bounding", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageIDs, "", checkpoint.StageBounding)
	}),
	inOrder("ids before securebits", "ids; securebits=no fixup", "refused: securebits", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageIDs, "", checkpoint.StageSecurebits)
	}),
	inOrder("capabilities before ids", "ids; capabilities=none", "refused: ids", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageCaps, "", checkpoint.StageIDs)
	}),
	inOrder("ambient before ids", "ids; capabilities=ambient", "refused: capabilities.ambient, capabilities.ambient", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageAmbient, "", checkpoint.StageIDs)
	}),
	inOrder("death signal before ids", "ids; pdeathsig", "privilege.pdeathsig", func(o *checkpoint.Order) {
		o.Move(checkpoint.StagePdeathsig, "", checkpoint.StageIDs)
	}),
	inOrder("limits before descriptors", "RLIMIT_NOFILE=least; passed descriptors", "refused: files, refused: stdio", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageRlimits, "", checkpoint.StageStdio)
		o.Move(checkpoint.StageRlimits, "", checkpoint.StageFiles)
	}),
	inOrder("seccomp before ids", "seccomp=allow list; ids; no new privileges", "refused: , seccomp.", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageSeccomp, "", checkpoint.StageFiles)
		o.Move(checkpoint.StageSeccomp, "", checkpoint.StageUmask)
		o.Move(checkpoint.StageSeccomp, "", checkpoint.StageCwd)
	}),
	inOrder("working directory before the root", "cwd=elsewhere; root", "refused: cwd, fs.cwd", func(o *checkpoint.Order) { o.Early(checkpoint.StageCwd) }),
	inOrder("signals before the session", "blocked signals; session", "signals.", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageSignals, "", checkpoint.StageSession)
	}),
	inOrder("mask before the working directory", "umask; cwd", "fs.", func(o *checkpoint.Order) {
		o.Move(checkpoint.StageCwd, "", checkpoint.StageUmask)
	}),
}

func init() {
	why := map[string]string{
		"signals before the session":        "setsid(2) changes neither dispositions nor the mask, so both orders end in the same state",
		"mask before the working directory": "umask(2) and chdir(2) are independent of one another, so both orders end in the same state",
	}
	for i := range rights {
		if f := &rights[i]; f.Name == "capabilities/effective is permitted" {
			f.Equivalent = "execve makes the effective set anew, of the ambient set or, for user 0, of the permitted one; what it was before plays no part (capabilities(7))"
		}
	}
	for i := range rights {
		if f := &rights[i]; f.Name == "speculation/skipped" {
			f.Here = func(m *fuzz.Machine) string {
				if slices.ContainsFunc(m.Speculation, func(s string) bool { return !strings.HasSuffix(s, "=enable") }) {
					return ""
				}
				return "no setting of speculation that changes anything"
			}
		}
	}
	for i := range orders {
		orders[i].Equivalent = why[orders[i].Name]
	}
}
