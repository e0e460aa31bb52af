package procfs

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

func TestMask(t *testing.T) {
	for text, want := range map[string][]uint64{
		"0":                          {},
		"3":                          {3},
		"1,00000000":                 {1 << 32},
		"ff,00000001,80000000":       {1<<32 | 1<<31, 0xff},
		"00000000,00000000,00000002": {2},
	} {
		if d := cmp.Diff(want, mask([]byte(text))); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestSpeculation(t *testing.T) {
	for _, c := range []struct {
		ssb, branch string
		want        posture.Value[uint32]
	}{
		{"thread vulnerable", "conditional enabled", posture.Known[uint32](0)},
		{"thread mitigated", "conditional force disabled", posture.Known[uint32](1<<3 | 1<<5 | 1<<6)},
		{"thread force mitigated", "always enabled", posture.Known[uint32](1<<3 | 1<<4)},
		{"unknown", "always enabled", posture.Unreadable[uint32](`the kernel says "unknown" of the store bypass`)},
		{"vulnerable", "", posture.Unreadable[uint32](`the kernel says "" of indirect branches`)},
	} {
		if got := speculation([]byte(c.ssb), []byte(c.branch)); got != c.want {
			t.Errorf("%q, %q: %+v, want %+v", c.ssb, c.branch, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		text string
		base uint64
		want int64
	}{
		{"0", 10, 0}, {"4096 bytes", 10, 4096}, {"-1000\n", 10, -1000}, {"0100644", 8, 0o100644}, {"ffffffffffffffff", 16, -1}, {"", 10, 0},
	} {
		got := int64(number([]byte(c.text), c.base))
		if c.base == 10 {
			got = signed([]byte(c.text))
		}
		if got != c.want {
			t.Errorf("%q: %d, want %d", c.text, got, c.want)
		}
	}
}

func TestFdinfo(t *testing.T) {
	got := parseFdinfo([]byte("pos:\t0\nflags:\t02104000\nmnt_id:\t28\nino:\t1234\nflags:\t7\n"))
	want := fdinfo{flags: 0o2104000, mount: 28, inode: 1234, hasInode: true}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestHierarchy_Paths(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/a", 0o755); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir+"/a", &st); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		root, path string
		ok         bool
	}{
		{"/", "/a", true},
		{"/slice", "/slice/a", true},
		{"/slice", "/slicea", false},
		{"/", "/../a", false},
		{"/", "/a (deleted)", false},
	} {
		id, err := hierarchy{root: c.root, at: dir}.id(c.path)
		if (err == nil) != c.ok || c.ok && id != st.Ino {
			t.Errorf("%+v: %d, %v", c, id, err)
		}
	}
	if _, err := (hierarchy{}).id("/"); err == nil {
		t.Error("an id in a hierarchy that is not mounted")
	}
}

// Without a tracer as much as possible is read, and the rest has a reason.
func TestRead_Self(t *testing.T) {
	p, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if pid, ok := p.Process.PID.Get(); ok && int(pid) != os.Getpid() {
		t.Errorf("pid %d", pid)
	}
	if args, _ := p.Exec.Args.Get(); !cmp.Equal(args, os.Args) {
		t.Errorf("arguments %q", args)
	}
	for _, f := range posture.Fields() {
		if !f.Known(p) && f.Why(p) == "not read" {
			t.Errorf("%s: no reason", f.Path)
		}
		if why := Hidden(f.Path); why != "" && f.Why(p) != why || why == "" && f.Why(p) == nothing {
			t.Errorf("%s: hidden %q, reason %q", f.Path, why, f.Why(p))
		}
	}
	if _, err := Read(1 << 30); err == nil {
		t.Error("there is no such process")
	}
}

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for text, want := range map[string]struct {
		mode  uint32
		nodes []uint64
	}{
		"default stack anon=2\n":                    {0, []uint64{}},
		"prefer:1 anon=1\n":                         {1, []uint64{2}},
		"prefer (many):0,2 anon=1\n":                {5, []uint64{5}},
		"bind=static:0-1,64 stack\n":                {1<<15 | 2, []uint64{3, 1}},
		"interleave=relative:3\n":                   {1<<14 | 3, []uint64{8}},
		"weighted interleave:0 anon=1\n":            {6, []uint64{1}},
		"local\n":                                   {4, []uint64{}},
		"bind=static|balancing:1 N0=1 active=0 x\n": {1<<15 | 1<<13 | 2, []uint64{2}},
	} {
		mode, nodes, ok := parsePolicy(text)
		if !ok || mode != want.mode || !cmp.Equal(nodes, want.nodes) {
			t.Errorf("%q: %#x %v %v, want %+v", text, mode, nodes, ok, want)
		}
	}
	for _, text := range []string{"", "unheard-of:1\n", "bind=odd:1\n"} {
		if mode, _, ok := parsePolicy(text); ok {
			t.Errorf("%q: %#x, want nothing", text, mode)
		}
	}
}
