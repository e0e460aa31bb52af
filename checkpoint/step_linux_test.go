package checkpoint

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// lines are the steps as they are printed.
func lines(list []PlannedStep) (out []string) {
	for i := range list {
		out = append(out, strings.Join(strings.Fields(list[i].String()), " "))
	}
	return out
}

func TestSteps(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	w, err := l.Start(bg, &Config{
		Args: []string{"/bin/true"}, Namespaces: []Namespace{{Kind: UTS}, {Kind: Net}}, Hostname: Some("here"),
		Rlimits: []Rlimit{{Resource: "RLIMIT_NOFILE", Soft: 7, Hard: 8}, {Resource: "RLIMIT_CORE"}},
		Network: Network{LoopbackUp: true}, NoNewPrivs: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(w.Steps())
	// In this order, with others in between.
	at := 0
	for _, want := range []string{
		`agent clone "net,uts": clone3`,
		`child hostname`,
		`child rlimits[0] "RLIMIT_NOFILE": prlimit64`,
		`child rlimits[1] "RLIMIT_CORE": prlimit64`,
		`child no-new-privs: prctl`,
		`child execve "/bin/true": execve`,
	} {
		i := slices.IndexFunc(got[at:], func(s string) bool { return strings.HasPrefix(s, want) })
		if i < 0 {
			t.Fatalf("no %q after step %d of\n%s", want, at, strings.Join(got, "\n"))
		}
		at += i
	}
	if at != len(got)-1 {
		t.Errorf("there is something after execve:\n%s", strings.Join(got, "\n"))
	}
	result(t, w)
	if after := lines(w.Steps()); !slices.Equal(after, got) {
		t.Errorf("once it has ended:\n%s", strings.Join(after, "\n"))
	}
}

// A step that fails is one of the plan.
func TestSteps_NameTheError(t *testing.T) {
	l := newLauncher(t)
	w, err := l.Start(bg, &Config{Args: []string{"/bin/true"}, Cwd: "/nowhere"}, nil)
	if err == nil {
		r := result(t, w)
		err = r.Err
	}
	var e *Error
	if w == nil || !errors.As(err, &e) {
		t.Fatalf("workload %v, error %v", w, err)
	}
	if !slices.ContainsFunc(w.Steps(), func(s PlannedStep) bool {
		return s.Stage == e.Stage && s.Index == e.Index && s.Object == e.Object && s.By == ByChild
	}) {
		t.Errorf("%v is no step of\n%s", err, strings.Join(lines(w.Steps()), "\n"))
	}
}

func TestSteps_HostAndSecondClone(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	w, err := l.Spawn(bg, &Config{
		Args: []string{"/bin/true"}, Namespaces: []Namespace{{Kind: Net}, {Kind: PID}},
		Network: Network{Links: []Link{{Kind: Veth, Name: "inside", Host: "hsplan0"}}}, Init: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lines(w.Steps()), "\n")
	if err := w.Abort(bg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"host network", "child init", "[init]"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
