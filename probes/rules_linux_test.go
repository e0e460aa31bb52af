package probes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// ruleset is one layer of a test.
type ruleset struct {
	fs, net uint64
	rules   []sys.LandlockRule
}

// confined tells the domain of a thread that has entered the layers: as a peek
// shows it, and as the programs at the exec of its child do, which read in
// another way.
func confined(t *testing.T, o *Observer, layers ...ruleset) (peeked, exec posture.Landlock) {
	t.Helper()
	ctx := testContext(t)
	path, done, err := canaryFile()
	if err != nil {
		t.Skip(err)
	}
	defer done()
	kids, err := o.WatchChildrenOf(ctx, os.Getpid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer kids.Close()
	both := onThread(t, func() (both [2]posture.Landlock, err error) {
		for _, l := range layers {
			if err := sys.LandlockRestrict(l.fs, l.net, l.rules); err != nil {
				return both, err
			}
		}
		s, err := o.Self(ctx)
		if err != nil {
			return both, err
		}
		both[0] = s.Posture().Landlock
		both[1], err = launched(ctx, kids, path)
		return both, err
	})
	return both[0], both[1]
}

func launched(ctx context.Context, kids *Children, path string) (l posture.Landlock, err error) {
	p, err := os.StartProcess(path, []string{"canary"}, &os.ProcAttr{})
	if err != nil {
		return l, err
	}
	if _, err := p.Wait(); err != nil {
		return l, err
	}
	w, err := kids.Take(ctx, p.Pid)
	if err != nil {
		return l, err
	}
	defer w.Close()
	r, err := w.Record(ctx)
	if err != nil {
		return l, err
	}
	s := r.Snapshot(AtExec)
	if s == nil {
		return l, fmt.Errorf("no exec was seen: %v", r)
	}
	return s.Posture().Landlock, nil
}

func inodeOf(t *testing.T, path string) posture.Inode {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return posture.Inode{Dev: st.Dev, Ino: st.Ino}
}

// memory is a directory in which device and inode numbers are those of stat(2).
func memory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("needs a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func wantRules(t *testing.T, want []posture.LandlockRule, seen ...posture.Landlock) {
	t.Helper()
	slices.SortFunc(want, posture.LandlockRule.Compare)
	for i, l := range seen {
		list, ok := l.RuleList.Get()
		if !ok && strings.Contains(l.RuleList.Why(), "form that is not known") {
			t.Skipf("needs rules in a form that is known: %s", l.RuleList.Why())
		}
		if d := cmp.Diff(want, list); !ok || d != "" {
			t.Errorf("%s: %s (-want +got):\n%s", []string{"peek", "exec"}[i], l.RuleList.Why(), d)
		}
	}
}

// TestLandlock_Rules fills a domain with as many rules as can be read, on files
// and ports, some in two layers, and looks for each of them.
func TestLandlock_Rules(t *testing.T) {
	o := observer(t)
	abi, err := sys.LandlockABI()
	if err != nil {
		t.Skipf("needs Landlock: %v", err)
	}
	const writeFile, readDir, makeDir, removeDir = 1 << 1, 1 << 3, 1 << 7, 1 << 4
	dir := memory(t)
	layers := []ruleset{{fs: writeFile | readDir | makeDir}, {fs: readDir | removeDir}}
	var want []posture.LandlockRule
	add := func(layer int, path string, access uint64) {
		l := &layers[layer]
		l.rules = append(l.rules, sys.LandlockRule{Path: path, Access: access})
		want = append(want, posture.LandlockRule{Layer: uint32(layer + 1), Kind: posture.RulePath, Inode: inodeOf(t, path), Access: uint32(access)})
	}
	keys := posture.MaxLandlockRules
	if abi >= 4 {
		for i := range 20 {
			layer, port := 0, uint16(i*3001)
			layers[0].net = 3
			l := &layers[layer]
			l.rules = append(l.rules, sys.LandlockRule{Port: port, Access: uint64(i%3 + 1)})
			want = append(want, posture.LandlockRule{Layer: 1, Kind: posture.RulePort, Port: port, Access: uint32(i%3 + 1)})
			keys--
		}
	}
	for i := range keys {
		path := filepath.Join(dir, strconv.Itoa(i))
		if i%4 == 1 {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			add(0, path, writeFile)
			continue
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			add(0, path, readDir|makeDir)
		case 2:
			add(1, path, removeDir)
		default:
			add(0, path, makeDir)
			add(1, path, readDir)
		}
	}
	// Twice in one layer is one rule.
	again := layers[0].rules[len(layers[0].rules)-1]
	again.Access = readDir
	layers[0].rules = append(layers[0].rules, again)
	for i := range want {
		if w := &want[i]; w.Layer == 1 && w.Inode == inodeOf(t, again.Path) {
			w.Access |= readDir
		}
	}
	peek, exec := confined(t, o, layers...)
	wantRules(t, want, peek, exec)

	// One more than fit.
	layers[1].rules = append(layers[1].rules, sys.LandlockRule{Path: dir, Access: readDir})
	peek, exec = confined(t, o, layers...)
	for _, l := range []posture.Landlock{peek, exec} {
		if n, _ := l.Rules.Get(); n != posture.MaxLandlockRules+1 || l.RuleList.IsKnown() || !strings.Contains(l.RuleList.Why(), "65 rules, of which 64") {
			t.Errorf("%d rules, %v (%s)", n, l.RuleList.IsKnown(), l.RuleList.Why())
		}
	}
}

// TestLandlock_RuleOfAFileThatIsGone: a rule keeps its inode only until the file
// system is unmounted; then it is there and allows nothing.
func TestLandlock_RuleOfAFileThatIsGone(t *testing.T) {
	o := observer(t)
	if _, err := sys.LandlockABI(); err != nil {
		t.Skipf("needs Landlock: %v", err)
	}
	dir := memory(t)
	before, gone := inodeOf(t, dir), posture.Inode{}
	const readDir = 1 << 3
	ctx := testContext(t)
	got := onThread(t, func() (both [2]posture.Landlock, err error) {
		if err := sys.LandlockRestrict(readDir, 0, []sys.LandlockRule{{Path: dir, Access: readDir}}); err != nil {
			return both, err
		}
		for i := range both {
			s, err := o.Self(ctx)
			if err != nil {
				return both, err
			}
			both[i] = s.Posture().Landlock
			if i == 0 { // a thread in a domain may not unmount, another may
				done := make(chan error)
				go func() { done <- unix.Unmount(dir, 0) }()
				if err := <-done; err != nil {
					return both, err
				}
			}
		}
		return both, nil
	})
	wantRules(t, []posture.LandlockRule{{Layer: 1, Kind: posture.RulePath, Inode: before, Access: readDir}}, got[0])
	wantRules(t, []posture.LandlockRule{{Layer: 1, Kind: posture.RulePath, Inode: gone, Access: readDir}}, got[1])
}
