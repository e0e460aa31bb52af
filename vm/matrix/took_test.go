package matrix

import (
	"context"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/vm"
)

// The table of times has each job by kernel, all of them add up to the row's
// seconds, and the slowest tests are named without their parts.
func TestTook(t *testing.T) {
	r := &Report{Rows: []*Row{
		{
			Kernel: "a", Seconds: 20, ImageMS: 500, BootMS: 1500, Took: []Took{{"floor", 1}, {"github.com/o/r/p", 10}, {"floor", 2}},
			Tests: []Test{{"github.com/o/r/p", "TestX", Pass, "", 9}, {"github.com/o/r/p", "TestX/sub", Pass, "", 9}},
		},
		{Kernel: "b", Seconds: 4, Took: []Took{{"floor", 4}}},
	}}
	var b strings.Builder
	r.took(&b)
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{"p 10.0 0.0", "floor 3.0 4.0", "image 0.5", "boot 1.5", "other 5.0 0.0", "together: p TestX 9"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// What depends on no kernel is in no guest's row, is not missed there, and is named.
func TestHere(t *testing.T) {
	jobs := []Job{{Name: "github.com/holdshort/holdshort/vm/matrix", Test: true}, {Name: "github.com/holdshort/holdshort/vm", Test: true}}
	if n, err := Here(t.Context(), jobs, "./..."); n != 1 || err != nil || !jobs[0].Here || jobs[1].Here {
		t.Fatalf("%d %v %+v", n, err, jobs)
	}
	if _, err := Here(t.Context(), jobs, "./nonexistent"); err == nil {
		t.Error("a package that is not there is taken")
	}
	m := &Matrix{Jobs: jobs, Kernels: []*vm.Kernel{{Name: "k", Arch: "none"}}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no guest is started
	rep := m.Run(ctx)
	if len(rep.Here) != 1 || rep.Here[0] != jobs[0].Name || len(rep.Rows[0].Tests) != 1 || rep.Rows[0].Tests[0].Package != jobs[1].Name {
		t.Errorf("%v %+v", rep.Here, rep.Rows[0].Tests)
	}
}
