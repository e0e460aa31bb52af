package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// kindsInOrder are all kinds of namespaces.
var kindsInOrder = []NamespaceKind{User, Mnt, PID, Net, UTS, IPC, Cgroups, Time}

// read takes over what the target has and cfg does not ask for itself.
func (t *target) read(cfg *Config, agentPID int, env *environment) error {
	e := cfg.Enter
	if err := t.namespaces(cfg, agentPID); err != nil {
		return err
	}
	status, err := t.text("status")
	if err != nil {
		return err
	}
	if e.takes(TakeUmask) && !cfg.Umask.Set {
		v, ok := line(status, "Umask:")
		n, err := strconv.ParseUint(v, 8, 32)
		if !ok || err != nil {
			return fmt.Errorf("status: no umask: %w", unix.EIO)
		}
		cfg.Umask = Some(uint32(n))
	}
	for _, step := range []struct {
		aspect Aspect
		do     func() error
	}{
		{TakeCredentials, func() error { return t.credentials(cfg, status, env) }},
		{TakeSeccomp, func() error { return t.seccomp(cfg, status) }},
		{TakeLimits, func() error { return t.limits(cfg, agentPID) }},
		{TakeCgroup, func() error { return t.cgroups(cfg, agentPID) }},
		{TakeRoot, func() error { return t.rootDir(cfg) }},
		{TakeCwd, func() error { return t.workDir(cfg) }},
	} {
		if !e.takes(step.aspect) {
			continue
		}
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.aspect, err)
		}
	}
	return nil
}

func (t *target) text(name string) (string, error) {
	f, err := t.open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

// line finds the value of a field of /proc/PID/status, fdinfo and the like.
func line(text, key string) (string, bool) {
	for l := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(l, key); ok {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// namespaces decides which are joined, and says so in cfg, where the rest of
// the plan looks.
func (t *target) namespaces(cfg *Config, agentPID int) error {
	kinds := cfg.Enter.Namespaces
	if kinds == nil {
		kinds = kindsInOrder
	}
	cfg.Namespaces = slices.Clone(cfg.Namespaces)
	for _, k := range kinds {
		if _, asked := cfg.find(k); asked {
			continue
		}
		var theirs, ours unix.Stat_t
		name := "ns/" + string(k)
		if err := unix.Fstatat(int(t.dir.Fd()), name, &theirs, 0); err != nil {
			if cfg.Enter.Namespaces == nil && err == unix.ENOENT {
				continue // this kernel has no such namespaces
			}
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := unix.Stat("/proc/"+strconv.Itoa(agentPID)+"/"+name, &ours); err != nil {
			return fmt.Errorf("agent's %s: %w", name, err)
		}
		if theirs.Ino != ours.Ino || theirs.Dev != ours.Dev {
			t.flags |= cloneFlag[k]
			cfg.Namespaces = append(cfg.Namespaces, Namespace{Kind: k, PID: t.pid})
		}
	}
	return nil
}

// credentials are as the reader's user namespace has them, and set as the
// target's has them.
func (t *target) credentials(cfg *Config, status string, env *environment) error {
	ids := func(key string) ([]uint32, error) {
		v, ok := line(status, key)
		var all []uint32
		for f := range strings.FieldsSeq(v) {
			n, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, err
			}
			all = append(all, uint32(n))
		}
		if !ok || key != "Groups:" && len(all) != 4 {
			return nil, fmt.Errorf("status: %s %q: %w", key, v, unix.EIO)
		}
		return all, nil
	}
	inside := func(file string, id uint32) (uint32, error) {
		if t.flags&cloneFlag[User] == 0 {
			return id, nil
		}
		text, err := t.text(file)
		if err != nil {
			return 0, err
		}
		for l := range strings.Lines(text) {
			var in, out, n uint64
			if _, err := fmt.Sscan(l, &in, &out, &n); err == nil && uint64(id) >= out && uint64(id)-out < n {
				return uint32(in + uint64(id) - out), nil
			}
		}
		return 0, fmt.Errorf("%s: %d is %w: %w", file, id, ErrUnmapped, unix.EINVAL)
	}
	const effective = 1
	for _, s := range []struct {
		key, file string
		to        *Option[uint32]
	}{{"Uid:", "uid_map", &cfg.UID}, {"Gid:", "gid_map", &cfg.GID}} {
		if s.to.Set {
			continue
		}
		all, err := ids(s.key)
		if err != nil {
			return err
		}
		id, err := inside(s.file, all[effective])
		if err != nil {
			return err
		}
		*s.to = Some(id)
	}
	if !cfg.Groups.Set {
		groups, err := ids("Groups:")
		if err != nil {
			return err
		}
		if t.flags&cloneFlag[User] == 0 {
			cfg.Groups = Some(append([]uint32{}, groups...))
		} else if env.effective.Has(capSetgid) {
			// Before the user namespace is entered, where they may not be
			// mapped or setgroups be denied.
			t.groups, t.early = groups, true
		} else {
			for i := range groups {
				if groups[i], err = inside("gid_map", groups[i]); err != nil {
					return err
				}
			}
			cfg.Groups = Some(append([]uint32{}, groups...))
		}
	}
	c := &cfg.Capabilities
	for key, to := range map[string]*Option[CapSet]{
		"CapInh:": &c.Inheritable, "CapPrm:": &c.Permitted, "CapEff:": &c.Effective, "CapBnd:": &c.Bounding, "CapAmb:": &c.Ambient,
	} {
		v, ok := line(status, key)
		n, err := strconv.ParseUint(v, 16, 64)
		if !ok || err != nil {
			return fmt.Errorf("status: %s %q: %w", key, v, unix.EIO)
		}
		if !to.Set {
			*to = Some(CapSet(n))
		}
	}
	v, _ := line(status, "NoNewPrivs:")
	cfg.NoNewPrivs = cfg.NoNewPrivs || v == "1"
	return nil
}

const capSetgid = 6

// seccomp copies the target's filters, if it has any.
func (t *target) seccomp(cfg *Config, status string) error {
	mode, _ := line(status, "Seccomp:")
	switch {
	case mode == "0" || mode == "":
		return nil
	case mode == "1":
		return fmt.Errorf("strict mode lets nothing be executed: %w", unix.EINVAL)
	case !cfg.Enter.StopTarget:
		return &Error{
			Stage: StageEnter, Index: -1, Object: t.name, Err: unix.EPERM,
			Hint: `the target has seccomp filters: allow it to be stopped, to copy them (StopTarget), or skip "seccomp" and give a policy`,
		}
	}
	var err error
	t.filters, err = agent.ReadFilters(t.pid, t.alive)
	if err == nil && len(t.filters) == 0 {
		err = fmt.Errorf("no filter could be read: %w", unix.EIO)
	}
	return err
}

// limits takes those that are not the agent's.
func (t *target) limits(cfg *Config, agentPID int) error {
	cfg.Rlimits = slices.Clone(cfg.Rlimits)
	text, err := t.text("limits")
	if err != nil {
		return err
	}
	own, err := os.ReadFile("/proc/" + strconv.Itoa(agentPID) + "/limits")
	if err != nil {
		return err
	}
	for n, name := range resources {
		theirs, err := limitIn(text, n)
		if err != nil {
			return err
		}
		ours, err := limitIn(string(own), n)
		if err != nil {
			return err
		}
		if theirs != ours && !hasLimit(cfg.Rlimits, name) {
			cfg.Rlimits = append(cfg.Rlimits, theirs)
		}
	}
	if cfg.OOMScoreAdj.Set {
		return nil
	}
	theirs, err := t.text("oom_score_adj")
	if err != nil {
		return err
	}
	ours, err := os.ReadFile("/proc/" + strconv.Itoa(agentPID) + "/oom_score_adj")
	if err != nil {
		return err
	}
	if theirs != string(ours) {
		n, err := strconv.Atoi(strings.TrimSpace(theirs))
		if err != nil {
			return err
		}
		cfg.OOMScoreAdj = Some(n)
	}
	return nil
}

// limitNames are the words of /proc/PID/limits (fs/proc/base.c), which anybody
// may read; prlimit(2) asks for CAP_SYS_RESOURCE or equal ids.
var limitNames = [16]string{
	"Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set", "Max processes",
	"Max open files", "Max locked memory", "Max address space", "Max file locks", "Max pending signals", "Max msgqueue size",
	"Max nice priority", "Max realtime priority", "Max realtime timeout",
}

func limitIn(text string, n int) (Rlimit, error) {
	v, ok := line(text, limitNames[n]+" ")
	f := strings.Fields(v)
	r := Rlimit{Resource: resources[n]}
	if !ok || len(f) < 2 {
		return r, fmt.Errorf("limits: no %q: %w", limitNames[n], unix.EIO)
	}
	for i, to := range []*uint64{&r.Soft, &r.Hard} {
		if f[i] == "unlimited" {
			*to = Infinity
			continue
		}
		var err error
		if *to, err = strconv.ParseUint(f[i], 10, 64); err != nil {
			return r, err
		}
	}
	return r, nil
}

// shareMounts: in another mount namespace than the target's its directories are
// nowhere.
func (t *target) shareMounts(cfg *Config) bool {
	if t.flags&cloneFlag[Mnt] != 0 {
		return true
	}
	_, own := cfg.find(Mnt)
	return !own && (cfg.Enter.Namespaces == nil || slices.Contains(cfg.Enter.Namespaces, Mnt))
}

// rootDir pins the target's root, which need not be that of its mount
// namespace. Without a namespace of its own and a root that differs nothing is
// done: chroot(2) needs a privilege.
func (t *target) rootDir(cfg *Config) error {
	if cfg.Root.Path != "" || !t.shareMounts(cfg) {
		return nil
	}
	var theirs, ours unix.Stat_t
	if err := unix.Fstatat(int(t.dir.Fd()), "root", &theirs, 0); err != nil {
		return err
	}
	if err := unix.Stat("/", &ours); err != nil {
		return err
	}
	if t.flags&cloneFlag[Mnt] == 0 && theirs.Dev == ours.Dev && theirs.Ino == ours.Ino {
		return nil
	}
	var err error
	t.root, err = t.open("root", unix.O_PATH|unix.O_DIRECTORY)
	return err
}

func (t *target) workDir(cfg *Config) error {
	if cfg.Cwd != "" || cfg.Root.Path != "" || !t.shareMounts(cfg) {
		return nil
	}
	var err error
	t.cwd, err = t.open("cwd", unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: the target's working directory was removed; give one, or skip %q", unix.ENOENT, TakeCwd)
	}
	return err
}
