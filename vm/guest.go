package vm

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdshort/holdshort/vm/guest"
)

// Command is one program to run in a guest.
type Command struct {
	Argv  []string      // the program by its path on the host; it has the same path in the guest
	Env   []string      // nil: PATH, HOME and nothing else
	Dir   string        // working directory; default /
	Limit time.Duration // it is killed then, with all that it left; default: none
}

// Guest is some commands, run one after the other, on one kernel. The zero
// value of each field but Kernel and Commands is usable.
type Guest struct {
	Kernel   *Kernel
	Commands []Command

	TakeDir  bool     // copy the commands' directories and what is below them into the guest; never /
	Files    []File   // copied into the guest
	Programs []string // copied with the libraries that they are linked to; a name without slash is looked up in PATH
	BusyBox  string   // a static busybox, installed under all its names that Programs left free
	Modules  []string // loaded before the command runs, beyond those that the record stream needs

	CPUs     int    // default 1
	Threads  int    // of each core, of which CPUs is a multiple; default 1
	CPU      string // model, as QEMU knows it; default "max", with KVM "host"
	MemoryMB int    // default 1024
	Append   string // to the kernel's command line
	Accel    Accel
	NoCgroup bool   // leave cgroup2 unmounted
	Init     string // static program that calls guest.Init; default: this executable

	BootLimit time.Duration // until init reports; default 2 minutes
	Silence   time.Duration // between two signs of life; default 1 minute
	TimeLimit time.Duration // for all commands; default: none

	Stdout, Stderr io.Writer             // of the commands, as it is written; nil: dropped
	Console        io.Writer             // of the kernel and of init
	Ended          func(i int, c Ending) // told when a command has ended; what it wrote has been passed on

	Terminal bool   // the commands own this process's terminal; output is not told from the console
	GDB      string // address where QEMU waits for a debugger, like tcp:localhost:1234

	// Spoil gets the initial ramfs before it is booted, for tests of what
	// becomes of a guest that is not as it should be.
	Spoil func(*os.File)

	probe bool // boot, report, end
}

// guestPath is where programs are looked for in a guest.
const guestPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Ending says how a command ended.
type Ending = guest.Ending

// File is a file or directory of the host, copied into the guest.
type File struct {
	Host  string
	Guest string // default: the same path
}

// withDefaults is a copy of g in which everything is set.
func (g *Guest) withDefaults() (*Guest, error) {
	c := *g
	if c.Kernel == nil || len(c.Commands) == 0 && !c.probe {
		return nil, fmt.Errorf("vm: a guest needs a kernel and a command")
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.Threads > 1 && c.CPUs%c.Threads != 0 {
		return nil, fmt.Errorf("vm: %d processors are not a multiple of %d threads of a core", c.CPUs, c.Threads)
	}
	if c.MemoryMB == 0 {
		c.MemoryMB = 1024
	}
	if c.BootLimit == 0 {
		c.BootLimit = 2 * time.Minute
	}
	if c.Silence == 0 {
		c.Silence = time.Minute
	}
	c.Commands = slices.Clone(c.Commands)
	for i := range c.Commands {
		cmd := &c.Commands[i]
		if len(cmd.Argv) == 0 {
			return nil, fmt.Errorf("vm: command %d is empty", i)
		}
		if cmd.Dir == "" {
			cmd.Dir = "/"
		}
		if cmd.Env == nil {
			cmd.Env = []string{"PATH=" + guestPath, "HOME=/root"}
		}
	}
	if c.Init == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		c.Init = self
	}
	for _, w := range []*io.Writer{&c.Stdout, &c.Stderr} {
		if *w == nil {
			*w = io.Discard
		}
	}
	return &c, nil
}

// build makes the initial ramfs.
func (g *Guest) build() (*os.File, error) {
	im, err := newImage()
	if err != nil {
		return nil, err
	}
	if err := g.fill(im); err != nil {
		im.f.Close()
		return nil, fmt.Errorf("vm: initial ramfs: %w", err)
	}
	f, err := im.finish()
	if err == nil && g.Spoil != nil {
		g.Spoil(f)
	}
	return f, err
}

func (g *Guest) fill(im *image) error {
	for _, d := range []string{"/dev", "/proc", "/sys", "/run", "/root", "/etc", "/var/tmp", "/mnt", "/.holdshort"} {
		if err := im.dir(d, 0o755); err != nil {
			return err
		}
	}
	if err := im.dir("/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := im.file("/init", g.Init); err != nil {
		return err
	}
	if err := im.symlink("/sbin/modprobe", "/init"); err != nil {
		return err
	}
	if err := im.symlink("/usr/local/bin/holdshort", "/init"); err != nil {
		return err
	}
	task := guest.Task{NoCgroup: g.NoCgroup, Terminal: g.Terminal}
	for _, c := range g.Commands {
		task.Commands = append(task.Commands, guest.Command{Argv: c.Argv, Env: c.Env, Dir: c.Dir, LimitMS: c.Limit.Milliseconds()})
	}
	if err := g.fillModules(im, &task); err != nil {
		return err
	}
	for _, c := range g.Commands {
		if im.has(c.Argv[0]) { // holdshort itself
			continue
		}
		if err := im.program(c.Argv[0], c.Argv[0]); err != nil {
			return err
		}
	}
	for _, f := range g.Files {
		if err := copyIn(im, f); err != nil {
			return err
		}
	}
	for _, p := range g.Programs {
		path, err := LookPath(p)
		if err != nil {
			return err
		}
		if err := im.program(path, path); err != nil {
			return err
		}
	}
	if g.BusyBox != "" {
		if err := im.busybox(g.BusyBox); err != nil {
			return err
		}
	}
	for _, c := range g.Commands {
		if g.TakeDir && c.Dir != "/" {
			if err := im.tree(c.Dir, c.Dir); err != nil {
				return err
			}
		}
		if err := im.dir(c.Dir, 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"/etc/group":  "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
		"/etc/subuid": "root:100000:65536\n",
		"/etc/subgid": "root:100000:65536\n",
		"/etc/hosts":  "127.0.0.1 localhost\n::1 localhost\n",
	} {
		if err := im.bytes(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	b, err := json.Marshal(task)
	if err != nil {
		return err
	}
	return im.bytes(guest.TaskFile, b, 0o644)
}

func (g *Guest) fillModules(im *image, task *guest.Task) error {
	t, err := openModules(g.Kernel.Modules)
	if err != nil {
		return err
	}
	first, err := t.closure(channelModules)
	if err != nil {
		return err
	}
	all, err := t.closure(append(append(append([]string{}, channelModules...), g.Modules...), carriedModules...))
	if err != nil {
		return err
	}
	wanted, err := t.closure(g.Modules)
	if err != nil {
		return err
	}
	for _, n := range g.Modules {
		if c := canonical(n); t.files[c] == "" && !t.builtin[c] {
			return fmt.Errorf("kernel %s has no module %s", g.Kernel.Name, n)
		}
	}
	if _, err := writeModules(im, g.Kernel.Release, all); err != nil {
		return err
	}
	dir := "/lib/modules/" + g.Kernel.Release + "/"
	for _, m := range first {
		task.Modules = append(task.Modules, dir+m.name+".ko")
	}
	for _, m := range wanted {
		task.Optional = append(task.Optional, dir+m.name+".ko")
	}
	return nil
}

func copyIn(im *image, f File) error {
	to := f.Guest
	if to == "" {
		abs, err := filepath.Abs(f.Host)
		if err != nil {
			return err
		}
		to = abs
	}
	st, err := os.Stat(f.Host)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return im.tree(to, f.Host)
	}
	return im.file(to, f.Host)
}

// Environ leaves out of an environment what names directories that a guest
// does not have, and sets PATH, HOME and TMPDIR to those of a guest.
func Environ(env []string) []string {
	var out []string
	for _, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		if k == "TMPDIR" || k == "HOLDSHORT_BTF_DIR" || strings.HasPrefix(k, "XDG_") || k == "PATH" || k == "HOME" {
			continue
		}
		out = append(out, kv)
	}
	return append(out, "PATH="+guestPath, "HOME=/root", "TMPDIR="+guest.Temp)
}
