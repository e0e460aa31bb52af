package probes

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/internal/exitzero"
	"github.com/holdshort/holdshort/probes/bpf"
)

var optionalHooks = []string{hookLSM, hookFexit, hookWork, hookBreak}

var confirmingObserver = sync.OnceValues(func() (*Observer, error) {
	return Open(context.Background(), &Options{Confirm: true})
})

// confirming is the observer with the optional hooks.
func confirming(t testing.TB) *Observer {
	t.Helper()
	o, err := confirmingObserver()
	skipUnsupported(t, err)
	return o
}

// ownConfirming is another one, for tests that break it.
func ownConfirming(t *testing.T, skip map[string]bool) *Observer {
	t.Helper()
	o, err := Open(context.Background(), &Options{Confirm: true, skip: skip})
	skipUnsupported(t, err)
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// needHook skips the test by the name of the hook, if that is not live here.
func needHook(t testing.TB, o *Observer, name string) {
	t.Helper()
	for _, h := range o.Hooks() {
		if h.Name != name {
			continue
		}
		for _, reason := range []error{ErrNotSupported, ErrEvidence, unix.EPERM, unix.ENOSPC, unix.EOPNOTSUPP, unix.ENODEV} {
			if !h.Live && errors.Is(h.Err, reason) {
				t.Skipf("needs the hook %s: %v", name, h.Err)
			}
		}
		if !h.Live {
			t.Fatalf("%s: %v", name, h.Err)
		}
		return
	}
	t.Fatalf("%s is not listed", name)
}

// known runs a program whose entry is known, with a breakpoint there.
func known(t *testing.T, o *Observer, opts *WatchOptions) *Record {
	t.Helper()
	path, done, err := canaryFile()
	if err != nil {
		t.Skipf("needs memory files that can be executed: %v", err)
	}
	t.Cleanup(done)
	if release, err := o.Breakpoint(exitzero.Entry); err == nil {
		defer release()
	}
	ctx := testContext(t)
	kids := children(ctx, t, o, opts)
	defer kids.Close()
	_, r := run(ctx, t, kids, path)
	return r
}

func TestConfirm_EachHook(t *testing.T) {
	o := confirming(t)
	for _, name := range optionalHooks {
		t.Run(name, func(t *testing.T) {
			needHook(t, o, name)
			r := known(t, o, nil)
			if !r.Complete() || !slices.Contains(r.ConfirmedBy(1), name) {
				t.Fatalf("confirmed by %v; record %+v", r.ConfirmedBy(1), r)
			}
			if c := r.Contradictions(); len(c) > 0 {
				t.Errorf("contradictions %+v", c)
			}
			for _, c := range r.Confirmations {
				if c.By != name {
					continue
				}
				if len(c.Facts) < len(factNames)-1 || c.TID != r.TGID || c.TimeNS == 0 {
					t.Errorf("confirmation %+v", c)
				}
				s := r.Snapshot(AtExec)
				if early := c.TimeNS < s.TimeNS; early != c.early() || early != (c.IP == 0) {
					t.Errorf("at %d, exec at %d, instruction pointer %#x", c.TimeNS, s.TimeNS, c.IP)
				}
				if first := r.Snapshot(AtFirst); first != nil && c.TimeNS > first.TimeNS {
					t.Errorf("after the first instruction")
				}
				if c.IP != 0 && c.IP != exitzero.Entry {
					t.Errorf("instruction pointer %#x", c.IP)
				}
			}
		})
	}
}

// A false word of a hook is noticed, whichever fact it is about, and the record
// is complete all the same.
func TestConfirm_ContradictionIsNoticed(t *testing.T) {
	o := confirming(t)
	for _, name := range optionalHooks {
		t.Run(name, func(t *testing.T) {
			needHook(t, o, name)
			t.Cleanup(func() { _ = o.hooks.wits.lie(0) })
			facts := slices.Concat(factNames[:], []string{FieldIP})
			for i, fact := range facts {
				lie := uint32(1) << i
				if fact == FieldIP {
					if lie = 1 << 31; name == hookLSM || name == hookFexit {
						continue // there is none yet
					}
				}
				if err := o.hooks.wits.lie(lie); err != nil {
					t.Fatal(err)
				}
				r := known(t, o, nil)
				told := false
				for _, c := range r.Contradictions() {
					told = told || c.By == name && c.Field == fact && c.Says != c.Other && c.Exec == 1
					if c.Field != fact {
						t.Errorf("%s was false, and contradicted was %+v", fact, c)
					}
				}
				if unread := !slices.ContainsFunc(r.Confirmations, func(c Confirmation) bool { _, ok := c.Facts[fact]; return ok || fact == FieldIP }); unread {
					t.Logf("%s is not read here", fact)
				} else if !told {
					t.Errorf("%s was false and nobody noticed: %+v", fact, r.Confirmations)
				}
				if !r.Complete() {
					t.Errorf("record %+v", r)
				}
			}
		})
	}
}

// Each exec of a process is confirmed by itself, also by hooks that come before
// it is counted.
func TestConfirm_EveryExec(t *testing.T) {
	o := confirming(t)
	for _, name := range []string{hookLSM, hookFexit, hookWork} {
		t.Run(name, func(t *testing.T) {
			needHook(t, o, name)
			ctx := testContext(t)
			kids := children(ctx, t, o, &WatchOptions{Exec: AllExecs})
			defer kids.Close()
			c := exec.Command("/bin/sh", "-c", "exec /bin/sh -c 'exec /bin/true'")
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			w, err := kids.Take(ctx, c.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Final(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= 3; n++ {
				if !slices.Contains(r.ConfirmedBy(n), name) {
					t.Errorf("exec %d is confirmed by %v", n, r.ConfirmedBy(n))
				}
			}
			if r.Execs != 3 || len(r.Contradictions()) > 0 {
				t.Errorf("%d execs, contradictions %+v", r.Execs, r.Contradictions())
			}
		})
	}
}

// A hook that is attached and does not fire is not said to be live.
func TestConfirm_HookThatNeverFires(t *testing.T) {
	o := ownConfirming(t, nil)
	if err := o.hooks.wits.silence(); err != nil {
		t.Fatal(err)
	}
	if err := o.canary(testContext(t)); err != nil {
		t.Fatal(err)
	}
	for _, h := range o.Hooks() {
		if h.Optional && (h.Live || h.Err == nil) {
			t.Errorf("%s: live %t, %v", h.Name, h.Live, h.Err)
		}
		if !h.Optional && !h.Live {
			t.Errorf("%s is not live without the others: %v", h.Name, h.Err)
		}
	}
}

// Hooks that cannot be opened are listed, with the reason, and are missed by
// nobody.
func TestConfirm_NotThere(t *testing.T) {
	skip := map[string]bool{}
	for _, name := range optionalHooks {
		skip[name] = true
	}
	o := ownConfirming(t, skip)
	n := 0
	for _, h := range o.Hooks() {
		if skip[h.Name] {
			n++
			if h.Live || h.Err == nil || !h.Optional {
				t.Errorf("%+v", h)
			}
		}
	}
	if n != len(optionalHooks) {
		t.Errorf("%d hooks are listed", n)
	}
	if r := known(t, o, nil); !r.Complete() || r.Confirmations != nil || r.Contradictions() != nil {
		t.Errorf("record %+v", r)
	}
	if _, err := o.Breakpoint(exitzero.Entry); err == nil || !strings.Contains(err.Error(), ErrNotSupported.Error()) {
		t.Errorf("a breakpoint without the hook: %v", err)
	}
}

// Without being asked for, they are not there.
func TestConfirm_Off(t *testing.T) {
	for _, h := range observer(t).Hooks() {
		if h.Optional {
			t.Errorf("%s is listed", h.Name)
		}
	}
}

func TestBreakpoint_CountsItsUsers(t *testing.T) {
	o := confirming(t)
	needHook(t, o, hookBreak)
	before := openFiles(t)
	one, err := o.Breakpoint(exitzero.Entry)
	if err != nil {
		t.Fatal(err)
	}
	opened := openFiles(t)
	two, err := o.Breakpoint(exitzero.Entry)
	if err != nil || openFiles(t) != opened {
		t.Errorf("%v; %d descriptors, then %d", err, opened, openFiles(t))
	}
	one()
	one()
	if openFiles(t) != opened {
		t.Error("released while in use")
	}
	two()
	if n := openFiles(t); n != before || opened <= before {
		t.Errorf("%d descriptors before, %d with it, %d after", before, opened, n)
	}
	for _, address := range []uint64{0, 1 << 63} {
		if _, err := o.Breakpoint(address); err == nil {
			t.Errorf("%#x was taken", address)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestTestimony_Wire(t *testing.T) {
	var w bpf.WitnessTestimony
	if n := binary.Size(w); n != headSize+testimonySize || len(w.Facts) != len(factNames) {
		t.Fatalf("testimony is %d bytes with %d facts", n, len(w.Facts))
	}
	b := make([]byte, headSize+testimonySize)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &w); err != nil {
		t.Fatal(err)
	}
	h := readHead(b)
	h.info = uint64(bpf.WitnessWitnessWITNESS_WORK)
	p := &process{}
	p.testify(&h, b[headSize:])
	want := map[string]uint64{}
	for i, name := range factNames {
		if w.Failed>>i&1 == 0 {
			want[name] = w.Facts[i]
		}
	}
	if d := cmp.Diff(want, p.rec.Confirmations[0].Facts); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
}
