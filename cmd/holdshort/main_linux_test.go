package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdshort/holdshort/harness"
	"golang.org/x/sys/unix"
)

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "holdshort-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // another user runs it, too
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "holdshort")
	if _, err := exec.LookPath("go"); err != nil { // in a guest of "holdshort vm exec", which has this very command
		if b, lerr := exec.LookPath("holdshort"); lerr == nil {
			binary = b
			return m.Run()
		}
	}
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

type outcome struct {
	code        int
	out, errors string
}

func start(t testing.TB, cmd *exec.Cmd, stdin io.Reader) func() outcome {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() outcome {
		t.Helper()
		// Far beyond what it can take, in a guest that is translated, too: to open
		// the observer alone may take half a minute there.
		timer := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		_ = cmd.Wait()
		return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}
}

func holdshort(t testing.TB, args ...string) outcome {
	t.Helper()
	return start(t, exec.Command(binary, args...), nil)()
}

// verifies skips a test where no verdict but unknown can be given.
func verifies(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: probes and namespaces")
	}
	if o := holdshort(t, "run", "-q", "--", "/bin/true"); o.code != 0 {
		t.Skip("needs a machine on which verdicts can be given: " + o.errors)
	}
}

func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// oneError checks that stderr is one message that begins with our name.
func oneError(t *testing.T, o outcome, code int, says string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit status %d; want %d", o.code, code)
	}
	if n := strings.Count(o.errors, "holdshort: "); n != 1 || !strings.HasPrefix(o.errors, "holdshort: ") {
		t.Errorf("%d messages; want one", n)
	}
	if !strings.Contains(o.errors, says) {
		t.Errorf("stderr does not say %q", says)
	}
	if strings.Contains(o.errors, "goroutine ") || o.out != "" || len(o.errors) > 2000 {
		t.Error("more than a message")
	}
	if t.Failed() {
		t.Logf("stdout %.300q\nstderr %.2000s", o.out, o.errors)
	}
}

const minimal = `{"ociVersion":"1.2.0","process":{"args":["/bin/true"]},"holdshort":{"keepIDs":true}}`

func TestBadConfig(t *testing.T) {
	process := func(s string) string {
		return `{"ociVersion":"1.2.0","process":{"args":["/bin/true"],` + s + `},"holdshort":{"keepIDs":true}}`
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":             {"", "EOF"},
		"cut off":           {minimal[:40], "EOF"},
		"no object":         {"[]", "no JSON object"},
		"not JSON":          {"hello", "invalid character"},
		"trailing":          {minimal + minimal, "follows the document"},
		"20 MB":             {`{"annotations":{"a":"` + strings.Repeat("x", 20<<20) + `"}}`, "larger than"},
		"20 MB of arrays":   {strings.Repeat("[", 20<<20), "larger than"},
		"deep":              {`{"annotations":` + strings.Repeat(`{"a":`, 100000), "nested deeper"},
		"unknown field":     {process(`"argz":[]`), "process.argz: unknown field"},
		"unknown in ours":   {`{"process":{"args":["/bin/true"]},"holdshort":{"nize":1}}`, "holdshort.nize: unknown field"},
		"another case":      {process(`"Cwd":"/"`), "process.Cwd"},
		"given twice":       {process(`"cwd":"/","cwd":"/tmp"`), "process.cwd: given twice"},
		"wrong type":        {process(`"cwd":7`), "cwd"},
		"NUL in args":       {`{"process":{"args":["/bin/true","a\u0000b"]}}`, "process.args[1]"},
		"NUL in env":        {process(`"env":["A=\u0000"]`), "process.env[0]"},
		"NUL in cwd":        {process(`"cwd":"/\u0000"`), "process.cwd"},
		"no args":           {`{"ociVersion":"1.2.0","process":{"args":[]}}`, "process.args"},
		"no process":        {`{"ociVersion":"1.2.0"}`, "process.args"},
		"uid too large":     {`{"process":{"args":["/bin/true"],"user":{"uid":4294967296,"gid":0}}}`, "uid"},
		"uid -1":            {`{"process":{"args":["/bin/true"],"user":{"uid":4294967295,"gid":0}}}`, "process.user.uid"},
		"uid negative":      {`{"process":{"args":["/bin/true"],"user":{"uid":-1,"gid":0}}}`, "uid"},
		"rlimit 1e400":      {process(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":1e400,"hard":1}]`), "rlimits"},
		"rlimit upside":     {process(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":2,"hard":1}]`), "process.rlimits[0]"},
		"rlimit unknown":    {process(`"rlimits":[{"type":"RLIMIT_LUCK","soft":1,"hard":1}]`), "RLIMIT_LUCK"},
		"oom":               {process(`"oomScoreAdj":1001`), "process.oomScoreAdj"},
		"oom absurd":        {process(`"oomScoreAdj":99999999999999999999`), "oomScoreAdj"},
		"capability":        {process(`"capabilities":{"bounding":["CAP_FLY"]}`), "CAP_FLY"},
		"namespace unknown": {`{"process":{"args":["/bin/true"]},"linux":{"namespaces":[{"type":"dream"}]}}`, "linux.namespaces[0]"},
		"namespace twice":   {`{"process":{"args":["/bin/true"]},"linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]}}`, "linux.namespaces[1]"},
		"map overflow":      {`{"process":{"args":["/bin/true"]},"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":4294967295,"hostID":1,"size":2}]}}`, "linux.uidMappings[0]"},
		"signal":            {`{"process":{"args":["/bin/true"]},"holdshort":{"keepIDs":true,"pdeathsig":"SIGNOPE"}}`, "SIGNOPE"},
		"affinity":          {`{"process":{"args":["/bin/true"]},"holdshort":{"keepIDs":true,"affinity":[-1]}}`, "holdshort.affinity"},
		"affinity absurd":   {`{"process":{"args":["/bin/true"]},"holdshort":{"keepIDs":true,"affinity":[1000000000]}}`, "holdshort.affinity"},
		"passFDs absurd":    {`{"process":{"args":["/bin/true"]},"holdshort":{"keepIDs":true,"passFDs":1000000000}}`, "holdshort.passFDs"},
	} {
		t.Run(name, func(t *testing.T) {
			oneError(t, holdshort(t, "run", "--config", file(t, c.text)), harness.ExitUsage, c.says)
		})
	}
	t.Run("stdin", func(t *testing.T) {
		oneError(t, start(t, exec.Command(binary, "run", "--config", "-"), strings.NewReader("{"))(), harness.ExitUsage, "EOF")
	})
	t.Run("missing", func(t *testing.T) {
		oneError(t, holdshort(t, "run", "--config", "/nonexistent/config.json"), harness.ExitUsage, "no such file")
	})
	t.Run("bundle", func(t *testing.T) {
		oneError(t, holdshort(t, "run", "--bundle", t.TempDir()), harness.ExitUsage, "config.json")
	})
	t.Run("directory", func(t *testing.T) {
		oneError(t, holdshort(t, "run", "--config", t.TempDir()), harness.ExitUsage, "directory")
	})
}

func TestBadFlags(t *testing.T) {
	for _, c := range []struct {
		says string
		args []string
	}{
		{"--bogus", []string{"--bogus"}},
		{"--bogus", []string{"run", "--bogus", "--", "/bin/true"}},
		{"frobnicate", []string{"frobnicate"}},
		{"no program", []string{"run"}},
		{"no program", []string{"run", "--"}},
		{"dream", []string{"run", "--ns", "dream", "--", "/bin/true"}},
		{"--rlimit", []string{"run", "--rlimit", "nofile=99999999999999999999", "--", "/bin/true"}},
		{"--rlimit", []string{"run", "--rlimit", "nofile", "--", "/bin/true"}},
		{"--nice", []string{"run", "--nice", "99999999999999999999", "--", "/bin/true"}},
		{"holdshort.nice", []string{"run", "--nice", "20", "--", "/bin/true"}},
		{"oomScoreAdj", []string{"run", "--oom-score-adj", "1001", "--", "/bin/true"}},
		{"--user", []string{"run", "--user", "4294967296", "--", "/bin/true"}},
		{"process.user.uid", []string{"run", "--user", "4294967295", "--", "/bin/true"}},
		{"--uid-map", []string{"run", "--ns", "user", "--uid-map", "0:0", "--", "/bin/true"}},
		{"--cap-drop", []string{"run", "--cap-drop", "CAP_FLY", "--", "/bin/true"}},
		{"--umask", []string{"run", "--umask", "9", "--", "/bin/true"}},
		{"hostname", []string{"run", "--hostname", "x", "--", "/bin/true"}},
		{"--fd 77", []string{"run", "--fd", "77", "--", "/bin/true"}},
		{"--timeout", []string{"run", "--timeout", "soon", "--", "/bin/true"}},
		{"no such file", []string{"run", "--seccomp", "/nonexistent.json", "--", "/bin/true"}},
		{"together", []string{"run", "--bundle", "/tmp", "--config", "/dev/null"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			o := holdshort(t, c.args...)
			if strings.Contains(o.errors, "can't be used together") {
				o.errors = strings.ReplaceAll(o.errors, "can't be used", "")
			}
			oneError(t, o, harness.ExitUsage, c.says)
		})
	}
}

func TestMissingProgram(t *testing.T) {
	for name, c := range map[string]struct{ program, says string }{
		"missing":        {"/nonexistent", "ENOENT"},
		"not in PATH":    {"no-such-program", "ENOENT"},
		"not executable": {"/etc/passwd", "EACCES"},
		"a directory":    {"/etc", "EACCES"},
	} {
		t.Run(name, func(t *testing.T) {
			o := holdshort(t, "run", "-e", "PATH=/bin", "--no-verify", "--", c.program)
			oneError(t, o, harness.ExitUsage, c.says)
			if os.Geteuid() == 0 {
				oneError(t, holdshort(t, "run", "-e", "PATH=/bin", "--", c.program), harness.ExitUsage, c.says)
			}
		})
	}
}

// left are processes, links, mounts and cgroups that a launch can leave.
func left(t testing.TB) map[string]string {
	t.Helper()
	l := map[string]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		cmdline, _ := os.ReadFile(d + "/cmdline")
		env, _ := os.ReadFile(d + "/environ")
		if s := string(cmdline); strings.Contains(s, marker) || strings.Contains(s, binary) || strings.Contains(string(env), marker) {
			l[d] = strings.ReplaceAll(s, "\x00", " ")
		}
		// The agent inherits our working directory and nothing else of note: it is told by its executable.
		exe, _ := os.Readlink(d + "/exe")
		if cwd, _ := os.Readlink(d + "/cwd"); strings.HasPrefix(exe, "/memfd:") && cwd == here {
			l[d] = exe
		}
	}
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		l["mount "+line] = ""
	}
	links, _ := filepath.Glob("/sys/class/net/" + ownLink())
	for _, n := range links {
		l[n] = ""
	}
	for _, top := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		groups, _ := filepath.Glob(top + marker + "*")
		for _, g := range groups {
			l[g] = ""
		}
	}
	return l
}

var (
	marker  = "holdshort-cmd-test-" + strconv.Itoa(os.Getpid())
	here, _ = os.Getwd()
)

func ownLink() string { return "hc" + strconv.Itoa(os.Getpid()%100000) }

func leavesNothing(t *testing.T, f func()) {
	t.Helper()
	before := left(t)
	// What an earlier launch left to the kernel may still be on its way out.
	for range 1500 {
		if _, err := os.Stat("/sys/class/net/" + ownLink()); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the kernel has no event for the end of a namespace
		before = left(t)
	}
	f()
	var after map[string]string
	for range 1500 { // network namespaces end one after the other, those of everybody
		if after = left(t); maps.Equal(before, after) {
			return
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the kernel has no event for the end of a namespace
	}
	for k, v := range after {
		if _, ok := before[k]; !ok {
			t.Errorf("left behind: %s %s", k, v)
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			t.Errorf("taken away: %s", k)
		}
	}
}

func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become somebody else")
	}
	for name, args := range map[string][]string{
		"plain":           {"run", "--", "/bin/true"},
		"user namespace":  {"run", "--ns", "user,mnt,pid", "--", "/bin/true"},
		"other ids":       {"run", "--user", "5", "--", "/bin/true"},
		"cgroup":          {"run", "--cgroup", "/sys/fs/cgroup/" + marker + "-x", "--", "/bin/true"},
		"mount namespace": {"run", "--ns", "mnt", "--", "/bin/true"},
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t, func() {
				cmd := exec.Command(binary, args...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				o := start(t, cmd, nil)()
				if o.code != harness.ExitUnsupported && o.code != harness.ExitFault {
					t.Errorf("exit status %d; want %d or %d", o.code, harness.ExitUnsupported, harness.ExitFault)
				}
				if strings.Contains(o.errors, "constrained") || strings.Contains(o.errors, "goroutine ") || o.errors == "" {
					t.Errorf("stderr %s", o.errors)
				}
				if !strings.Contains(o.errors, "CAP_") && !strings.Contains(o.errors, "EPERM") && !strings.Contains(o.errors, "EACCES") && !strings.Contains(o.errors, "permission denied") && !strings.Contains(o.errors, "read-only") {
					t.Errorf("stderr does not say what is missing: %s", o.errors)
				}
			})
		})
	}
}

func TestJSON(t *testing.T) {
	verifies(t)
	name := filepath.Join(t.TempDir(), "report.json")
	o := holdshort(t, "run", "--json", "--report", name, "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 3")
	if o.code != 3 {
		t.Errorf("exit status %d; want 3", o.code)
	}
	var reports []harness.Report
	for d := json.NewDecoder(strings.NewReader(o.out)); ; {
		var r harness.Report
		if err := d.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("stdout is no JSON: %v\n%.300s", err, o.out)
		}
		reports = append(reports, r)
	}
	if len(reports) != 1 || reports[0].Schema != 1 || reports[0].Verdict != harness.Constrained || reports[0].Workload.ExitCode != 3 || len(reports[0].Snapshots) < 3 {
		t.Errorf("%d reports: %.500s", len(reports), o.out)
	}
	for _, want := range []string{"out\n", "err\n"} {
		if !strings.Contains(o.errors, want) {
			t.Errorf("stderr lacks the workload's %q: %s", want, o.errors)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := harness.ReadReport(b)
	if err != nil || r.Verdict != harness.Constrained {
		t.Errorf("report file: %v %+v", err, r)
	}
}

// TestReportIsReplaced watches the file while it is written again and again.
func TestReportIsReplaced(t *testing.T) {
	verifies(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "report.json")
	run := func() func() outcome {
		return start(t, exec.Command(binary, "run", "-q", "--report", name, "--", "/bin/true"), nil)
	}
	run()()
	for range 3 {
		done := make(chan outcome)
		wait := run()
		go func() { done <- wait() }()
		for reading := true; reading; {
			select {
			case o := <-done:
				if reading = false; o.code != 0 {
					t.Errorf("%+v", o)
				}
			default:
			}
			if b, err := os.ReadFile(name); err != nil || !json.Valid(b) {
				t.Fatalf("half a report: %v, %d bytes", err, len(b))
			}
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files; want the report alone", len(files))
	}
	o := holdshort(t, "run", "--report", "/nonexistent/report.json", "--", "/bin/true")
	if o.code == 0 || !strings.Contains(o.errors, "/nonexistent") {
		t.Errorf("a report that cannot be written: %+v", o)
	}
}

func TestStatusIsPassedOn(t *testing.T) {
	verifies(t)
	for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9} {
		if o := holdshort(t, "run", "-q", "--", "/bin/sh", "-c", script); o.code != code || o.errors != "" {
			t.Errorf("%s: %+v; want status %d", script, o, code)
		}
	}
	leavesNothing(t, func() {
		begun := time.Now()
		o := holdshort(t, "run", "--timeout", "200ms", "--", "/bin/sleep", "1000")
		if o.code != 128+9 || time.Since(begun) > 5*time.Minute || !strings.Contains(o.errors, "holdshort: timeout of 200ms in phase run: killed by SIGKILL\n") {
			t.Errorf("timeout: %+v after %s", o, time.Since(begun))
		}
	})
}

// TestFlags runs what the flags ask for.
func TestFlags(t *testing.T) {
	verifies(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"5 6 6 7 8\n", []string{"--user", "5:6,7,8", "--", "/bin/sh", "-c", "echo $(id -u) $(id -g) $(id -G)"}},
		{"5 6 6 7 8\n", []string{"--user", "5:6:7,8", "--", "/bin/sh", "-c", "echo $(id -u) $(id -g) $(id -G)"}},
		{"64\n", []string{"--rlimit", "nofile=64:128", "--", "/bin/sh", "-c", "ulimit -n"}},
		{"0027\n", []string{"--umask", "027", "--", "/bin/sh", "-c", "umask"}},
		{"/tmp\n", []string{"--cwd", "/tmp", "--", "/bin/sh", "-c", "pwd"}},
		{"A=1\n", []string{"-e", "A=1", "--", "/usr/bin/env"}},
		{"box\n", []string{"--ns", "uts", "--hostname", "box", "--", "/bin/uname", "-n"}},
	} {
		o := holdshort(t, append([]string{"run", "-q"}, c.args...)...)
		if strings.HasPrefix(c.args[1], "5:6,") {
			if o.code != harness.ExitUsage { // a comma where the groups' colon must be
				t.Errorf("%v: %+v", c.args, o)
			}
			continue
		}
		if o.code != 0 || o.out != c.want || o.errors != "" {
			t.Errorf("%v: %+v; want %q", c.args, o, c.want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	verifies(t)
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM} {
		leavesNothing(t, func() {
			cmd := exec.Command(binary, "run", "--", "/bin/sh", "-c", "echo ready; exec sleep 1000")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = w, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			if _, err := io.ReadFull(r, make([]byte, 6)); err != nil {
				t.Fatal(err, errs.String())
			}
			_ = cmd.Process.Signal(sig)
			timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait()
			timer.Stop()
			if code := cmd.ProcessState.ExitCode(); code != 128+9 || !strings.Contains(errs.String(), "killed by signal") {
				t.Errorf("%s: status %d\n%s", unix.SignalName(sig), code, errs.String())
			}
		})
	}
}

// TestKilled kills the command without notice, from early to late.
func TestKilled(t *testing.T) {
	verifies(t)
	args := []string{"run", "--ns", "mnt,pid,net,uts,ipc", "--proc", "--loopback", "--veth", "inner:" + ownLink(), "-e", "MARK=" + marker}
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.procs"); err == nil {
		args = append(args, "--cgroup", "/sys/fs/cgroup/unified/"+marker)
	} else if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil {
		args = append(args, "--cgroup", "/sys/fs/cgroup/"+marker)
	}
	args = append(args, "--", "/bin/sleep", "1000")
	begun := time.Now()
	if o := holdshort(t, append([]string{"run", "--timeout", "1ms"}, args[1:]...)...); o.code == harness.ExitUsage {
		t.Fatal(o.errors)
	}
	whole := time.Since(begun)
	t.Run("census", func(t *testing.T) {
		leavesNothing(t, func() {
			before := left(t)
			cmd := exec.Command(binary, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			most := 0
			for range 6000 { // half a minute: nobody waits so long but on a machine that is overloaded
				if most = len(left(t)) - len(before); most >= 4 {
					break
				}
				time.Sleep(5 * time.Millisecond) //nolint:forbidigo // a test's poll of /proc
			}
			if most < 4 { // the command, its agent, the workload, and its link or cgroup
				t.Errorf("%d things of a running workload are seen: the test shows nothing", most)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	})
	for i := range 11 {
		at := whole * time.Duration(i) / 8
		t.Run(fmt.Sprintf("at %d eighths", i), func(t *testing.T) {
			leavesNothing(t, func() {
				cmd := exec.Command(binary, args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(at) //nolint:forbidigo // any moment will do
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
		})
	}
}

// A bundle with a terminal ends with its input, be that no terminal at all.
func TestTerminalWithoutOne(t *testing.T) {
	verifies(t)
	dir := t.TempDir()
	config := `{"ociVersion": "1.0.2", "process": {"terminal": true, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sh", "-c", "test -t 0 && cat && cat && stty size"], "env": ["PATH=/usr/bin:/bin"]}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	o := start(t, exec.Command(binary, "run", "--bundle", dir), strings.NewReader("hello\n"))()
	if o.code != 0 || !strings.Contains(o.out, "hello") || !strings.Contains(o.out, "24 80") {
		t.Errorf("%+v", o)
	}
	if !strings.Contains(o.errors, "constrained") || !strings.Contains(o.errors, "process.terminal: our standard input is no terminal") {
		t.Errorf("says %s", o.errors)
	}
}
