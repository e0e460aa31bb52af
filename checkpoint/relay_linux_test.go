package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// digest is a writer that may be slow: it lets others run between small pieces.
type digest struct {
	slow bool
	n    atomic.Int64
	mu   sync.Mutex
	sum  hash.Hash
}

func newDigest(slow bool) *digest { return &digest{slow: slow, sum: sha256.New()} }

func (d *digest) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for rest := b; len(rest) > 0; {
		n := len(rest)
		if d.slow {
			n = min(n, 512)
			for range 200 {
				runtime.Gosched()
			}
		}
		d.sum.Write(rest[:n])
		d.n.Add(int64(n))
		rest = rest[n:]
	}
	return len(b), nil
}

func (d *digest) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%d bytes %x", d.n.Load(), d.sum.Sum(nil)[:8])
}

// onTerminal runs a shell script on a terminal that a relay serves.
func onTerminal(t *testing.T, l *Launcher, script string, in io.Reader, out io.Writer) (*Workload, *Relay) {
	t.Helper()
	master, slave, err := OpenPTY(24, 80)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := slave.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		// Neither echo nor lines nor conversion: every byte arrives as it is.
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS, &unix.Termios{Cflag: unix.CS8 | unix.CREAD, Cc: [19]uint8{unix.VMIN: 1}})
	})
	if err != nil {
		t.Fatal(err)
	}
	relay := NewRelay(master, in, out)
	t.Cleanup(func() { relay.Close() })
	w, err := l.Start(bg, &Config{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}},
		&Options{Stdin: slave, Stdout: slave, Stderr: slave, Terminal: true, Relay: relay})
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	return w, relay
}

func floods() []int64 {
	if testing.Short() {
		return []int64{64 << 10, 1 << 20}
	}
	return []int64{64 << 10, 1 << 20, 16 << 20}
}

// All output is there when the end is told, however much and however slow the
// reader is.
func TestRelay_OutputFlood(t *testing.T) {
	l := newLauncher(t)
	for _, size := range floods() {
		for _, slow := range []bool{false, true} {
			if slow && size > 1<<20 {
				size = 4 << 20
			}
			t.Run(fmt.Sprintf("%d KiB, slow %v", size>>10, slow), func(t *testing.T) {
				want := newDigest(false)
				for i, left := 1, size; left > 0; i++ {
					line := []byte(strconv.Itoa(i) + "\n")
					line = line[:min(int64(len(line)), left)]
					left -= int64(len(line))
					_, _ = want.Write(line)
				}
				got := newDigest(slow)
				w, relay := onTerminal(t, l, fmt.Sprintf("seq 1 100000000 | head -c %d", size), nil, got)
				if r, err := w.Wait(bg); err != nil || r.ExitCode != 0 {
					t.Fatal(r, err)
				}
				if got.String() != want.String() {
					t.Errorf("at the end %s; want %s", got, want)
				}
				if n, err := relay.Wait(); n != size || err != nil {
					t.Errorf("relay: %d bytes, %v", n, err)
				}
			})
		}
	}
}

// What is written to the terminal arrives, and comes back, byte for byte.
func TestRelay_FloodBothWays(t *testing.T) {
	l := newLauncher(t)
	for _, size := range floods() {
		t.Run(fmt.Sprintf("%d KiB", size>>10), func(t *testing.T) {
			text := make([]byte, size)
			for i := range text {
				text[i] = byte(i * 7 >> 3)
			}
			want, got := newDigest(false), newDigest(false)
			_, _ = want.Write(text)
			w, _ := onTerminal(t, l, fmt.Sprintf("head -c %d", size), bytes.NewReader(text), got)
			if r, err := w.Wait(bg); err != nil || r.ExitCode != 0 {
				t.Fatal(r, err)
			}
			if got.String() != want.String() {
				t.Errorf("%s; want %s", got, want)
			}
		})
	}
}

// A reader that stands still makes the program wait; nothing piles up here.
func TestRelay_BackPressure(t *testing.T) {
	l := newLauncher(t)
	gate := make(chan struct{})
	var taken atomic.Int64
	out := writerFunc(func(b []byte) (int, error) {
		<-gate
		taken.Add(int64(len(b)))
		return len(b), nil
	})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	size := int64(16 << 20)
	if testing.Short() {
		size = 4 << 20
	}
	w, _ := onTerminal(t, l, fmt.Sprintf("head -c %d /dev/zero", size), nil, out)
	// The program is stuck in write, and signals still reach it.
	stuck(t, w)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes of memory for a reader that stands still", grown)
	}
	select {
	case <-w.Done():
		t.Fatal("the end was told before the output was taken")
	default:
	}
	close(gate)
	result(t, w)
	if n := taken.Load(); n != size {
		t.Errorf("%d bytes; want %d", n, size)
	}
}

// stuck waits until the workload sleeps, several times in a row.
func stuck(t *testing.T, w *Workload) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n, tries := 0, 0; n < 5; tries++ {
		<-tick.C
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(w.HostPID()) + "/stat")
		if bytes.Contains(b, []byte(") S ")) {
			n++
		} else {
			n = 0
		}
		if tries > 500 {
			t.Fatalf("workload does not wait: %s", b)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A writer that fails holds nobody up, and the relay says so.
func TestRelay_WriterFails(t *testing.T) {
	l := newLauncher(t)
	bad := errors.New("disk full")
	w, relay := onTerminal(t, l, "head -c 1000000 /dev/zero", nil, writerFunc(func([]byte) (int, error) { return 0, bad }))
	if r := result(t, w); r.ExitCode != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := relay.Wait(); !errors.Is(err, bad) {
		t.Errorf("%v; want the writer's error", err)
	}
}

// A process that daemonised with the terminal open does not keep the end from
// being told, although it goes on to write.
func TestRelay_SurvivorWritesOn(t *testing.T) {
	l := newLauncher(t)
	var out bytes.Buffer
	var mu sync.Mutex
	w, relay := onTerminal(t, l, "trap '' HUP; yes & echo $!", nil, writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if out.Len() < 1<<10 {
			out.Write(b)
		}
		return len(b), nil
	}))
	result(t, w)
	mu.Lock()
	var pid int
	for line := range bytes.Lines(out.Bytes()) {
		if n, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil {
			pid = n
		}
	}
	mu.Unlock()
	if pid > 0 {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	relay.Close()
}

func TestRelay_Close(t *testing.T) {
	l := newLauncher(t)
	w, relay := onTerminal(t, l, "sleep 1000", nil, nil)
	if err := relay.Close(); err != nil {
		t.Error(err)
	}
	if err := relay.Close(); err != nil {
		t.Error(err)
	}
	if r := result(t, w); r.Signal != unix.SIGHUP {
		t.Errorf("%s; want SIGHUP, since its terminal hung up", r)
	}
	if _, err := relay.Wait(); err != nil {
		t.Error(err)
	}
	relay.Drain() // of what has ended
}
