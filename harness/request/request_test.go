package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdshort/holdshort/harness/internal/sample"
)

func TestParse_Strict(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		field string
		want  error
	}{
		"unknown field":               {`{"process":{"usr":1}}`, "process.usr", ErrUnknownField},
		"unknown field in a list":     {`{"linux":{"namespaces":[{"type":"pid"},{"typ":"pid"}]}}`, "linux.namespaces[1].typ", ErrUnknownField},
		"unknown field of ours":       {`{"holdshort":{"nicce":1}}`, "holdshort.nicce", ErrUnknownField},
		"unknown field in a map":      {`{"linux":{"timeOffsets":{"boottime":{"sec":1}}}}`, "linux.timeOffsets.boottime.sec", ErrUnknownField},
		"doubled field":               {`{"hostname":"a","hostname":"b"}`, "hostname", ErrDuplicate},
		"doubled field deep down":     {`{"process":{"user":{"uid":0,"uid":1}}}`, "process.user.uid", ErrDuplicate},
		"doubled key of a map":        {`{"annotations":{"a":"1","a":"2"}}`, "annotations.a", ErrDuplicate},
		"another case":                {`{"process":{"ARGS":[]}}`, "process.ARGS", ErrCase},
		"a letter that folds to k":    {`{"linux":{"mas\u212aedPaths":[]}}`, "linux.mas\u212aedPaths", ErrCase},
		"something behind":            {`{} x`, "", ErrTrailing},
		"a second document":           {`{}{}`, "", ErrTrailing},
		"NUL byte":                    {`{"process":{"args":["a","b\u0000c"]}}`, "process.args[1]", ErrNULByte},
		"NUL byte in a key":           {`{"annotations":{"a\u0000":"b"}}`, "annotations", ErrNULByte},
		"nested too deep":             {`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "x", ErrUnknownField},
		"nested too deep, not strict": {`{"annotations":{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, "annotations.x" + strings.Repeat("[0]", 63), ErrTooDeep},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text), true)
			var pe *ParseError
			if !errors.Is(err, tt.want) || !errors.As(err, &pe) || pe.Field != tt.field {
				t.Errorf("%v, want %q: %v", err, tt.field, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"empty": ``, "no object": `[]`, "null": `null`, "cut off": `{"process":{"args":["a"`, "bad syntax": `{"process":}`,
		"a string for a number": `{"process":{"user":{"uid":"0"}}}`, "a negative id": `{"process":{"user":{"uid":-1}}}`,
		"an id too large": `{"process":{"user":{"uid":4294967296}}}`, "a fraction": `{"process":{"user":{"uid":1.5}}}`,
		"an unknown signal": `{"holdshort":{"pdeathsig":"SIGFOO"}}`, "comments": "{/* */}",
	} {
		if _, err := Parse([]byte(text), true); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if _, err := Parse([]byte(text), false); err == nil {
			t.Errorf("%s was accepted when not strict", name)
		}
	}
}

func TestParse_Lenient(t *testing.T) {
	r, err := Parse([]byte(`{"future":{"hostname":1},"process":{"args":["a"],"x":[{"y":1}]},"hostname":"a","hostname":"b"}`), false)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"future", "process.x", "hostname"}; !slices.Equal(r.Ignored, want) {
		t.Errorf("ignored %v, want %v", r.Ignored, want)
	}
	if r.Spec.Hostname != "b" || r.Process().Args[0] != "a" {
		t.Errorf("%+v", r.Spec)
	}
	for _, text := range []string{`{"process":{"ARGS":[]}}`, `{} x`, `{"hostname":"\u0000"}`} {
		if _, err := Parse([]byte(text), false); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestParse_Size(t *testing.T) {
	big := bytes.Repeat([]byte(" "), MaxSize+1)
	big[0], big[1] = '{', '}'
	if _, err := Parse(big, true); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want %v", err, ErrTooLarge)
	}
	if _, err := Parse(big[:MaxSize], true); err != nil {
		t.Error(err)
	}
	if _, err := Read(bytes.NewReader(big), true); !errors.Is(err, ErrTooLarge) {
		t.Errorf("from a stream: %v, want %v", err, ErrTooLarge)
	}
}

func TestRequest_RoundTrip(t *testing.T) {
	for name, text := range sample.Requests {
		r, err := Parse([]byte(text), true)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again := &Request{}
		if err := json.Unmarshal(b, again); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b)
		}
		if d := cmp.Diff(again, r, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: got -, want +:\n%s", name, d)
		}
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, _ := json.Marshal(New("x"))
	if want := `"holdshort":{"keepIDs":true}`; !strings.Contains(string(b), want) {
		t.Errorf("%s has no %s", b, want)
	}
}

func TestSignal_JSON(t *testing.T) {
	for in, want := range map[string]string{`"SIGTERM"`: `"SIGTERM"`, `"kill"`: `"SIGKILL"`, `15`: `"SIGTERM"`, `40`: `40`} {
		var s Signal
		if err := json.Unmarshal([]byte(in), &s); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if b, _ := json.Marshal(s); string(b) != want {
			t.Errorf("%s: %s, want %s", in, b, want)
		}
	}
}

// TestValidate names, for each thing that cannot be meant, the field.
func TestValidate(t *testing.T) {
	process := func(more string) string {
		return `"process":{"args":["true"],"cwd":"/","user":{"uid":0,"gid":0}` + more + `}`
	}
	maps := func(m string) string {
		return process("") + `,"linux":{"namespaces":[{"type":"user"}],"uidMappings":[` + m + `]}`
	}
	var many strings.Builder
	for i := range 341 {
		fmt.Fprintf(&many, `{"containerID":%d,"hostID":%d,"size":1},`, 2*i, 2*i)
	}
	for name, tt := range map[string]struct{ text, field string }{
		"version":                   {`"ociVersion":"2.0",` + process(""), "ociVersion"},
		"no program":                {`"process":{"cwd":"/","user":{"uid":0,"gid":0}}`, "process.args"},
		"empty program":             {`"process":{"args":[""],"cwd":"/","user":{"uid":0,"gid":0}}`, "process.args[0]"},
		"variable without value":    {process(`,"env":["A=1","B"]`), "process.env[1]"},
		"variable without name":     {process(`,"env":["=1"]`), "process.env[0]"},
		"relative directory":        {`"process":{"args":["true"],"cwd":"tmp","user":{"uid":0,"gid":0}}`, "process.cwd"},
		"no id":                     {`"process":{"args":["true"],"cwd":"/","user":{"uid":4294967295,"gid":0}}`, "process.user.uid"},
		"umask":                     {`"process":{"args":["true"],"cwd":"/","user":{"uid":0,"gid":0,"umask":512}}`, "process.user.umask"},
		"capability":                {process(`,"capabilities":{"bounding":["CAP_KILL","KILL"]}`), "process.capabilities.bounding[1]"},
		"effective":                 {process(`,"capabilities":{"effective":["CAP_KILL"]}`), "process.capabilities.effective"},
		"limit":                     {process(`,"rlimits":[{"type":"RLIMIT_X","soft":1,"hard":1}]`), "process.rlimits[0].type"},
		"limit upside down":         {process(`,"rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]`), "process.rlimits[0]"},
		"limit twice":               {process(`,"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_CORE","soft":1,"hard":1}]`), "process.rlimits[1]"},
		"oom score":                 {process(`,"oomScoreAdj":1001`), "process.oomScoreAdj"},
		"policy":                    {process(`,"scheduler":{"policy":"SCHED_X"}`), "process.scheduler.policy"},
		"realtime priority":         {process(`,"scheduler":{"policy":"SCHED_FIFO"}`), "process.scheduler.priority"},
		"deadline":                  {process(`,"scheduler":{"policy":"SCHED_DEADLINE","runtime":3,"deadline":2,"period":2}`), "process.scheduler"},
		"nice":                      {process(`,"scheduler":{"policy":"SCHED_OTHER","nice":20}`), "process.scheduler.nice"},
		"io class":                  {process(`,"ioPriority":{"class":"X","priority":0}`), "process.ioPriority.class"},
		"io priority":               {process(`,"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}`), "process.ioPriority.priority"},
		"namespace":                 {process("") + `,"linux":{"namespaces":[{"type":"mnt"}]}`, "linux.namespaces[0].type"},
		"namespace twice":           {process("") + `,"linux":{"namespaces":[{"type":"pid"},{"type":"pid","path":"/x"}]}`, "linux.namespaces[1]"},
		"namespace twice, by pid":   {process("") + `,"linux":{"namespaces":[{"type":"pid"}]},"holdshort":{"namespaces":[{"type":"pid","pid":1}]}`, "holdshort.namespaces[0]"},
		"namespace of no process":   {process("") + `,"holdshort":{"namespaces":[{"type":"pid","pid":0}]}`, "holdshort.namespaces[0].pid"},
		"map without namespace":     {process("") + `,"linux":{"uidMappings":[{"containerID":0,"hostID":0,"size":1}]}`, "linux.uidMappings"},
		"map of nothing":            {maps(`{"containerID":0,"hostID":0,"size":0}`), "linux.uidMappings[0].size"},
		"map beyond the end":        {maps(`{"containerID":4294967290,"hostID":0,"size":10}`), "linux.uidMappings[0]"},
		"map overlapping inside":    {maps(`{"containerID":0,"hostID":0,"size":10},{"containerID":9,"hostID":100,"size":1}`), "linux.uidMappings"},
		"map overlapping outside":   {maps(`{"containerID":0,"hostID":5,"size":10},{"containerID":50,"hostID":0,"size":6}`), "linux.uidMappings"},
		"map too long":              {maps(strings.TrimSuffix(many.String(), ",")), "linux.uidMappings"},
		"offsets without namespace": {process("") + `,"linux":{"timeOffsets":{"boottime":{"secs":1}}}`, "linux.timeOffsets"},
		"unknown clock":             {process("") + `,"linux":{"namespaces":[{"type":"time"}],"timeOffsets":{"realtime":{"secs":1}}}`, "linux.timeOffsets.realtime"},
		"nanoseconds":               {process("") + `,"linux":{"namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{"nanosecs":1000000000}}}`, "linux.timeOffsets.boottime.nanosecs"},
		"hostname without uts":      {process("") + `,"hostname":"x"`, "hostname"},
		"hostname too long":         {process("") + `,"hostname":"` + strings.Repeat("x", 65) + `","linux":{"namespaces":[{"type":"uts"}]}`, "hostname"},
		"mount without namespace":   {process("") + `,"mounts":[{"destination":"/x"}]`, "mounts[0]"},
		"mount on a relative path":  {process("") + `,"mounts":[{"destination":"x"}],"linux":{"namespaces":[{"type":"mount"}]}`, "mounts[0].destination"},
		"personality":               {process("") + `,"linux":{"personality":{"domain":"X"}}`, "linux.personality.domain"},
		"propagation":               {process("") + `,"linux":{"rootfsPropagation":"public"}`, "linux.rootfsPropagation"},
		"cgroup leading up":         {process("") + `,"linux":{"cgroupsPath":"/a/../.."}`, "linux.cgroupsPath"},
		"negative memory":           {process("") + `,"linux":{"resources":{"memory":{"limit":-2}}}`, "linux.resources.memory.limit"},
		"swap below memory":         {process("") + `,"linux":{"resources":{"memory":{"limit":8192,"swap":4096}}}`, "linux.resources.memory.swap"},
		"cpus":                      {process("") + `,"linux":{"resources":{"cpu":{"cpus":"3-1"}}}`, "linux.resources.cpu.cpus"},
		"unified":                   {process("") + `,"linux":{"resources":{"unified":{"../x.y":"1"}}}`, "linux.resources.unified.../x.y"},
		"seccomp":                   {process("") + `,"linux":{"seccomp":{"defaultAction":""}}`, "linux.seccomp.defaultAction"},
		"sysctl":                    {process("") + `,"linux":{"sysctl":{"../x":"1"}}`, "linux.sysctl.../x"},
		"descriptors":               {process("") + `,"holdshort":{"passFDs":-1}`, "holdshort.passFDs"},
		"securebits":                {process("") + `,"holdshort":{"securebits":256}`, "holdshort.securebits"},
		"blocking SIGKILL":          {process("") + `,"holdshort":{"blockSignals":["KILL"]}`, "holdshort.blockSignals[0]"},
		"affinity":                  {process("") + `,"holdshort":{"affinity":[-1]}`, "holdshort.affinity[0]"},
		"a limit without a cgroup":  {process("") + `,"holdshort":{"cgroup":{"limits":[{"file":"pids.max","value":"1"}]}}`, "holdshort.cgroup.limits[0]"},
		"two cgroups":               {process("") + `,"linux":{"cgroupsPath":"/a"},"holdshort":{"cgroup":{"v2":"/b"}}`, "holdshort.cgroup"},
		"ids kept and set":          {`"process":{"args":["true"],"cwd":"/","user":{"uid":1,"gid":0}},"holdshort":{"keepIDs":true}`, "holdshort.keepIDs"},
		"denied groups":             {`"process":{"args":["true"],"cwd":"/","user":{"uid":0,"gid":0,"additionalGids":[1]}},"linux":{"namespaces":[{"type":"user"}]},"holdshort":{"denySetgroups":true}`, "process.user.additionalGids"},
		"network without namespace": {process("") + `,"holdshort":{"network":{"loopbackUp":true}}`, "holdshort.network"},
		"device name":               {process("") + `,"linux":{"namespaces":[{"type":"network"}]},"holdshort":{"network":{"links":[{"kind":"dummy","name":"a/b"}]}}`, "holdshort.network.links[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse([]byte("{"+tt.text+"}"), true)
			if err != nil {
				t.Fatal(err)
			}
			err = r.Validate()
			if err == nil {
				t.Fatal("was accepted")
			}
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("%T", err)
			}
			if !slices.ContainsFunc(joined.Unwrap(), func(e error) bool { var fe *FieldError; return errors.As(e, &fe) && fe.Field == tt.field }) {
				t.Errorf("%v\nwant one about %s", err, tt.field)
			}
			if n := len(joined.Unwrap()); n > 2 {
				t.Errorf("%d problems from one: %v", n, err)
			}
		})
	}
}

func TestValidate_ReportsAll(t *testing.T) {
	r := New()
	r.Spec.Process.Cwd = "x"
	r.Ext.PassFDs = -1
	r.Spec.Hostname = "a\x00"
	err := r.Validate()
	for _, f := range []string{"process.args: ", "process.cwd: ", "holdshort.passFDs: ", "hostname: contains a NUL byte"} {
		if !strings.Contains(err.Error(), f) {
			t.Errorf("%v\nhas no %s", err, f)
		}
	}
}

func TestCPUList(t *testing.T) {
	for in, want := range map[string][]uint64{"": nil, "0": {1}, "0-2,65": {7, 2}, " 1 , 3": {10}} {
		if got, err := CPUList(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"-1", "a", "1-", "3-2", "9999999", "1,,2"} {
		if got, err := CPUList(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}

// FuzzParse: whatever comes in, Parse and Validate do not panic; and what is
// accepted strictly survives being written and read again.
func FuzzParse(f *testing.F) {
	for _, text := range sample.Requests {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"process":{"args":["a"],"user":{"uid":0,"uid":1}}}`))
	f.Add([]byte(`{"linux":{"resources":{"cpu":{"cpus":"0-3"}}},"holdshort":{"pdeathsig":"KILL","network":{"routes":[{"gateway":"10.0.0.1"}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lenient, lerr := Parse(data, false)
		strict, err := Parse(data, true)
		if err != nil {
			if lerr == nil {
				_ = lenient.Validate()
			}
			return
		}
		if lerr != nil || len(lenient.Ignored) > 0 {
			t.Fatalf("strict takes what lenient does not: %v, ignored %v", lerr, lenient.Ignored)
		}
		_ = strict.Validate()
		b, err := json.Marshal(strict)
		if err != nil {
			t.Skip(err) // a signal number may have no JSON form it was read from
		}
		again, err := Parse(b, true)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if d := cmp.Diff(again, strict, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); d != "" {
			t.Fatalf("got -, want +:\n%s", d)
		}
	})
}

// podman --privileged gives devices the mode that stat(2) has; a wrong type is a
// mistake.
func TestParse_ModeWithType(t *testing.T) {
	const text = `{"process":{"args":["x"]},"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"}],"devices":[{"path":"/dev/a","type":"%s","major":1,"minor":3,"fileMode":%d}]}}`
	for _, row := range []struct {
		kind   string
		mode   uint32
		strict bool
		fine   bool
	}{
		{"c", 0o20644, false, true},
		{"b", 0o60660, false, true},
		{"c", 0o644, false, true},
		{"c", 0o644, true, true},
		{"c", 0o60644, false, false},
		{"b", 0o20644, false, false},
		{"c", 0o20644, true, false},
		{"c", 0o120644, false, false},
	} {
		q, err := Parse(fmt.Appendf(nil, text, row.kind, row.mode), row.strict)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Validate(); (err == nil) != row.fine {
			t.Errorf("%+v: %v", row, err)
		}
		if m := uint32(*q.Spec.Linux.Devices[0].FileMode); row.fine && m != row.mode&0o7777 {
			t.Errorf("%+v: %#o", row, m)
		}
	}
}
