package checkpoint

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/internal/exitzero"
	"golang.org/x/sys/unix"
)

// runProgram starts a program that is an open file and returns what it printed.
func runProgram(t *testing.T, l *Launcher, cfg *Config, program *os.File, number int) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	res, err := l.Start(context.Background(), cfg, &Options{Stdout: w, Program: program, ProgramNumber: number})
	w.Close()
	if err != nil {
		return "", err
	}
	out, _ := io.ReadAll(r)
	if got, _ := res.Wait(context.Background()); got.State != Exited || got.ExitCode != 0 {
		t.Errorf("%s\n%s", got, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func pathOnly(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// needShell skips where /bin/sh is one of many programs in one file, which
// chooses by its first argument which of them it is.
func needShell(t *testing.T) {
	t.Helper()
	if real, _ := filepath.EvalSymlinks("/bin/sh"); filepath.Base(real) == "busybox" {
		t.Skip("needs a shell that may be called anything, which that of busybox may not")
	}
}

// The first argument is not the program's name, also for a script, where execve
// puts the interpreter and the path in its place (execve(2), "Interpreter
// scripts").
func TestArgumentZero(t *testing.T) {
	needShell(t)
	l := newLauncher(t)
	show := "tr '\\0' ' ' </proc/$$/cmdline"
	cfg := Config{Path: "/bin/sh", Args: []string{"-another name", "-c", show}, Env: []string{"PATH=/usr/bin:/bin"}}
	if got, err := runProgram(t, l, &cfg, nil, 0); err != nil || !strings.HasPrefix(got, "-another name -c") {
		t.Errorf("program: %q %v", got, err)
	}
	name := script(t, "#!/bin/sh -u\n"+show+"\n")
	cfg = Config{Path: name, Args: []string{"another name", "one"}, Env: []string{"PATH=/usr/bin:/bin"}}
	if got, err := runProgram(t, l, &cfg, nil, 0); err != nil || got != "/bin/sh -u "+name+" one" {
		t.Errorf("script: %q %v", got, err)
	}
}

func TestProgramByDescriptor(t *testing.T) {
	needRoot(t)
	needShell(t)
	l := newLauncher(t)
	sh := pathOnly(t, "/bin/sh")
	show := "echo $0; ls -1 /proc/$$/fd"
	cfg := Config{Args: []string{"me", "-c", show}, Env: []string{"PATH=/usr/bin:/bin"}}
	if got, err := runProgram(t, l, &cfg, sh, 0); err != nil || strings.Join(strings.Fields(got), " ") != "me 0 1 2" {
		t.Errorf("closed: %q %v", got, err)
	}
	if got, err := runProgram(t, l, &cfg, sh, 9); err != nil || strings.Join(strings.Fields(got), " ") != "me 0 1 2 9" {
		t.Errorf("kept: %q %v", got, err)
	}

	// Which file it is was settled when it was opened: a rename changes nothing.
	name := script(t, "#!/bin/sh\necho first $0 $1\n")
	f := pathOnly(t, name)
	if err := os.Rename(script(t, "#!/bin/sh\necho second\n"), name); err != nil {
		t.Fatal(err)
	}
	cfg = Config{Args: []string{"x", "one"}}
	if got, err := runProgram(t, l, &cfg, f, 7); err != nil || got != "first /dev/fd/7 one" {
		t.Errorf("script: %q %v", got, err)
	}
	_, err := runProgram(t, l, &cfg, f, 0)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageExec || !errors.Is(err, unix.ENOENT) || !strings.Contains(e.Hint, "number to stay open") {
		t.Errorf("script without a number: %v", err)
	}

	// Passed files may have any numbers, also those that the launcher used.
	var files []PassedFile
	for n := 3; n < 12; n++ {
		files = append(files, PassedFile{Number: n, File: sh})
	}
	files = append(files, PassedFile{Number: 512, File: f}, PassedFile{Number: 513, File: sh})
	r, w, _ := os.Pipe()
	defer r.Close()
	show = "readlink /proc/$$/fd/512 /proc/$$/fd/513"
	cfg = Config{Args: []string{"me", "-c", show}, Env: []string{"PATH=/usr/bin:/bin"}}
	res, err := l.Run(context.Background(), &cfg, &Options{Stdout: w, Program: sh, ProgramNumber: 14, Files: files})
	w.Close()
	out, _ := io.ReadAll(r)
	if err != nil || res.State != Exited || !strings.HasPrefix(string(out), name) || !strings.HasSuffix(strings.TrimSpace(string(out)), "sh") {
		t.Errorf("%v %v %q", res, err, out)
	}
}

// A program from outside runs in a root that does not have it.
func TestProgramFromOutsideTheRoot(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	image := pathOnly(t, script(t, string(exitzero.ELF())))
	res, err := l.Run(context.Background(), &Config{
		Args: []string{"tiny"}, Namespaces: []Namespace{{Kind: Mnt}}, Root: Root{Path: t.TempDir()},
	}, &Options{Program: image})
	var e *Error
	if errors.As(err, &e) || errors.As(res.Err, &e) {
		// TOMOYO looks up the name of the descriptor, for which there is nothing here; since commit ada1986d0797 it
		// then takes the path (security/tomoyo/domain.c).
		if lsm, _ := os.ReadFile("/sys/kernel/security/lsm"); e.Stage == StageExec && errors.Is(e, unix.ENOENT) && strings.Contains(string(lsm), "tomoyo") {
			t.Skip("needs a kernel whose TOMOYO takes a program by descriptor in a root without /dev: ", e)
		}
	}
	if err != nil || res.State != Exited || res.ExitCode != 0 {
		t.Errorf("%v %v", res, err)
	}
}

func TestSubreaper(t *testing.T) {
	l := newLauncher(t)
	// The middle shell ends; its child then says who its parent is.
	const orphan = `sh -c '(sleep 0.3; read a b c d e </proc/self/stat; echo $d) &'; sleep 0.8; echo $$`
	got := strings.Fields(output(t, l, Config{Subreaper: true}, orphan))
	if len(got) != 2 || got[0] != got[1] {
		t.Errorf("the orphan's parent and the workload are %q", got)
	}
	without := strings.Fields(output(t, l, Config{}, orphan))
	if len(without) != 2 || without[0] == without[1] {
		t.Errorf("without it the orphan's parent is the workload too")
	}
}

// The workload is the foreground process group of the terminal that it gets:
// TIOCSCTTY by a session leader makes it so.
func TestForeground(t *testing.T) {
	l := newLauncher(t)
	master, slave, err := OpenPTY(24, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	r, w, _ := os.Pipe()
	defer r.Close()
	cfg := Config{Args: []string{"/bin/sh", "-c", "read a b c d group e f front g </proc/self/stat; echo $group $front"}}
	res, err := l.Run(context.Background(), &cfg, &Options{Stdin: slave, Stdout: w, Stderr: w, Terminal: true})
	w.Close()
	out, _ := io.ReadAll(r)
	got := strings.Fields(string(out))
	if err != nil || res.ExitCode != 0 || len(got) != 2 || got[0] != got[1] {
		t.Errorf("%v %v: process group and foreground group are %q", res, err, out)
	}
}

func TestProcessGroup(t *testing.T) {
	l := newLauncher(t)
	const show = "read pid b c d group session f </proc/self/stat; echo $pid $group $session"
	got := strings.Fields(output(t, l, Config{ProcessGroup: true}, show))
	if len(got) != 3 || got[0] != got[1] || got[0] == got[2] {
		t.Errorf("pid, group, session: %q", got)
	}
	got = strings.Fields(output(t, l, Config{ProcessGroup: true, Session: true}, show))
	if len(got) != 3 || got[0] != got[1] || got[0] != got[2] {
		t.Errorf("with a session: pid, group, session: %q", got)
	}
}

// unlessRefused skips what kernel or processor do not have, by its name, and
// fails if the refusal says nothing useful.
func unlessRefused(t *testing.T, err error, stage Stage, errnos ...unix.Errno) {
	t.Helper()
	if err == nil {
		return
	}
	var e *Error
	if !errors.As(err, &e) || e.Stage != stage || e.Hint == "" {
		t.Fatalf("%v; want an error at %s with a hint", err, stage)
	}
	for _, n := range errnos {
		if errors.Is(err, n) {
			t.Skip("needs another kernel or processor: " + err.Error())
		}
	}
	t.Fatal(err)
}

func TestSpeculation(t *testing.T) {
	l := newLauncher(t)
	for name, c := range map[string]struct {
		ask  Speculation
		line string
	}{
		"store bypass disabled":    {Speculation{StoreBypass: "disable"}, "Speculation_Store_Bypass:\tthread mitigated"},
		"store bypass forced":      {Speculation{StoreBypass: "force-disable"}, "Speculation_Store_Bypass:\tthread force mitigated"},
		"indirect branch disabled": {Speculation{IndirectBranch: "disable"}, "SpeculationIndirectBranch:\tconditional disabled"},
		"indirect branch forced":   {Speculation{IndirectBranch: "force-disable"}, "SpeculationIndirectBranch:\tconditional force disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Args: []string{"/bin/grep", "-q", c.line, "/proc/self/status"}, Speculation: c.ask}
			res, err := l.Run(context.Background(), &cfg, nil)
			if err == nil {
				err = res.Err
			}
			unlessRefused(t, err, StageSpec, unix.ENXIO, unix.EPERM, unix.ENODEV)
			if res.State != Exited || res.ExitCode != 0 {
				t.Errorf("%s: /proc/self/status does not say %q", res, c.line)
			}
		})
	}
	if err := (&Config{Args: []string{"x"}, Speculation: Speculation{StoreBypass: "off"}}).Validate(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an unknown word: %v", err)
	}
}

// Where a security module is not active, a label is refused and not forgotten.
func TestLabels(t *testing.T) {
	l := newLauncher(t)
	t.Run("apparmor", func(t *testing.T) {
		res, err := l.Run(context.Background(), &Config{Args: []string{"/bin/grep", "-q", "^unconfined", "/proc/self/attr/apparmor/current"}, LSM: LSM{AppArmor: "unconfined"}}, nil)
		if err == nil {
			err = res.Err
		}
		unlessRefused(t, err, StageLSM, unix.ENOENT, unix.EINVAL)
		if res.State != Exited || res.ExitCode != 0 {
			t.Error(res)
		}
	})
	t.Run("selinux", func(t *testing.T) {
		label, err := os.ReadFile("/proc/self/attr/current")
		if _, no := os.Stat("/sys/fs/selinux/enforce"); no != nil || err != nil {
			label = []byte("system_u:system_r:container_t:s0")
		}
		text := strings.TrimRight(string(label), "\x00\n")
		res, err := l.Run(context.Background(), &Config{Args: []string{"/bin/grep", "-q", "^" + text, "/proc/self/attr/current"}, LSM: LSM{SELinux: text}}, nil)
		if err == nil {
			err = res.Err
		}
		unlessRefused(t, err, StageLSM, unix.ENOENT, unix.EINVAL)
		if res.State != Exited || res.ExitCode != 0 {
			t.Error(res)
		}
	})
	// Passed files may take the number that the agent has /proc at; the label
	// must not be written into one of them.
	t.Run("descriptor of proc overwritten", func(t *testing.T) {
		dir, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		attr := filepath.Join(dir.Name(), "self", "attr")
		if err := os.MkdirAll(filepath.Join(attr, "apparmor"), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"exec", "apparmor/exec"} {
			if err := os.WriteFile(filepath.Join(attr, f), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var files []PassedFile
		for n := 3; n < 40 && len(files) < 12; n++ {
			files = append(files, PassedFile{Number: n, File: dir})
		}
		_, _ = l.Run(context.Background(), &Config{Args: []string{"/bin/true"}, LSM: LSM{AppArmor: "unconfined", SELinux: "a:b:c:s0"}}, &Options{Files: files})
		for _, f := range []string{"exec", "apparmor/exec"} {
			if b, _ := os.ReadFile(filepath.Join(attr, f)); len(b) > 0 {
				t.Errorf("%s got %q", f, b)
			}
		}
	})
}
