package request

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// parsed makes a request of members of a config.json.
func parsed(t *testing.T, members string) *Request {
	t.Helper()
	r, err := Parse([]byte(`{"process":{"args":["x"]}`+members+`}`), true)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDefaultDevices(t *testing.T) {
	const (
		root  = `,"root":{"path":"/r"}`
		every = "c1:3 null c1:5 zero c1:7 full c1:8 random c1:9 urandom c5:0 tty"
		links = "fd stdin stdout stderr ptmx"
	)
	dev := func(more string) string {
		return root + `,"mounts":[{"destination":"/dev","type":"tmpfs"` + more + `}]`
	}
	for members, want := range map[string]struct {
		devices, links string
		console        bool
	}{
		``:   {},
		root: {},
		`,"mounts":[{"destination":"/dev","type":"tmpfs"}]`:                    {},
		`,"root":{"path":""},"mounts":[{"destination":"/dev","type":"tmpfs"}]`: {},
		root + `,"mounts":[{"destination":"/devices","type":"tmpfs"}]`:         {},
		dev(``): {every, links, false},
		root + `,"mounts":[{"destination":"dev/","type":"tmpfs"}]`:                           {every, links, false},
		dev(`,"options":["bind"]`):                                                           {},
		dev(`,"options":["rbind"]`):                                                          {},
		dev(`,"options":["remount"]`):                                                        {},
		dev(`,"options":["nosuid"]`):                                                         {every, links, false},
		dev(`},{"destination":"/dev/null","type":"bind","options":["bind"]`):                 {strings.TrimPrefix(every, "c1:3 null "), links, false},
		dev(`},{"destination":"/dev/fd"`):                                                    {every, strings.TrimPrefix(links, "fd "), false},
		dev(``) + `,"linux":{"devices":[{"path":"dev/tty","type":"c","major":5,"minor":0}]}`: {strings.TrimSuffix(every, " c5:0 tty"), links, false},
	} {
		for _, terminal := range []bool{false, true} {
			r := parsed(t, members)
			r.Spec.Process.Terminal = terminal
			devices, l, console := r.DefaultDevices()
			var d, n []string
			for _, x := range devices {
				d = append(d, x.Type+decimal(x.Major)+":"+decimal(x.Minor), strings.TrimPrefix(x.Path, "/dev/"))
			}
			for _, x := range l {
				n = append(n, strings.TrimPrefix(x[0], "/dev/"))
			}
			if got := strings.Join(d, " "); got != want.devices || strings.Join(n, " ") != want.links {
				t.Errorf("%s: %s, %s", members, got, n)
			}
			if console != (terminal && want.devices != "") {
				t.Errorf("%s: terminal %v, console %v", members, terminal, console)
			}
		}
	}
	r := parsed(t, dev(`},{"destination":"/dev/console","type":"bind"`))
	r.Spec.Process.Terminal = true
	if _, _, console := r.DefaultDevices(); console {
		t.Error("a console in place of one that is mounted")
	}
}

func decimal(n int64) string { return string(rune('0' + n)) }

func TestCPUNumbers(t *testing.T) {
	for in, want := range map[string][]int{"": nil, "0": {0}, "1,63-65": {1, 63, 64, 65}, "8191": {8191}} {
		if got, err := CPUNumbers(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
		if got, list := CPUMask(want), must(CPUList(in)); !slices.Equal(got, list) {
			t.Errorf("%q: mask %v, list %v", in, got, list)
		}
	}
	if got, err := CPUNumbers("8192"); err == nil {
		t.Errorf("there are as many: %v", got)
	}
	if got := CPUMask([]int{-1, 0, 8191, 8192}); got[0] != 1 || len(got) != 128 || got[127] != 1<<63 {
		t.Errorf("%v", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSmallQuestions(t *testing.T) {
	name, zero, one := Keyring{Name: "k"}, 0, true
	for what, x := range map[string]struct{ got, want bool }{
		"no keyring":             {(&Extension{}).OwnKeyring(), false},
		"a new keyring":          {(&Extension{NewKeyring: true}).OwnKeyring(), true},
		"a named keyring":        {(&Extension{Keyring: &name}).OwnKeyring(), true},
		"no speculation":         {Speculation{}.Flags(), false},
		"store bypass":           {Speculation{StoreBypass: "enable"}.Flags(), true},
		"indirect branches":      {Speculation{IndirectBranch: "enable"}.Flags(), true},
		"the cache":              {Speculation{L1DFlush: "enable"}.Flags(), false},
		"the cache is something": {Speculation{L1DFlush: "enable"}.IsZero(), false},
		"speculation":            {Speculation{}.IsZero(), true},
		"no clamps":              {Uclamp{}.IsZero(), true},
		"a clamp of zero":        {Uclamp{Min: &zero}.IsZero(), false},
		"another clamp of zero":  {Uclamp{Max: &zero}.IsZero(), false},
		"no memory":              {Memory{}.IsZero(), true},
		"pages":                  {Memory{THPDisable: &one}.IsZero(), false},
		"merging":                {Memory{Merge: &one}.IsZero(), false},
		"writing":                {Memory{DenyWriteExec: true}.IsZero(), false},
		"no network":             {Network{}.IsZero(), true},
		"loopback":               {Network{LoopbackUp: true}.IsZero(), false},
		"a link":                 {Network{Links: make([]Link, 1)}.IsZero(), false},
		"a route":                {Network{Routes: make([]Route, 1)}.IsZero(), false},
		"a link and a route":     {Network{Links: make([]Link, 1), Routes: make([]Route, 1)}.IsZero(), false},
		"a neighbour":            {Network{NetworkTables: NetworkTables{Neighbours: make([]Neighbour, 1)}}.IsZero(), false},
		"a rule":                 {Network{NetworkTables: NetworkTables{Rules: make([]RoutingRule, 1)}}.IsZero(), false},
		"a table":                {Network{NetworkTables: NetworkTables{Nftables: make([]NFTable, 1)}}.IsZero(), false},
		"a rule and a table":     {Network{NetworkTables: NetworkTables{Rules: make([]RoutingRule, 1), Nftables: make([]NFTable, 1)}}.IsZero(), false},
		"all tables":             {Network{NetworkTables: NetworkTables{Neighbours: make([]Neighbour, 2), Rules: make([]RoutingRule, 1), Nftables: make([]NFTable, 1)}}.IsZero(), false},
		"no cgroup":              {Cgroup{}.IsZero(), true},
		"a frozen one":           {Cgroup{Freeze: true}.IsZero(), false},
		"a delegated one":        {Cgroup{Delegate: true}.IsZero(), false},
		"a made one":             {Cgroup{Create: true}.IsZero(), false},
		"version 2":              {Cgroup{V2: "/"}.IsZero(), false},
		"version 1":              {Cgroup{V1: map[string]string{"a": "/"}}.IsZero(), false},
		"a limit":                {Cgroup{Limits: make([]CgroupLimit, 1)}.IsZero(), false},
		"frozen names no place":  {(&Cgroup{Freeze: true, Delegate: true}).places(), false},
		"all is taken":           {(&Enter{}).Takes("cwd"), true},
		"skipped":                {(&Enter{Skip: []string{"cwd"}}).Takes("cwd"), false},
		"skipped, another":       {(&Enter{Skip: []string{"cwd"}}).Takes("root"), true},
		"all are joined":         {(&Enter{}).Joins(specs.UTSNamespace), true},
		"none are joined":        {(&Enter{Namespaces: []specs.LinuxNamespaceType{}}).Joins(specs.UTSNamespace), false},
		"one is joined":          {(&Enter{Namespaces: []specs.LinuxNamespaceType{"uts"}}).Joins(specs.UTSNamespace), true},
		"another is joined":      {(&Enter{Namespaces: []specs.LinuxNamespaceType{"ipc"}}).Joins(specs.UTSNamespace), false},
		"bound":                  {IsBind(&specs.Mount{Options: []string{"bind"}}), true},
		"bound, with all below":  {IsBind(&specs.Mount{Options: []string{"rbind"}}), true},
		"not bound":              {IsBind(&specs.Mount{Type: "bind"}), false},
		"a namespace not asked":  {Namespace{}.Fresh() || Namespace{}.Joined(), false},
		"a new namespace":        {Namespace{Asked: true}.Fresh(), true},
		"not a new one: path":    {Namespace{Asked: true, Path: "/"}.Fresh(), false},
		"not a new one: process": {Namespace{Asked: true, PID: 1}.Fresh(), false},
		"not joined":             {Namespace{Asked: true}.Joined(), false},
		"joined by path":         {Namespace{Asked: true, Path: "/"}.Joined(), true},
		"joined by process":      {Namespace{Asked: true, PID: 1}.Joined(), true},
	} {
		if x.got != x.want {
			t.Errorf("%s: %v", what, x.got)
		}
	}
}

// Numbers of the kernel's, from the man pages of their calls.
func TestWords(t *testing.T) {
	type ok struct {
		n  any
		ok bool
	}
	pair := func(n any, is bool) ok { return ok{n, is} }
	for what, x := range map[string]struct{ got, want ok }{
		"other":        {pair(Policy("SCHED_OTHER")), ok{0, true}},
		"fifo":         {pair(Policy("SCHED_FIFO")), ok{1, true}},
		"rr":           {pair(Policy("SCHED_RR")), ok{2, true}},
		"batch":        {pair(Policy("SCHED_BATCH")), ok{3, true}},
		"idle":         {pair(Policy("SCHED_IDLE")), ok{5, true}},
		"deadline":     {pair(Policy("SCHED_DEADLINE")), ok{6, true}},
		"iso":          {pair(Policy("SCHED_ISO")), ok{0, false}},
		"realtime":     {pair(IOClass("IOPRIO_CLASS_RT")), ok{1, true}},
		"best effort":  {pair(IOClass("IOPRIO_CLASS_BE")), ok{2, true}},
		"idle class":   {pair(IOClass("IOPRIO_CLASS_IDLE")), ok{3, true}},
		"no class":     {pair(IOClass("")), ok{0, false}},
		"bind":         {pair(MemoryMode("MPOL_BIND")), ok{uint32(2), true}},
		"default":      {pair(MemoryMode("MPOL_DEFAULT")), ok{uint32(0), true}},
		"weighted":     {pair(MemoryMode("MPOL_WEIGHTED_INTERLEAVE")), ok{uint32(6), true}},
		"no mode":      {pair(MemoryMode("x")), ok{uint32(0), false}},
		"flags":        {pair(MemoryFlags([]specs.MemoryPolicyFlagType{"MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"})), ok{uint32(1<<15 | 1<<13), true}},
		"relative":     {pair(MemoryFlags([]specs.MemoryPolicyFlagType{"MPOL_F_RELATIVE_NODES"})), ok{uint32(1 << 14), true}},
		"no flag":      {pair(MemoryFlags([]specs.MemoryPolicyFlagType{"MPOL_F_STATIC_NODES", "x"})), ok{uint32(0), false}},
		"reclaim":      {pair(DeadlineFlags([]specs.LinuxSchedulerFlag{"SCHED_FLAG_RECLAIM", "SCHED_FLAG_RESET_ON_FORK"}), true), ok{uint64(2), true}},
		"overrun":      {pair(DeadlineFlags([]specs.LinuxSchedulerFlag{"SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"}), true), ok{uint64(6), true}},
		"linux":        {pair(PersonalityWord(&specs.LinuxPersonality{Domain: "LINUX"})), ok{uint32(0), true}},
		"linux32":      {pair(PersonalityWord(&specs.LinuxPersonality{Domain: "LINUX32"})), ok{uint32(8), true}},
		"no domain":    {pair(PersonalityWord(&specs.LinuxPersonality{})), ok{uint32(0), false}},
		"a limit":      {pair(Rlimit("RLIMIT_NOFILE"), true), ok{7, true}},
		"no limit":     {pair(Rlimit("NOFILE"), true), ok{-1, true}},
		"its name":     {pair(RlimitName(15), true), ok{"RLIMIT_RTTIME", true}},
		"ambient":      {pair(Ambient(&specs.LinuxCapabilities{Ambient: []string{"CAP_KILL", "CAP_CHOWN", "CAP_SETUID"}, Permitted: []string{"CAP_KILL", "CAP_CHOWN"}, Inheritable: []string{"CAP_KILL", "CAP_SETUID"}}), true), ok{uint64(1 << 5), true}},
		"capabilities": {pair(CapNames()[5], slices.IsSortedFunc(CapNames(), func(a, b string) int { return int(capNumbers[a]) - int(capNumbers[b]) })), ok{"CAP_KILL", true}},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s: %v, want %v", what, x.got, x.want)
		}
	}
	if m, b := Offsets(map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 2, Nanosecs: 3}, "boottime": {Secs: -1}}); m != 2000000003 || b != -1000000000 {
		t.Errorf("offsets %d, %d", m, b)
	}
}

// Names of the machine may be asked for as what they are, or as sysctls.
func TestUTSNames(t *testing.T) {
	for members, want := range map[string][2]string{
		``:                                 {},
		`,"hostname":"a","domainname":"b"`: {"a", "b"},
		`,"linux":{"sysctl":{"kernel.hostname":" c\n"}}`:                              {"c", ""},
		`,"linux":{"sysctl":{"kernel/domainname":"d"}},"hostname":"a"`:                {"a", "d"},
		`,"linux":{"sysctl":{"kernel.hostname":"c"}},"hostname":"a","domainname":"b"`: {"c", "b"},
	} {
		if h, d := parsed(t, members).UTSNames(); h != want[0] || d != want[1] {
			t.Errorf("%s: %q, %q", members, h, d)
		}
	}
}
