package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

const aloneKey = "HOLDSHORT_TEST_ALONE"

// runAlone runs a test in a process of its own: what it does to credentials
// cannot be undone.
func runAlone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneKey) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneKey+"="+t.Name())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// TestCreds_AgainstTheKernel changes credentials at random, in the launcher's
// order, executes a program, and compares what the kernel made of them with
// [Creds]: before the execve and after it.
func TestCreds_AgainstTheKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if !runAlone(t) {
		return
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HOLDSHORT_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	cases := 1000
	if testing.Short() {
		cases = 100
	}
	t.Logf("seed %d (set HOLDSHORT_SEED to repeat), %d cases", seed, cases)
	cat := newProgram(t)
	all := self(t)
	counts := map[string]int{}
	for i := range cases {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		done := make(chan string)
		go func() { // never unlocked: the thread ends with its credentials
			runtime.LockOSThread()
			done <- oneCase(rng, cat, all, counts)
		}()
		if msg := <-done; msg != "" {
			t.Errorf("case %d: %s", i, msg)
		}
	}
	t.Logf("%v", counts)
	for _, k := range []string{"root", "user", "noroot", "nnp", "ambient", "filecaps", "setuid", "gained"} {
		if counts[k] == 0 {
			t.Errorf("no case with %s", k)
		}
	}
}

// testFile is a copy of cat that may be given bits and capabilities.
type testFile struct {
	path string
	bits bool // that count: not on a nosuid mount
}

func newProgram(t *testing.T) *testFile {
	t.Helper()
	src, err := exec.LookPath("cat")
	if err != nil {
		t.Skip("needs cat")
	}
	b, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != "/" && strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755)
	}
	p := &testFile{path: filepath.Join(dir, "cat")}
	if err := os.WriteFile(p.path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	p.bits = unix.Statfs(dir, &st) == nil && st.Flags&unix.ST_NOSUID == 0
	return p
}

// dress gives the file what f says.
func (p *testFile) dress(f *Program) error {
	owner, suid := f.SetUID.Get()
	if err := os.Chown(p.path, int(owner), 0); err != nil {
		return err
	}
	mode := uint32(0o755)
	if suid {
		mode |= unix.S_ISUID
	}
	if err := unix.Chmod(p.path, mode); err != nil {
		return err
	}
	_ = unix.Removexattr(p.path, "security.capability")
	if !f.HasFileCaps {
		return nil
	}
	magic := uint32(0x02000000)
	if f.FileEffective {
		magic |= 1
	}
	var b []byte
	for _, w := range []uint32{magic, uint32(f.FilePermitted), uint32(f.FileInheritable), uint32(f.FilePermitted >> 32), uint32(f.FileInheritable >> 32)} {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return unix.Setxattr(p.path, "security.capability", b, 0)
}

// self is what this process, which must be an ordinary root, has.
func self(t *testing.T) Creds {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	c := parseStatus(string(b))
	c.Root = 0
	if s, _ := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); s != 0 || c.NoNewPrivs || c.Inheritable != 0 || c.Ambient != 0 {
		t.Skip("needs ordinary credentials of root")
	}
	return c
}

func parseStatus(text string) Creds {
	c := Creds{}
	for line := range strings.SplitSeq(text, "\n") {
		key, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		set := func() posture.CapSet { n, _ := strconv.ParseUint(f[0], 16, 64); return posture.CapSet(n) }
		id := func(i int) uint32 { n, _ := strconv.ParseUint(f[i], 10, 32); return uint32(n) }
		switch key {
		case "Uid":
			c.UID, c.EUID, c.SUID = id(0), id(1), id(2)
		case "CapInh":
			c.Inheritable = set()
		case "CapPrm":
			c.Permitted = set()
		case "CapEff":
			c.Effective = set()
		case "CapBnd":
			c.Bounding = set()
		case "CapAmb":
			c.Ambient = set()
		case "NoNewPrivs":
			c.NoNewPrivs = f[0] == "1"
		}
	}
	return c
}

// oneCase runs on a thread of its own; it answers what is wrong, if anything.
func oneCase(rng *rand.Rand, cat *testFile, model Creds, counts map[string]int) string {
	some := func(of posture.CapSet) posture.CapSet {
		switch rng.IntN(4) {
		case 0:
			return 0
		case 1:
			return of
		}
		return of & posture.CapSet(rng.Uint64())
	}
	var file Program
	if cat.bits && rng.IntN(3) == 0 {
		if rng.IntN(2) == 0 {
			file.SetUID = posture.Known([]uint32{0, 1000, 1001}[rng.IntN(3)])
			counts["setuid"]++
		} else {
			file.HasFileCaps = true
			file.FilePermitted, file.FileInheritable = some(model.Bounding), some(model.Bounding)
			file.FileEffective = rng.IntN(2) == 0
			counts["filecaps"]++
		}
		if rng.IntN(6) == 0 {
			file.HasFileCaps, file.FilePermitted = true, some(model.Bounding)
		}
	}
	if err := cat.dress(&file); err != nil {
		return err.Error()
	}
	var log []string
	step := func(name string, err error, apply func()) {
		if err == nil {
			apply()
		}
		log = append(log, fmt.Sprintf("%s: %v", name, err))
	}
	errno := func(e syscall.Errno) error {
		if e == 0 {
			return nil
		}
		return e
	}
	for drop := model.Bounding &^ some(model.Bounding); drop != 0; drop &= drop - 1 {
		n := 0
		for drop>>n&1 == 0 {
			n++
		}
		step(fmt.Sprint("drop ", n), unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0), func() { model.Bounding &^= 1 << n })
	}
	bits := uint32(0)
	for _, b := range []uint32{SecureNoRoot, SecureNoSetUIDFixup, SecureKeepCaps} {
		if rng.IntN(4) == 0 {
			bits |= b
		}
	}
	step(fmt.Sprintf("securebits %#x", bits), unix.Prctl(unix.PR_SET_SECUREBITS, uintptr(bits), 0, 0, 0), func() { model.Securebits = bits })
	if rng.IntN(2) == 0 {
		// Inheritable capabilities before the change of user, as a parent may have them.
		i := some(model.Bounding & model.Permitted)
		step(fmt.Sprintf("inheritable %#x", uint64(i)), capset(model.Permitted, model.Effective, i), func() { model.Capset(model.Permitted, model.Effective, i) })
	}
	if rng.IntN(2) == 0 {
		_ = unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
		model.Securebits |= SecureKeepCaps
	}
	if rng.IntN(4) > 0 {
		uid := []uint32{0, 1000, 1001, 65534}[rng.IntN(4)]
		_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		step(fmt.Sprint("uid ", uid), errno(e), func() { model.SetUID(uid) })
	}
	if rng.IntN(3) > 0 {
		p := some(model.Permitted)
		e, i := some(p), some((model.Inheritable|model.Permitted)&(model.Inheritable|model.Bounding))
		step(fmt.Sprintf("capset %#x %#x %#x", uint64(p), uint64(e), uint64(i)), capset(p, e, i), func() { model.Capset(p, e, i) })
	}
	for raise := some(model.Permitted & model.Inheritable); raise != 0; raise &= raise - 1 {
		n := 0
		for raise>>n&1 == 0 {
			n++
		}
		step(fmt.Sprint("ambient ", n), unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0), func() { model.Ambient |= 1 << n })
	}
	if rng.IntN(3) == 0 {
		step("no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), func() { model.NoNewPrivs = true })
	}
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err.Error()
	}
	before := parseStatus(string(b))
	before.Root, before.Securebits = model.Root, model.Securebits
	if before != model {
		return fmt.Sprintf("before execve\n got %+v\nwant %+v\n%s", before, model, strings.Join(log, "\n"))
	}
	count(counts, &model)
	was := model
	r := model.Exec(&file)
	if model.Permitted&^was.Permitted != 0 {
		counts["gained"]++
	}
	text, err := runCat(cat.path)
	if r.Refused != errors.Is(err, syscall.EPERM) {
		return fmt.Sprintf("execve: %v, refused %v\n%+v\n%+v", err, r.Refused, was, file)
	}
	if err != nil {
		if r.Refused {
			counts["refused"]++
			return ""
		}
		return fmt.Sprintf("execve: %v\n%+v\n%+v", err, was, file)
	}
	after := parseStatus(text)
	after.Root, after.Securebits = model.Root, model.Securebits
	if after != model {
		return fmt.Sprintf("after execve\n got %+v\nwant %+v\nfrom %+v\nfile %+v\n%s", after, model, was, file, strings.Join(log, "\n"))
	}
	return ""
}

func count(counts map[string]int, c *Creds) {
	add := func(k string, ok bool) {
		if ok {
			counts[k]++
		}
	}
	add("root", c.UID == 0)
	add("user", c.UID != 0)
	add("noroot", c.Securebits&SecureNoRoot != 0)
	add("nnp", c.NoNewPrivs)
	add("ambient", c.Ambient != 0)
	add("inheritable", c.Inheritable != 0)
}

func capset(p, e, i posture.CapSet) error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	d := [2]unix.CapUserData{
		{Effective: uint32(e), Permitted: uint32(p), Inheritable: uint32(i)},
		{Effective: uint32(e >> 32), Permitted: uint32(p >> 32), Inheritable: uint32(i >> 32)},
	}
	return unix.Capset(&h, &d[0])
}

func runCat(path string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	pid, err := syscall.ForkExec(path, []string{"cat", "/proc/self/status"}, &syscall.ProcAttr{Files: []uintptr{0, w.Fd(), 2}})
	w.Close()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	var ws syscall.WaitStatus
	for {
		if _, e := syscall.Wait4(pid, &ws, 0, nil); e != syscall.EINTR {
			break
		}
	}
	return string(b), err
}
