package probes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/internal/sys"
	"github.com/holdshort/holdshort/probes/posture"
)

// helperEnv asks the test binary to be a helper instead of running tests.
const helperEnv = "HOLDSHORT_PROBES_HELPER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperEnv); mode != "" {
		if err := helper(mode); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// told is what a helper tells its test: what nobody else can read.
type told struct {
	Keyring int
	Owner   string // of the keyring, as a user id
	Memory  memorySays
}

// The filter of the strange helper: getcpu(2) gives ENOSYS, all else goes.
var strangeFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_GETCPU, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
}

// helper puts itself into a strange posture, says so, waits for a byte, execs.
func helper(mode string) error {
	runtime.LockOSThread()
	var t told
	step := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	if mode == "strange" {
		key, err := unix.KeyctlJoinSessionKeyring("holdshort-test")
		if err != nil && !errors.Is(err, unix.ENOSYS) {
			return err
		}
		t.Keyring = key
		if err := errors.Join(
			step("hostname", unix.Sethostname([]byte("strange-host"))),
			step("domainname", unix.Setdomainname([]byte("strange.domain"))),
			step("nofile", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 333, Max: 777})),
			step("core", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 4096, Max: 8192})),
			step("cpu", unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: 1000, Max: 2000})),
			step("nice", unix.Setpriority(unix.PRIO_PROCESS, 0, 7)),
			step("oom", os.WriteFile("/proc/self/oom_score_adj", []byte("321"), 0)),
			step("affinity", unix.SchedSetaffinity(0, &unix.CPUSet{1})),
			step("slack", unix.Prctl(unix.PR_SET_TIMERSLACK, 77777, 0, 0, 0)),
			step("subreaper", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)),
			step("bounding", unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_TIME, 0, 0, 0)),
			step("securebits", unix.Prctl(unix.PR_SET_SECUREBITS, 1<<2|1<<3, 0, 0, 0)), // NO_SETUID_FIXUP, locked
			step("mounts", unix.Mount("", "/", "", unix.MS_SLAVE, "")),
			step("autogroup", ifThere(os.WriteFile("/proc/self/autogroup", []byte("3"), 0))),
			step("memory", strangeMemory()),
		); err != nil {
			return err
		}
		t.Owner = strconv.Itoa(os.Getuid())
		unix.Umask(0o137)
		if _, _, errno := unix.Syscall(unix.SYS_PERSONALITY, 0x0040000, 0, 0); errno != 0 { // ADDR_NO_RANDOMIZE
			return errno
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, 1, 0, 2<<13|5); errno != 0 {
			return errno
		}
		if err := unix.Setgroups([]int{5, 77, 2000}); err != nil {
			return err
		}
		if err := unix.Setresgid(1001, 1002, 1003); err != nil {
			return err
		}
		if err := unix.Setresuid(2001, 0, 2003); err != nil {
			return err
		}
		var set unix.Sigset_t
		set.Val[0] = 1<<(unix.SIGUSR2-1) | 1<<(unix.SIGWINCH-1)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
			return err
		}
		if err := sys.SeccompSelf(strangeFilter); err != nil {
			return err
		}
	}
	t.Memory = askMemory()
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if _, err := fmt.Println(string(b)); err != nil {
		return err
	}
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil {
		return err
	}
	return execAs(mode)
}

// execAs executes a program in the way that the mode asks for.
func execAs(mode string) error {
	path, argv, env := "/bin/sleep", []string{"strange sleep", "600"}, []string{"STRANGE=yes", "EMPTY="}
	switch mode {
	case "memfd":
		fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := unix.Write(fd, b); err != nil {
			return err
		}
		path = fmt.Sprintf("/proc/self/fd/%d", fd)
	case "filters": // of different lengths, so that their order shows
		for _, f := range [][]unix.SockFilter{strangeFilter, strangeFilter[3:]} {
			if err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), sys.SeccompSelf(f)); err != nil {
				return err
			}
		}
	case "thread": // another one than the first
		for {
			done := make(chan error, 1)
			go func() {
				runtime.LockOSThread() // and never unlocked, so that the next try is elsewhere
				if unix.Gettid() != unix.Getpid() {
					done <- unix.Exec(path, argv, env)
				}
				done <- nil
			}()
			if err := <-done; err != nil {
				return err
			}
		}
	}
	return unix.Exec(path, argv, env)
}

// startHelper starts a helper and returns when it is ready to exec.
func startHelper(t *testing.T, mode string, attr *syscall.SysProcAttr) (c *exec.Cmd, proceed func(), says told) {
	t.Helper()
	c = exec.Command("/proc/self/exe")
	// The Go runtime interrupts its threads with SIGURG, which would be pending.
	c.Env = append(os.Environ(), helperEnv+"="+mode, "GODEBUG=asyncpreemptoff=1")
	c.SysProcAttr = attr
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skipf("needs the privilege to make namespaces: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the helper did not get ready: %v", err)
	}
	if err := json.Unmarshal(line, &says); err != nil {
		t.Fatal(err)
	}
	return c, func() { _, _ = in.Write([]byte{1}) }, says
}

// procFile reads a file of /proc/PID.
func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every field is compared with what /proc or a system call says of the same
// process, which rests at its entry point meanwhile.
func TestSnapshot_AgreesWithProc(t *testing.T) {
	for _, mode := range []string{"plain", "strange", "portable"} {
		t.Run(mode, func(t *testing.T) {
			o, ctx := observer(t), testContext(t)
			if mode == "portable" {
				var err error
				if o, err = Open(ctx, &Options{portable: true}); err != nil {
					t.Fatal(err)
				}
				defer o.Close()
			}
			attr := &syscall.SysProcAttr{Setsid: true}
			if mode != "plain" {
				attr.Cloneflags = unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID
				mode = "strange"
			}
			c, proceed, says := startHelper(t, mode, attr)
			w, err := o.Watch(ctx, c.Process.Pid, &WatchOptions{Freeze: true})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			proceed()
			r := frozen(ctx, t, w)
			for i := range r.Snapshots {
				s := &r.Snapshots[i]
				t.Run(string(s.At), func(t *testing.T) {
					compareWithProc(t, s, c.Process.Pid, mode == "strange", says)
				})
			}
		})
	}
}

// frozen waits until the process has stopped at its entry.
func frozen(ctx context.Context, t *testing.T, w *Watch) *Record {
	t.Helper()
	var r *Record
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(w.PID(), &ws, unix.WUNTRACED, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid == 0 {
			t.Fatalf("wait: %v", err)
		}
		if ws.Stopped() {
			break
		}
		t.Fatalf("the helper ended: %v", ws)
	}
	// The first instruction has not been fetched, so the record is not
	// complete, but all that comes before it is there.
	short, cancel := context.WithCancel(ctx)
	cancel()
	r, err := w.Record(short)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("record of a frozen process: %v, %+v", err, r)
	}
	if r.Snapshot(AtExec) == nil || r.Snapshot(AtReturn) == nil || r.Snapshot(AtFirst) != nil {
		t.Fatalf("snapshots of a frozen process: %+v", r)
	}
	return r
}

func compareWithProc(t *testing.T, s *Snapshot, pid int, strange bool, says told) {
	t.Helper()
	p := s.Posture()
	want := wantFromProc(t, pid, strange, says)
	for _, f := range posture.Fields() {
		w, ok := want[f.Path]
		if !ok {
			t.Errorf("%s: no independent value to compare with", f.Path)
			continue
		}
		if f.Path == "signals.pending" && s.At == AtReturn {
			w = "19" // the SIGSTOP of the freeze
		}
		if got := f.Format(p); got != w {
			t.Errorf("%s: observed %s, /proc says %s", f.Path, got, w)
		}
	}
}

// wantFromProc returns the value of each field in its text form.
func wantFromProc(t *testing.T, pid int, strange bool, says told) map[string]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	want := map[string]string{}
	for field, file := range map[string]string{
		"user": "user", "mnt": "mnt", "pid": "pid", "pid_for_children": "pid_for_children", "net": "net", "uts": "uts",
		"ipc": "ipc", "cgroup": "cgroup", "time": "time", "time_for_children": "time_for_children",
	} {
		var st unix.Stat_t
		if err := unix.Stat(dir+"ns/"+file, &st); err != nil {
			t.Fatal(err)
		}
		want["namespaces."+field] = strconv.FormatUint(st.Ino, 10)
	}
	want["user_namespace.parent"] = "0"
	want["user_namespace.owner_uid"] = "0"
	for _, m := range []string{"uid_map", "gid_map"} {
		want["user_namespace."+m] = strings.Join(strings.Fields(procFile(t, pid, m)), ":")
	}
	want["user_namespace.setgroups"] = strconv.FormatBool(strings.TrimSpace(procFile(t, pid, "setgroups")) == "allow")
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	want["uts.hostname"] = strconv.Quote(unix.ByteSliceToString(uts.Nodename[:]))
	want["uts.domainname"] = strconv.Quote(unix.ByteSliceToString(uts.Domainname[:]))
	if strange {
		want["uts.hostname"], want["uts.domainname"] = `"strange-host"`, `"strange.domain"`
	}
	want["time.monotonic_ns"], want["time.boottime_ns"] = "0", "0"

	status := map[string]string{}
	for line := range strings.Lines(procFile(t, pid, "status")) {
		k, v, _ := strings.Cut(line, ":")
		status[k] = strings.TrimSpace(v)
	}
	for i, name := range []string{"uid", "euid", "suid", "fsuid"} {
		want["ids."+name] = strings.Fields(status["Uid"])[i]
		want["ids."+strings.Replace(name, "uid", "gid", 1)] = strings.Fields(status["Gid"])[i]
	}
	want["ids.groups"] = orNone(status["Groups"])
	for name, key := range map[string]string{
		"bounding": "CapBnd", "permitted": "CapPrm", "effective": "CapEff", "inheritable": "CapInh", "ambient": "CapAmb",
	} {
		v, err := strconv.ParseUint(status[key], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		want["capabilities."+name] = posture.CapSet(v).String()
	}
	want["privilege.no_new_privs"] = strconv.FormatBool(status["NoNewPrivs"] == "1")
	want["privilege.securebits"] = "0x0"
	want["privilege.dumpable"] = "1"
	want["privilege.pdeathsig"] = "0"
	if strange {
		want["privilege.securebits"] = "0xc"
		// Ids and effective ids differ, so exec makes it root's alone to dump.
		v := procSys(t, "fs/suid_dumpable")
		want["privilege.dumpable"] = v
	}
	pers, err := strconv.ParseUint(strings.TrimSpace(procFile(t, pid, "personality")), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	want["privilege.personality"] = fmt.Sprintf("0x%x", pers)
	want["privilege.loginuid"] = strings.TrimSpace(procFile(t, pid, "loginuid"))
	want["privilege.sessionid"] = strings.TrimSpace(procFile(t, pid, "sessionid"))
	want["privilege.spec_flags"] = "0x0"

	want["seccomp.mode"] = status["Seccomp"]
	want["seccomp.filter_count"] = status["Seccomp_filters"]
	want["seccomp.filters"] = "none"
	if strange {
		want["seccomp.filters"] = "4 instructions"
	}
	want["landlock.layers"], want["landlock.rules"], want["landlock.handled"], want["landlock.rule_list"] = "0", "0", "none", "none"
	want["seccomp.armed"] = strconv.FormatBool(status["Seccomp"] != "0")
	wantCgroup(t, pid, want)
	wantSched(t, pid, want)
	wantMemory(t, pid, status, says.Memory, want)
	wantAttached(t, says.Memory, want)
	limits := strings.Split(procFile(t, pid, "limits"), "\n")
	for i, name := range posture.RlimitNames {
		// "Max cpu time   unlimited   unlimited   seconds", in RLIMIT order;
		// prlimit(2) would need CAP_SYS_RESOURCE.
		line := limits[i+1]
		want["rlimits."+name] = strings.TrimSpace(line[26:47]) + "/" + strings.TrimSpace(line[47:68])
	}
	want["oom.score_adj"] = strings.TrimSpace(procFile(t, pid, "oom_score_adj"))
	// Who writes the value with CAP_SYS_RESOURCE sets the floor too.
	want["oom.score_adj_min"] = "0"
	if c, err := strconv.ParseUint(status["CapBnd"], 16, 64); err == nil && c>>unix.CAP_SYS_RESOURCE&1 != 0 {
		want["oom.score_adj_min"] = want["oom.score_adj"]
	}

	sa, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	want["sched.policy"] = fmt.Sprint(sa.Policy)
	want["sched.nice"] = fmt.Sprint(sa.Nice)
	want["sched.rt_priority"] = fmt.Sprint(sa.Priority)
	want["sched.reset_on_fork"] = strconv.FormatBool(sa.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0)
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		t.Fatal(err)
	}
	var cpus []string
	for i := range 1024 {
		if set.IsSet(i) {
			cpus = append(cpus, strconv.Itoa(i))
		}
	}
	want["sched.affinity"] = strings.Join(cpus, ",")
	prio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(pid), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	want["sched.ioprio"] = fmt.Sprintf("0x%x", prio)
	if !strange {
		want["sched.ioprio"] = "0x0" // ioprio_get computes one from nice
	}
	want["sched.timer_slack_ns"] = strings.TrimSpace(procFile(t, pid, "timerslack_ns"))
	want["sched.core_cookie"] = "0"
	if !hasMember(t, "task_struct", "core_cookie") {
		want["sched.core_cookie"] = "? (this kernel is built without it (CONFIG_SCHED_CORE))"
	}
	for name, key := range map[string]string{"blocked": "SigBlk", "ignored": "SigIgn"} {
		v, err := strconv.ParseUint(status[key], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		want["signals."+name] = signalList(v)
	}
	want["signals.pending"] = "none"
	wantProcess(t, pid, status, want)

	want["fs.umask"] = status["Umask"]
	want["fs.root"] = statInode(t, dir+"root").String()
	want["fs.cwd"] = statInode(t, dir+"cwd").String()
	want["fs.cwd_under_root"], want["fs.root_is_mount_root"] = "true", "true"
	want["fs.root_read_only"] = "false"
	want["files"] = wantFiles(t, pid)
	want["keyrings.session"] = strconv.Itoa(says.Keyring)
	want["keyrings.process"], want["keyrings.thread"] = "0", "0"
	want["keyrings.session_owner"] = "0"
	if says.Owner != "" {
		want["keyrings.session_owner"] = says.Owner
	}
	want["fs.root_propagation"] = rootPropagation(t, pid)
	want["exec.exe"] = statInode(t, dir+"exe").String()
	want["exec.exe_nlink"] = "1"
	want["exec.comm"] = strconv.Quote(strings.TrimSpace(procFile(t, pid, "comm")))
	want["exec.args"] = quoteAll(procFile(t, pid, "cmdline"))
	want["exec.env"] = quoteAll(procFile(t, pid, "environ"))
	want["exec.secure"] = strconv.FormatBool(strange)
	want["exec.fork_no_exec"] = "false"
	return want
}

func procSys(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func quoteAll(s string) string {
	var parts []string
	for x := range strings.SplitSeq(strings.TrimSuffix(s, "\x00"), "\x00") {
		parts = append(parts, strconv.Quote(x))
	}
	return strings.Join(parts, " ")
}

func signalList(v uint64) string {
	var parts []string
	for i := range 64 {
		if v>>i&1 != 0 {
			parts = append(parts, strconv.Itoa(i+1))
		}
	}
	return orNone(strings.Join(parts, ","))
}

func statInode(t *testing.T, path string) posture.Inode {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return posture.Inode{Dev: st.Dev, Ino: st.Ino}
}

func wantProcess(t *testing.T, pid int, status, want map[string]string) {
	t.Helper()
	stat := procFile(t, pid, "stat")
	f := strings.Fields(stat[strings.LastIndex(stat, ")")+2:])
	inside := strings.Fields(status["NSpid"])
	want["process.pid"] = strconv.Itoa(pid)
	want["process.pid_inside"] = inside[len(inside)-1]
	want["process.parent"] = f[1]
	want["process.tracer"] = status["TracerPid"]
	want["process.process_group"] = f[2]
	want["process.session"] = f[3]
	want["process.session_leader"] = strconv.FormatBool(f[3] == strconv.Itoa(pid))
	want["process.tty"] = "none"
	if f[4] != "0" {
		t.Fatalf("unexpected terminal %s", f[4])
	}
	want["process.child_subreaper"] = strconv.FormatBool(inside[len(inside)-1] == "1")
	want["process.threads"] = status["Threads"]
}

func wantFiles(t *testing.T, pid int) string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var list []posture.File
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd), &st); err != nil {
			t.Fatal(err)
		}
		var flags uint64
		for line := range strings.Lines(procFile(t, pid, fmt.Sprintf("fdinfo/%d", fd))) {
			if v, ok := strings.CutPrefix(line, "flags:"); ok {
				flags, err = strconv.ParseUint(strings.TrimSpace(v), 8, 32)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		list = append(list, posture.File{
			FD: int32(fd), Inode: posture.Inode{Dev: st.Dev, Ino: st.Ino}, Mode: st.Mode, Flags: uint32(flags),
		})
	}
	slices.SortFunc(list, func(a, b posture.File) int { return int(a.FD - b.FD) })
	p := &posture.Posture{Files: posture.Known(posture.Files{Open: list})}
	f, _ := posture.Lookup("files")
	return f.Format(p)
}

// wantCgroup finds the directory of each membership and its inode number.
func wantCgroup(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	mounts := map[string]string{}
	for line := range strings.Lines(procFile(t, os.Getpid(), "mountinfo")) {
		left, right, _ := strings.Cut(line, " - ")
		fields, fs := strings.Fields(left), strings.Fields(right)
		switch fs[0] {
		case "cgroup2":
			mounts[""] = fields[4]
		case "cgroup":
			for o := range strings.SplitSeq(fs[2], ",") {
				mounts[o] = fields[4]
			}
		}
	}
	var v1 []string
	want["cgroup.v2"] = "1"
	for line := range strings.Lines(procFile(t, pid, "cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for name := range strings.SplitSeq(parts[1], ",") {
			if strings.HasPrefix(name, "name=") {
				continue
			}
			m, ok := mounts[name]
			if !ok {
				t.Logf("hierarchy %q is not mounted here", name)
				continue
			}
			id := statInode(t, filepath.Join(m, parts[2])).Ino
			if name == "" {
				want["cgroup.v2"] = strconv.FormatUint(id, 10)
			} else {
				v1 = append(v1, fmt.Sprintf("%s=%d", name, id))
			}
		}
	}
	slices.Sort(v1)
	want["cgroup.v1"] = orNone(strings.Join(v1, " "))
}

func TestSnapshot_FilterInstructions(t *testing.T) {
	o, ctx := observer(t), testContext(t)
	c, proceed, _ := startHelper(t, "strange", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUTS | unix.CLONE_NEWPID})
	w, err := o.Watch(ctx, c.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	proceed()
	r, err := w.Record(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]posture.Instruction, 0, len(strangeFilter))
	for _, i := range strangeFilter {
		want = append(want, posture.Instruction{Code: i.Code, JT: i.Jt, JF: i.Jf, K: i.K})
	}
	for _, s := range r.Snapshots {
		filters, ok := s.Posture().Seccomp.Filters.Get()
		if !ok || len(filters) != 1 || !slices.Equal(filters[0].Instructions, want) {
			t.Errorf("%s: filters %+v, want one of %v", s.At, filters, want)
		}
	}
	if !bytes.Equal(r.Snapshot(AtExec).body.raw, r.Snapshot(AtReturn).body.raw) {
		t.Error("exec and return differ")
	}
}
