package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Init is the whole life of process 1 if the program was started as /init by
// the kernel, and then never returns; the same for /sbin/modprobe, which the
// kernel runs when it wants a module. Else it does nothing.
func Init() {
	if len(os.Args) == 0 {
		return
	}
	switch {
	case os.Getpid() == 1 && os.Args[0] == "/init":
		new(machine).run()
	case os.Args[0] == modprobePath:
		os.Exit(modprobe(os.Args[1:]))
	}
}

// machine is the guest, seen from process 1.
type machine struct {
	task  Task
	out   *Writer
	port  *os.File
	warns []string // until there is a channel
}

func (m *machine) run() {
	code := 1
	if err := m.live(); err != nil {
		m.warn("init: %v", err)
	} else {
		code = 0
	}
	unix.Sync()
	if code == 0 {
		if err := exitQEMU(); err != nil {
			fmt.Fprintln(os.Stderr, "holdshort guest: exit device:", err)
		}
	}
	// No exit device (arm64), or something went wrong: then the host misses
	// the status or the end record.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	for {
		_ = unix.Pause()
	}
}

func (m *machine) live() error {
	b, err := os.ReadFile(TaskFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &m.task); err != nil {
		return fmt.Errorf("%s: %w", TaskFile, err)
	}
	if err := ownRoot(); err != nil {
		return err
	}
	m.mountAll()
	for _, p := range m.task.Modules {
		if err := loadModule(p); err != nil {
			return fmt.Errorf("module %s: %w", p, err)
		}
	}
	if m.port, err = openPort(20 * time.Second); err != nil {
		return err
	}
	m.out = NewWriter(m.port)
	for _, w := range m.warns {
		_ = m.out.Write(Warn, []byte(w))
	}
	for _, p := range m.task.Optional {
		if err := loadModule(p); err != nil {
			m.warn("module %s: %v", p, err)
		}
	}
	if err := loopbackUp(); err != nil {
		m.warn("lo: %v", err)
	}
	g := m.greet()
	if err := m.record(Hello, g); err != nil {
		return err
	}
	stop := m.beat()
	for i := range m.task.Commands {
		end := m.command(&m.task.Commands[i])
		end.Index = i
		if err := m.record(End, end); err != nil {
			return err
		}
		sweep()
	}
	stop()
	if err := m.out.Write(Last, nil); err != nil {
		return err
	}
	// The port's buffer is QEMU's only once the host has read it: to end the
	// machine before the answer could lose the last records.
	answer := make(chan error, 1)
	go func() {
		k, _, err := ReadRecord(m.port)
		if err == nil && k != Ack {
			err = fmt.Errorf("record %d where an acknowledgement was due", k)
		}
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-time.After(time.Minute):
		return errors.New("the last record was not acknowledged in a minute")
	}
}

func (m *machine) warn(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	fmt.Fprintln(os.Stderr, "holdshort guest:", s) // the console
	if m.out == nil {
		m.warns = append(m.warns, s)
		return
	}
	_ = m.out.Write(Warn, []byte(s))
}

func (m *machine) record(k Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return m.out.Write(k, b)
}

// beat tells the host every second that the guest still schedules processes.
func (m *machine) beat() (stop func()) {
	done := make(chan struct{})
	go func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				_ = m.out.Write(Beat, nil)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

func (m *machine) greet() Greeting {
	var u unix.Utsname
	_ = unix.Uname(&u)
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	text := func(p string) string {
		b, _ := os.ReadFile(p)
		return strings.TrimSpace(string(b))
	}
	return Greeting{
		Release: unix.ByteSliceToString(u.Release[:]), Machine: unix.ByteSliceToString(u.Machine[:]),
		CommandLine: text("/proc/cmdline"), LSM: text("/sys/kernel/security/lsm"),
		Controllers: strings.Fields(text("/sys/fs/cgroup/cgroup.subtree_control")),
		CPUs:        runtime.NumCPU(), UptimeMS: ts.Nano() / 1e6,
	}
}

// ownRoot gives the root file system a parent mount: pivot_root(2) refuses
// a root that is the initial ramfs itself, which containers need to leave.
func ownRoot() error {
	if err := os.MkdirAll("/.holdshort/root", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/", "/.holdshort/root", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind /: %w", err)
	}
	if err := os.Chdir("/.holdshort/root"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move / over the initial ramfs: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}

// openPort finds the port by its name; the driver may still be at work.
func openPort(limit time.Duration) (*os.File, error) {
	deadline := time.Now().Add(limit)
	for {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			if b, _ := os.ReadFile(n); strings.TrimSpace(string(b)) == Port {
				dev := "/dev/" + filepath.Base(filepath.Dir(n))
				// Opened blocking, for Go's poller and virtio_console disagree
				// about when a port is writable.
				if fd, err := unix.Open(dev, unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
					return os.NewFile(uintptr(fd), dev), nil
				}
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no virtio-serial port %q after %v", Port, limit)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}
