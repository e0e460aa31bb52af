package landlock

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRights(t *testing.T) {
	// The masks of all rights, by ABI, as landlock(7) and the kernel's headers
	// have them.
	for abi, want := range map[int][3]uint64{
		0: {}, 1: {1<<13 - 1}, 2: {1<<14 - 1}, 3: {1<<15 - 1}, 4: {1<<15 - 1, 3}, 5: {1<<16 - 1, 3}, 6: {1<<16 - 1, 3, 3}, 8: {1<<16 - 1, 3, 3},
		9: {1<<17 - 1, 3, 3}, 10: {1<<17 - 1, 15, 3}, 11: {1<<17 - 1, 15, 3},
	} {
		var got [3]uint64
		for i, k := range []Kind{FS, Net, Scope} {
			got[i], _ = Mask(k, Rights(k, abi))
		}
		if got != want {
			t.Errorf("ABI %d: %#x; want %#x", abi, got, want)
		}
	}
	if got, want := Rights(FS, 1)[:3], []Right{"execute", "write_file", "read_file"}; !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	for _, r := range Rights(FS, Newest) {
		want := slices.Contains([]Right{"execute", "write_file", "read_file", "truncate", "ioctl_dev", "resolve_unix"}, r)
		if OfFiles(r) != want {
			t.Errorf("OfFiles(%q) = %v", r, !want)
		}
	}
	if OfFiles("nothing") {
		t.Error("an unknown right is one of files")
	}
	for abi := 1; abi <= Newest; abi++ {
		if Since(abi) == "" {
			t.Errorf("ABI %d has no version of Linux", abi)
		}
	}
}

func TestPolicy_Validate(t *testing.T) {
	for name, tt := range map[string]struct{ policy, want string }{
		"empty":            {`{}`, "layers: is empty"},
		"nothing handled":  {`{"layers":[{}]}`, "layers[0]: handles nothing"},
		"unknown fs right": {`{"layers":[{"handledAccessFS":["read"]}]}`, `layers[0].handledAccessFS[0]: unknown right "read"`},
		"net right for fs": {`{"layers":[{"handledAccessFS":["bind_tcp"]}]}`, `layers[0].handledAccessFS[0]: unknown right`},
		"twice":            {`{"layers":[{"scoped":["signal","signal"]}]}`, `layers[0].scoped[1]: "signal" is there twice`},
		"not handled":      {`{"layers":[{"handledAccessFS":["execute"],"pathBeneath":[{"path":"/","allowedAccess":["execute","read_file"]}]}]}`, `layers[0].pathBeneath[0].allowedAccess[1]: "read_file" is not among`},
		"port not handled": {`{"layers":[{"handledAccessNet":["bind_tcp"],"netPort":[{"port":1,"allowedAccess":["connect_tcp"]}]}]}`, `layers[0].netPort[0].allowedAccess[0]`},
		"rule for nothing": {`{"layers":[{"handledAccessFS":["execute"],"pathBeneath":[{"path":"/"}]}]}`, `layers[0].pathBeneath[0].allowedAccess: is empty`},
		"relative":         {`{"layers":[{"handledAccessFS":["execute"],"pathBeneath":[{"path":"a","allowedAccess":["execute"]}]}]}`, `layers[0].pathBeneath[0].path: "a" is not absolute`},
		"flag":             {`{"layers":[{"scoped":["signal"],"restrictFlags":["no_new_privs"]}]}`, `layers[0].restrictFlags[0]: unknown right`},
		"17 layers":        {`{"layers":[` + strings.Repeat(`{"scoped":["signal"]},`, 16) + `{"scoped":["signal"]}]}`, "layers: 17 layers"},
	} {
		t.Run(name, func(t *testing.T) {
			var p Policy
			if err := json.Unmarshal([]byte(tt.policy), &p); err != nil {
				t.Fatal(err)
			}
			err := p.Validate()
			if e := (*Invalid)(nil); err == nil || !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %s", err, tt.want)
			}
		})
	}
}

// whole uses everything that there is.
var whole = &Policy{Layers: []Ruleset{
	{
		HandledAccessFS: Rights(FS, Newest), HandledAccessNet: Rights(Net, Newest), Scoped: Rights(Scope, Newest), RestrictFlags: Rights(Flag, Newest),
		PathBeneath: []PathBeneath{{"/a", []Right{"resolve_unix"}}, {"/b", []Right{"execute", "read_file", "refer"}}},
		NetPort:     []NetPort{{53, []Right{"bind_udp"}}, {80, []Right{"bind_tcp", "bind_udp"}}},
	},
	{Scoped: []Right{"signal"}},
}}

func TestPolicy_Compile(t *testing.T) {
	if err := whole.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := whole.Compile(Newest)
	if err != nil {
		t.Fatal(err)
	}
	want := &Compiled{Layers: []Layer{
		{FS: 1<<17 - 1, Net: 15, Scoped: 3, Flags: 15, Paths: []PathRule{{0, "/a", 1 << 16}, {1, "/b", 1 | 1<<2 | 1<<13}}, Ports: []PortRule{{0, 53, 4}, {1, 80, 5}}},
		{Index: 1, Scoped: 2},
	}}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("got -, want +:\n%s", d)
	}
}

func TestPolicy_CompileStrict(t *testing.T) {
	for abi, missing := range map[int]Right{0: "execute", 1: "refer", 2: "truncate", 3: "bind_tcp", 4: "ioctl_dev", 5: "signal", 6: "log_new_exec_on", 7: "tsync", 8: "resolve_unix", 9: "bind_udp"} {
		_, err := whole.Compile(abi)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), `"`+string(missing)+`" needs Landlock ABI`) {
			t.Errorf("ABI %d: %v; want that %q is missing", abi, err, missing)
		}
		var e *NotSupported
		if errors.As(err, &e) && (e.Have != abi || e.ABI <= abi) {
			t.Errorf("ABI %d: %+v", abi, e)
		}
	}
}

func TestPolicy_CompileBestEffort(t *testing.T) {
	p := *whole
	p.BestEffort = true
	for abi, want := range map[int]Compiled{
		0: {},
		1: {Layers: []Layer{{FS: 1<<13 - 1, Paths: []PathRule{{1, "/b", 1 | 1<<2}}}}},
		4: {Layers: []Layer{{FS: 1<<15 - 1, Net: 3, Paths: []PathRule{{1, "/b", 1 | 1<<2 | 1<<13}}, Ports: []PortRule{{1, 80, 1}}}}},
		7: {Layers: []Layer{{FS: 1<<16 - 1, Net: 3, Scoped: 3, Flags: 7, Paths: []PathRule{{1, "/b", 1 | 1<<2 | 1<<13}}, Ports: []PortRule{{1, 80, 1}}}, {Index: 1, Scoped: 2}}},
	} {
		got, err := p.Compile(abi)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got.Layers, want.Layers); d != "" {
			t.Errorf("ABI %d: got -, want +:\n%s", abi, d)
		}
		if len(got.Dropped) == 0 {
			t.Errorf("ABI %d: nothing was dropped", abi)
		}
	}
	if got, _ := p.Compile(Newest); got.Dropped != nil {
		t.Errorf("dropped %v with the newest ABI", got.Dropped)
	}
}

func TestCompiled_Blocks(t *testing.T) {
	rule := func(r ...Right) []PathBeneath { return []PathBeneath{{"/", r}} }
	for name, tt := range map[string]struct {
		layers []Ruleset
		want   string
	}{
		"not about files":   {[]Ruleset{{Scoped: []Right{"signal"}}}, ""},
		"neither":           {[]Ruleset{{HandledAccessFS: []Right{"make_dir"}}}, ""},
		"execute":           {[]Ruleset{{HandledAccessFS: []Right{"execute"}}}, "execute"},
		"reading":           {[]Ruleset{{HandledAccessFS: []Right{"execute", "read_file"}, PathBeneath: rule("execute")}}, "read_file"},
		"granted":           {[]Ruleset{{HandledAccessFS: []Right{"execute", "read_file"}, PathBeneath: rule("execute", "read_file")}}, ""},
		"second layer only": {[]Ruleset{{Scoped: []Right{"signal"}}, {HandledAccessFS: []Right{"read_file"}}}, "layers[1]"},
	} {
		c, err := (&Policy{Layers: tt.layers}).Compile(Newest)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Blocks(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q; want %q", name, got, tt.want)
		}
	}
}
