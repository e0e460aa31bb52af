package checkpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newLauncher(t testing.TB) *Launcher {
	t.Helper()
	l, err := New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// rounds is how often a test does what it repeats: an eighth of n with -short,
// as in guests whose processor is translated.
func rounds(n int) int {
	if testing.Short() {
		return max(n/8, 2)
	}
	return n
}

// needRoot skips a test that needs privilege over the host's namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// output runs a shell script as the workload and returns what it printed.
func output(t testing.TB, l *Launcher, cfg Config, script string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg.Args = []string{"/bin/sh", "-c", script}
	cfg.Env = append(cfg.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	res, err := l.Start(context.Background(), &cfg, &Options{Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(r)
	if got, _ := res.Wait(context.Background()); got.State != Exited || got.ExitCode != 0 {
		t.Errorf("%s: %s\n%s", script, got, out)
	}
	return strings.TrimSpace(string(out))
}

func all() []Namespace {
	var ns []Namespace
	for _, k := range []NamespaceKind{User, Mnt, PID, Net, UTS, IPC, Cgroups, Time} {
		ns = append(ns, Namespace{Kind: k})
	}
	return ns
}

func rootMap() []IDMap { return []IDMap{{0, 100000, 65536}} }

func TestAllNamespaces(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{
		Namespaces: all(), UIDMap: rootMap(), GIDMap: rootMap(), Hostname: Some("box"),
		TimeOffsets: TimeOffsets{Boottime: 1000 * time.Hour}, Network: Network{LoopbackUp: true},
		Mounts: []Mount{{Target: "/proc", Type: "proc", Options: []string{"nosuid"}}},
	}
	out := output(t, l, cfg, "hostname; echo $$; id -u; cat /proc/self/uid_map; cut -d. -f1 /proc/uptime; ip -o addr show lo | head -1; ls -l /proc/self/fd; for n in /proc/self/ns/*; do readlink $n; done")
	t.Log(out)
	lines := strings.Fields(out)
	if lines[0] != "box" || lines[1] != "1" || lines[2] != "0" {
		t.Error(lines[:3])
	}
	for _, k := range []string{"user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time"} {
		own, err := os.Readlink("/proc/self/ns/" + k)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, own) {
			t.Errorf("workload shares %s", own)
		}
	}
}

func TestVethWhileParked(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{Namespaces: []Namespace{{Kind: Net}}, Network: Network{
		LoopbackUp: true, Links: []Link{{
			Kind: Veth, Name: "eth0", Host: "hstest0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")},
			HostAddresses: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24")},
		}},
		Routes: []Route{{Gateway: netip.MustParseAddr("10.77.0.1")}},
	}}
	t.Log(output(t, l, cfg, "ip addr; ip route"))
}

func TestExecFailure(t *testing.T) {
	l := newLauncher(t)
	w, err := l.Spawn(context.Background(), &Config{Args: []string{"/nonexistent"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = w.Proceed(context.Background())
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageExec || !errors.Is(err, unix.ENOENT) {
		t.Fatalf("%v", err)
	}
	t.Log(err)
	if err := w.Proceed(context.Background()); err == nil {
		t.Error("second proceed")
	}
}

func TestJoin(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/sleep", "100"}, Namespaces: all(), UIDMap: rootMap(), GIDMap: rootMap()}
	first, err := l.Start(context.Background(), &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	join := Config{}
	for _, n := range all() {
		join.Namespaces = append(join.Namespaces, Namespace{Kind: n.Kind, PID: first.HostPID()})
	}
	for _, k := range []string{"user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time"} {
		want[k], _ = os.Readlink("/proc/" + itoa(first.HostPID()) + "/ns/" + k)
	}
	join.Mounts = []Mount{{Target: "/proc", Type: "proc"}}
	out := output(t, l, join, "for n in /proc/self/ns/*; do readlink $n; done; id -u; echo $$")
	for k, v := range want {
		if !strings.Contains(out, v) {
			t.Errorf("%s not joined: want %s in\n%s", k, v, out)
		}
	}
	if err := first.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	res, _ := first.Wait(context.Background())
	if res.State != Signaled || !res.Ran {
		t.Errorf("%+v", res)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func BenchmarkRun(b *testing.B) {
	l := newLauncher(b)
	for name, ns := range map[string][]Namespace{"none": nil, "all": all()} {
		b.Run(name, func(b *testing.B) {
			cfg := Config{Args: []string{os.Getenv("BENCH_TRUE")}, Namespaces: ns}
			if ns != nil {
				cfg.UIDMap, cfg.GIDMap = rootMap(), rootMap()
			}
			for b.Loop() {
				r, err := l.Run(context.Background(), &cfg, nil)
				if err != nil || r.State != Exited {
					b.Fatal(r, err)
				}
			}
		})
	}
}

// The same names can be used again as soon as a workload has ended.
func TestVethNameIsFree(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/true"}, Namespaces: []Namespace{{Kind: Net}}, Network: Network{
		Links: []Link{{Kind: Veth, Name: "eth0", Host: "hsagain0"}},
	}}
	for i := range 20 {
		if r, err := l.Run(bg, &cfg, nil); err != nil || r.State != Exited {
			t.Fatalf("launch %d: %v %v", i, r, err)
		}
	}
}

// A device that somebody else has under the name is refused, and left alone.
func TestVethNameIsTaken(t *testing.T) {
	needRoot(t)
	l := newLauncher(t)
	cfg := Config{Args: []string{"/bin/sleep", "1000"}, Namespaces: []Namespace{{Kind: Net}}, Network: Network{
		Links: []Link{{Kind: Veth, Name: "eth0", Host: "hstaken0"}},
	}}
	first, err := l.Start(bg, &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Start(bg, &cfg, nil)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageNetwork || !errors.Is(err, unix.EEXIST) {
		t.Errorf("second with the same name: %v; want EEXIST", err)
	}
	if _, err := net.InterfaceByName("hstaken0"); err != nil {
		t.Errorf("the first one's device: %v", err)
	}
	if err := first.Kill(); err != nil {
		t.Error(err)
	}
	result(t, first)
	if _, err := net.InterfaceByName("hstaken0"); err == nil {
		t.Error("the device is still there")
	}
}
