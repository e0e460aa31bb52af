package checkpoint

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Cases of docs/parity.md that no other test has.

func TestParity_RequestIsCheckedFirst(t *testing.T) {
	l := newLauncher(t)
	for name, cfg := range map[string]Config{
		"no program":         {},
		"NUL in an argument": {Args: []string{"/bin/true", "a\x00b"}},
		"NUL in the path":    {Args: []string{"/bin/true\x00x"}},
		"unknown namespace":  {Args: sleeper, Namespaces: []Namespace{{Kind: "mount"}}},
		"environment":        {Args: sleeper, Env: []string{"novalue"}},
		"NUL in cwd":         {Args: sleeper, Cwd: "/\x00"},
	} {
		var e *Error
		if _, err := l.Spawn(bg, &cfg, nil); !errors.As(err, &e) || e.Stage != StageConfig || !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v; want EINVAL at the stage config", name, err)
		}
	}
	if n := len(childrenOf(l.AgentPID())); n != 0 {
		t.Errorf("%d children of refused requests", n)
	}
}

func TestParity_PIDsInsideAndOutside(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	w := spawn(t, l, Config{Namespaces: []Namespace{{Kind: PID}}}, nil)
	i := w.Info()
	if i.HostPID <= 1 || i.PID != 1 || i.HostPID != w.HostPID() {
		t.Errorf("%+v; want process 1 inside, another outside", i)
	}
	_ = w.Kill()
	result(t, w)
	if after := w.Info(); after.HostPID != i.HostPID || after.State != Signaled {
		t.Errorf("after the end %+v; want the same pid", after)
	}
}

func TestParity_FreshNetworkHasOnlyLo(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	out := output(t, l, Config{Namespaces: []Namespace{{Kind: Net}}}, "grep -c : /proc/self/net/dev; grep lo: /proc/self/net/dev")
	if !strings.HasPrefix(out, "1\n") || !strings.Contains(out, "lo:") {
		t.Errorf("devices: %s", out)
	}
}

func TestParity_CwdAndLaterArguments(t *testing.T) {
	l := newLauncher(t)
	if out := output(t, l, Config{Cwd: "/usr"}, "pwd"); out != "/usr" {
		t.Errorf("cwd %q", out)
	}
	r, err := l.Run(bg, &Config{Args: []string{"/bin/sh", "-c", `exit "$1"`, "sh", "42"}}, nil)
	if err != nil || r.ExitCode != 42 {
		t.Errorf("%s %v; want 42", r, err)
	}
	var e *Error
	if _, err := l.Start(bg, &Config{Args: sleeper, Cwd: "/nonexistent"}, nil); !errors.As(err, &e) || e.Stage != StageCwd || !errors.Is(err, unix.ENOENT) {
		t.Errorf("missing cwd: %v", err)
	}
}

func TestParity_NothingIsTheDefaultForStdio(t *testing.T) {
	l := newLauncher(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wl, err := l.Start(bg, &Config{Args: []string{"/bin/sh", "-c", "cat; echo out; echo err >&2; stat -L -c %t:%T /proc/self/fd/0 >&2"}}, &Options{Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(r)
	result(t, wl)
	if string(out) != "err\n1:3\n" {
		t.Errorf("%q; want /dev/null, and stderr as given", out)
	}
}

// The host connects, so the socket's path is the host's, whatever namespaces
// the workload is in; nothing is sent before it proceeds, and its end is EOF.
func TestParity_SocketAsStdio(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	path := t.TempDir() + "/s"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	f, err := c.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	w := spawn(t, l, Config{
		Args: []string{"/bin/sh", "-c", "read x; echo got $x"}, Namespaces: []Namespace{{Kind: Mnt}, {Kind: Net}},
		Mounts: []Mount{{Target: "/tmp", Type: "tmpfs"}},
	}, &Options{Stdin: f, Stdout: f})
	f.Close()
	raw, err := far.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		if n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT|unix.MSG_PEEK); err != unix.EAGAIN {
			t.Errorf("before proceed: %d bytes, %v; want none", n, err)
		}
	})
	proceed(t, w)
	if _, err := far.Write([]byte("it\n")); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(far); err != nil || string(out) != "got it\n" {
		t.Errorf("%q %v; want the answer and EOF", out, err)
	}
	result(t, w)
	if _, err := net.Dial("unix", path+"x"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("nobody listens: %v", err)
	}
}

// A terminal has its size before the program runs, may be written to before,
// and both are harmless after the end.
func TestParity_TerminalBeforeAndAfter(t *testing.T) {
	l := newLauncher(t)
	master, slave, err := OpenPTY(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	w := spawn(t, l, Config{Args: []string{"/bin/sh", "-c", "stty size; read x; echo got $x"}, Env: []string{"PATH=/usr/bin:/bin"}},
		&Options{Stdin: slave, Stdout: slave, Stderr: slave, Terminal: true})
	slave.Close()
	if err := SetSize(master, 11, 22); err != nil {
		t.Fatal(err)
	}
	if _, err := master.WriteString("early\n"); err != nil {
		t.Fatal(err)
	}
	proceed(t, w)
	out, _ := io.ReadAll(master)
	if s := string(out); !strings.Contains(s, "11 22") || !strings.Contains(s, "got early") {
		t.Errorf("%q", s)
	}
	result(t, w)
	if err := SetSize(master, 1, 1); err != nil {
		t.Errorf("size after the end: %v", err)
	}
	master.Close()
	if err := SetSize(master, 1, 1); err == nil {
		t.Error("size of a closed terminal: no error")
	}
}

func TestParity_Capabilities(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	const chown, kill, netRaw, setpcap = 0, 5, 13, 8
	caps := func(cfg Config) map[string]string {
		m := map[string]string{}
		for l := range strings.Lines(output(t, l, cfg, "grep Cap /proc/self/status; exec true")) {
			k, v, _ := strings.Cut(l, ":")
			m[k] = strings.TrimSpace(v)
		}
		return m
	}
	bit := func(s string, n int) bool { v, _ := strconv.ParseUint(s, 16, 64); return v>>n&1 == 1 }
	full, err := readEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	// Dropped from the bounding set, they are gone over every execve.
	m := caps(Config{Capabilities: Capabilities{Bounding: Some(full.bounding &^ (1<<netRaw | 1<<chown))}})
	for _, set := range []string{"CapBnd", "CapPrm", "CapEff"} {
		if bit(m[set], netRaw) || bit(m[set], chown) || !bit(m[set], kill) {
			t.Errorf("%s %s", set, m[set])
		}
	}
	// Thread sets alone come back for root; with the bounding set they do not.
	only := Some(CapSet(1<<kill | 1<<setpcap))
	if m = caps(Config{Capabilities: Capabilities{Permitted: only, Effective: only, Inheritable: only}}); !bit(m["CapEff"], chown) {
		t.Errorf("without the bounding set %v; want all of it again", m)
	}
	if m = caps(Config{Capabilities: Capabilities{Permitted: only, Effective: only, Inheritable: only, Bounding: only}}); bit(m["CapEff"], chown) || !bit(m["CapEff"], kill) {
		t.Errorf("with the bounding set %v", m)
	}
	// Ambient.
	one := Some(CapSet(1 << kill))
	m = caps(Config{UID: Some[uint32](1000), Capabilities: Capabilities{one, one, one, one, one}})
	if m["CapAmb"] != "0000000000000020" || m["CapEff"] != "0000000000000020" {
		t.Errorf("ambient: %v", m)
	}
	// What cannot be ends the launch, and nothing ran.
	var e *Error
	none := Some(CapSet(0))
	w := spawn(t, l, Config{Capabilities: Capabilities{Ambient: one, Inheritable: none}}, nil)
	if err := w.Proceed(bg); !errors.As(err, &e) || e.Stage != StageAmbient || !errors.Is(err, unix.EPERM) {
		t.Errorf("ambient without inheritable: %v", err)
	}
	if r := result(t, w); r.Ran || r.State != Failed {
		t.Errorf("%+v", r)
	}
	if lacking := full.all &^ full.caps; lacking != 0 {
		w = spawn(t, l, Config{Capabilities: Capabilities{Permitted: Some(full.caps | lacking)}}, nil)
		if err := w.Proceed(bg); !errors.As(err, &e) || e.Stage != StageCaps || !errors.Is(err, unix.EPERM) {
			t.Errorf("a capability that the agent has not: %v", err)
		}
		result(t, w)
	}
	// Running, and after the end, they are refused.
	w = start(t, l, Config{}, nil)
	for _, patch := range []Capabilities{{Bounding: none}, {Permitted: none}, {Ambient: none}} {
		if err := w.Apply(bg, &Config{Capabilities: patch}); !errors.Is(err, ErrNotParked) {
			t.Errorf("running: %v; want ErrNotParked", err)
		}
	}
	_ = w.Kill()
	result(t, w)
	if err := w.Apply(bg, &Config{Capabilities: Capabilities{Bounding: none}}); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v; want ErrEnded", err)
	}
}

func TestParity_MapsAreGivenAtBirth(t *testing.T) {
	l := newLauncher(t)
	w := spawn(t, l, Config{}, nil)
	for name, patch := range map[string]Config{
		"uid map": {UIDMap: rootMap()}, "gid map": {GIDMap: rootMap()}, "setgroups": {DenySetgroups: true}, "init": {Init: true},
	} {
		if err := w.Apply(bg, &patch); !errors.Is(err, ErrBirth) {
			t.Errorf("%s: %v; want ErrBirth", name, err)
		}
	}
	if err := w.Abort(bg); err != nil {
		t.Error(err)
	}
}
