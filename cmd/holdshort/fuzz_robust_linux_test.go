package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

// eventually waits for a fact; it is a test's own time limit that ends it.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !fact(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 5 minutes: %s", what)
		}
	}
}

func blocks(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte(`"block":`))
}

// judgedIn reads a result file as a later run would.
func judgedIn(t *testing.T, file string) int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &campaign.Results{}
	if err := r.Read(f); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range r.Outcomes() {
		judged, _ := o.Counts()
		n += judged
	}
	return n
}

// tempDir is one that every user can get at, as the workloads' programs must be.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func tmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a file system of its own")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("needs a tmpfs: " + err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestFuzzInterrupted: one that was told to end has told what it knows, and is no
// campaign that was clean.
func TestFuzzInterrupted(t *testing.T) {
	fuzzing(t, "fuzz", "-n", "1", "-q") // or it is skipped
	file := filepath.Join(t.TempDir(), "results")
	cmd := exec.Command(binary, "fuzz", "-q", "-n", "1000000", "--seed", "3", "--out", file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a block is written", func() bool { return blocks(t, file) > 0 })
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != harness.ExitFault || !strings.Contains(errs.String(), "interrupted") || !strings.Contains(out.String(), "cases judged") {
		t.Errorf("%s\n%s%s", cmd.ProcessState, out.String(), errs.String())
	}
	if n := judgedIn(t, file); n < 64 {
		t.Errorf("%d cases are in the file", n)
	}
}

// TestFuzzKilled: what a killed campaign knew is in its file, the next one goes on
// with it, and removes what the killed one could not.
func TestFuzzKilled(t *testing.T) {
	fuzzing(t, "fuzz", "-n", "1", "-q") // or it is skipped
	dir, tmp := t.TempDir(), tempDir(t)
	file := filepath.Join(dir, "results")
	fuzz := func(args ...string) *exec.Cmd {
		cmd := exec.Command(binary, append([]string{"fuzz", "-q"}, args...)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
		return cmd
	}
	first := fuzz("-n", "1000000", "--seed", "3", "--out", file)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a block is written", func() bool { return blocks(t, file) > 0 })
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	left, _ := filepath.Glob(filepath.Join(tmp, "holdshort-fuzz-*"))
	if len(left) != 1 {
		t.Fatalf("left in the temporary directory: %v", left)
	}
	before := judgedIn(t, file)
	if before == 0 || before%64 != 0 {
		t.Errorf("%d cases are in the file, want whole blocks", before)
	}
	said := ""
	eventually(t, "the directory of the killed run is removed", func() bool {
		// A workload may still be ending when the first of these runs looks.
		out, err := fuzz("-n", "1", "--resume", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		said += string(out)
		left, _ := filepath.Glob(filepath.Join(tmp, "holdshort-fuzz-*"))
		return len(left) == 0
	})
	if !strings.Contains(said, "removed what a killed run had left: "+left[0]) {
		t.Errorf("the next run said: %s", said)
	}
	if out, err := fuzz("-n", "192", "--resume", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := judgedIn(t, file); n < 192 || n < before {
		t.Errorf("%d cases after the kill, %d before", n, before)
	}
	own, _ := filepath.Glob("/sys/fs/cgroup/*/holdshort-*")
	for _, d := range own {
		if strings.HasPrefix(filepath.Base(d), "holdshort-"+base36(first.Process.Pid)+"-") {
			t.Errorf("%s is left", d)
		}
	}
}

func base36(n int) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	out := ""
	for ; n > 0; n /= 36 {
		out = digits[n%36:n%36+1] + out
	}
	return out
}

// TestFuzzDiskFull: a campaign whose results cannot be kept ends, says why, and
// what it has written can be read and gone on with.
func TestFuzzDiskFull(t *testing.T) {
	dir := tmpfs(t, "size=4m")
	probe := filepath.Join(t.TempDir(), "probe")
	fuzzing(t, "fuzz", "-n", "1", "--seed", "5", "-q", "--out", probe)
	st, err := os.Stat(probe)
	if err != nil {
		t.Fatal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	room := (st.Size()/4096 + 1) * 4096
	if err := os.WriteFile(ballast, make([]byte, int64(fs.Bavail)*fs.Bsize-room), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "results")
	code, out, errs := fuzzing(t, "fuzz", "-n", "100000", "--seed", "5", "-q", "--out", file)
	if code != harness.ExitFault || !strings.Contains(errs, "no space left on device") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	had := judgedIn(t, file)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	code, out, errs = fuzzing(t, "fuzz", "-n", "128", "-q", "--resume", file)
	if now := judgedIn(t, file); code != 0 || now < 128 || now < had {
		t.Errorf("exit %d, %d cases before, %d now\n%s%s", code, had, now, out, errs)
	}
}

func TestFuzzReadOnly(t *testing.T) {
	dir := tmpfs(t, "ro")
	file := filepath.Join(dir, "results")
	code, out, errs := fuzzing(t, "fuzz", "-n", "1", "-q", "--out", file)
	if code != harness.ExitUsage || !strings.Contains(errs, file) || !strings.Contains(errs, "read-only file system") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	t.Setenv("TMPDIR", dir)
	code, out, errs = fuzzing(t, "fuzz", "-n", "1", "-q")
	if code != harness.ExitFault || !strings.Contains(errs, "TMPDIR") || !strings.Contains(errs, "read-only file system") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// TestFuzzOddFiles: what has no end is not read to its end.
func TestFuzzOddFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/dev/full", "/dev/zero", "/dev/null", fifo} {
		for _, args := range [][]string{{"fuzz", "-n", "1", "--resume", file}, {"fuzz", "-n", "1", "--out", file}, {"shrink", file}, {"replay", file}} {
			if code, out, errs := fuzzing(t, args...); code != harness.ExitUsage {
				t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
			}
		}
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, []byte("{\"schema\":1}\n{\"schema\":1,\"inc{\"schema\":1}\n{\"schema\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := fuzzing(t, "fuzz", "-n", "1", "--resume", damaged)
	if code != harness.ExitUsage || !strings.Contains(errs, "line 2 is damaged") || !strings.Contains(errs, "head -n 1") {
		t.Errorf("a damaged file: exit %d: %s", code, errs)
	}
}

// TestFuzzTwice: two runs do not write to one file.
func TestFuzzTwice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	if code, out, errs := fuzzing(t, "fuzz", "-n", "1", "--seed", "9", "-q", "--out", file); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	code, _, errs := fuzzing(t, "fuzz", "-n", "2", "-q", "--resume", file)
	if code != harness.ExitUsage || !strings.Contains(errs, "another run is writing") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
