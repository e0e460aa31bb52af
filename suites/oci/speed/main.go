// Command speed compares OCI runtimes: what run, create, start and delete of a
// container that does nothing take, what the runtime's own start takes (its
// --version), the processor time of all that, and what memory a container has that
// was created. All take turns in
// one run, in another order each time, since absolute figures say more about the
// machine than about a runtime. The last one named is what ratios are of.
//
//	go run ./suites/oci/speed [-n ROUNDS] [-program FILE] NAME=RUNTIME...
//
// It needs root, and a program that runs without libraries (default: busybox as
// "true").
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type runtime struct {
	name, path string
	took       map[string][]time.Duration
	cpu        []time.Duration // of all steps of a round
	parked     []int           // KiB
}

// steps are what is measured, in order.
var steps = []string{"run", "create", "start", "delete", "--version"}

func main() {
	rounds := flag.Int("n", 30, "how often each does each step")
	program := flag.String("program", "", "program of the container, without libraries (default: busybox)")
	flag.Parse()
	if err := compare(*rounds, *program, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

func compare(rounds int, program string, args []string) error {
	var all []*runtime
	for _, a := range args {
		name, path, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=RUNTIME", a)
		}
		path, err := exec.LookPath(path)
		if err != nil {
			return err
		}
		all = append(all, &runtime{name: name, path: path, took: map[string][]time.Duration{}})
	}
	if len(all) == 0 || rounds < 1 {
		return errors.New("no runtimes: NAME=RUNTIME, more than once")
	}
	// What is created is left to us, so that its end can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "holdshort-speed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// What they keep of a container is in memory, as it is below /run elsewhere.
	state, err := os.MkdirTemp("/dev/shm", "holdshort-speed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	if err := makeBundle(dir, program, all[0].path); err != nil {
		return err
	}
	for i := range rounds + 1 {
		for _, n := range rand.Perm(len(all)) {
			if err := all[n].once(dir, filepath.Join(state, all[n].name), i == 0); err != nil { // the first is slower: its file is read
				return fmt.Errorf("%s: %w", all[n].name, err)
			}
		}
	}
	print(all)
	return nil
}

// makeBundle makes one of the configuration that a runtime writes itself, without
// the mount of cgroups, which not all runtimes can on all machines.
func makeBundle(dir, program, runtime string) error {
	var args []string
	if program == "" {
		var err error
		if program, err = exec.LookPath("busybox"); err != nil {
			return err
		}
		args = []string{"true"}
	}
	args = slices.Insert(args, 0, "/"+filepath.Base(program))
	b, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs", args[0]), b, 0o755); err != nil {
		return err
	}
	spec := exec.Command(runtime, "spec")
	spec.Dir = dir
	if out, err := spec.CombinedOutput(); err != nil {
		return fmt.Errorf("%s spec: %w: %s", runtime, err, out)
	}
	config := filepath.Join(dir, "config.json")
	if b, err = os.ReadFile(config); err != nil {
		return err
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	process, _ := c["process"].(map[string]any)
	mounts, _ := c["mounts"].([]any)
	if process == nil || mounts == nil {
		return errors.New("what spec writes has no process or no mounts")
	}
	process["args"], process["terminal"] = args, false
	c["ociVersion"] = "1.0.2"
	c["mounts"] = slices.DeleteFunc(mounts, func(m any) bool {
		t, _ := m.(map[string]any)
		return strings.HasPrefix(fmt.Sprint(t["type"]), "cgroup")
	})
	if b, err = json.Marshal(c); err != nil {
		return err
	}
	return os.WriteFile(config, b, 0o644)
}

// once does each step once.
func (r *runtime) once(bundle, state string, discard bool) error {
	id := fmt.Sprintf("holdshort-speed-%d-%s", os.Getpid(), r.name)
	pidFile := filepath.Join(bundle, "pid")
	var cpu time.Duration
	step := func(name string, args ...string) error {
		cmd := exec.Command(r.path, append([]string{"--root", state, name}, args...)...)
		cmd.Dir = bundle
		begun := time.Now()
		// No streams of ours: what is created keeps them, and would be waited for.
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		took := time.Since(begun)
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if !discard {
			r.took[name] = append(r.took[name], took)
		}
		return nil
	}
	if err := step("--version"); err != nil {
		return err
	}
	if err := step("run", "--pid-file", pidFile, id); err != nil {
		return err
	}
	if err := step("create", "--pid-file", pidFile, id); err != nil {
		return err
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	kib, err := pss(pid)
	if err != nil {
		return err
	}
	if !discard {
		r.parked = append(r.parked, kib)
	}
	if err := step("start", id); err != nil {
		return err
	}
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err := step("delete", id); err != nil {
		return err
	}
	if !discard {
		r.cpu = append(r.cpu, cpu)
	}
	return nil
}

// pss is the proportional share of memory of a process, see
// Documentation/filesystems/proc.rst.
func pss(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New("smaps_rollup has no Pss")
}

func print(all []*runtime) {
	base := all[len(all)-1]
	fmt.Printf("%-12s", "")
	for _, s := range steps {
		fmt.Printf("%-18s", s)
	}
	fmt.Printf("%-18screated\n", "processor")
	for _, r := range all {
		fmt.Printf("%-12s", r.name)
		for _, s := range steps {
			fmt.Printf("%-18s", fmt.Sprintf("%.2f ms  x%.2f", ms(r.took[s]), ms(r.took[s])/ms(base.took[s])))
		}
		fmt.Printf("%-18s%d KiB\n", fmt.Sprintf("%.2f ms  x%.2f", ms(r.cpu), ms(r.cpu)/ms(base.cpu)), median(r.parked))
	}
	fmt.Printf("medians of %d; x: as a multiple of %s; processor: time of all five; created: memory (Pss) of a container's process before start\n", len(base.parked), base.name)
}

func ms(d []time.Duration) float64 { return float64(median(d).Microseconds()) / 1e3 }

func median[T int | time.Duration](v []T) T { return slices.Sorted(slices.Values(v))[len(v)/2] }
