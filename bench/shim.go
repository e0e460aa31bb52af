package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// shimOverhead measures what "holdshort shim" adds to a runtime's own time: the
// runtime, the runtime once more (how far two series of the same thing are
// apart), and the shim before it, taking turns in a new order each time. The
// ratio of a turn is taken to the runtime's own time in that turn.
func shimOverhead(s *settings, r *results, dir string) error {
	for _, name := range []string{"runc", "crun"} {
		if err := shimBefore(s, r, dir, name, false); err != nil {
			return err
		}
	}
	// In use there is more above a runtime, which takes time of its own.
	return shimBefore(s, r, dir, "runc", true)
}

func shimBefore(s *settings, r *results, dir, name string, podman bool) error {
	title := "the shim before " + name
	if podman {
		title += ", below podman run"
	}
	title += "; ratio: the middle of those to the runtime's own time in the same turn"
	r.begin(title)
	path, err := exec.LookPath(name)
	if err != nil {
		r.skip(title, name, errors.New("not installed"))
		return nil
	}
	bundle := filepath.Join(dir, "bundle-shim-"+name)
	if err := makeBundle(path, bundle, s.workload); err != nil {
		r.skip(title, name, err)
		return nil
	}
	var serial atomic.Int64
	state := filepath.Join(dir, "state")
	run := func(front ...string) func() error {
		script := filepath.Join(dir, fmt.Sprintf("%s-%d", name, serial.Add(1)))
		lines := fmt.Sprintf("#!/bin/sh\nHOLDSHORT_SHIM_STATE='%s' exec '%s' \"$@\"\n", state, strings.Join(front, "' '"))
		return func() error {
			id := fmt.Sprintf("holdshort-shim-%d-%d", os.Getpid(), serial.Add(1))
			args := slices.Concat(front, []string{"run", "--bundle", bundle, id})
			if podman {
				if err := os.WriteFile(script, []byte(lines), 0o755); err != nil {
					return err
				}
				args = []string{
					"podman", "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime", script, "run", "--rm", "--network=none",
					"--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--rootfs", filepath.Join(bundle, "rootfs"), "/true",
				}
			}
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "HOLDSHORT_SHIM_STATE="+state)
			return quiet(cmd)
		}
	}
	reports := filepath.Join(dir, fmt.Sprintf("reports-%s-%v", name, podman))
	shim := []string{s.holdshort, "shim", "--runtime", path, "--engine", name, "--reports", reports}
	contestants := []struct {
		name string
		run  func() error
	}{
		{name, run(path)},
		{name + ", once more", run(path)},
		{"shim, " + name, run(append(slices.Clone(shim), "--")...)},
		{"shim --freeze, " + name, run(append(slices.Clone(shim), "--freeze", "--")...)},
	}
	defer endKeeper(state)
	for _, c := range contestants { // the first call starts the keeper
		if err := errors.Join(c.run(), c.run()); err != nil {
			r.skip(title, c.name, err)
			return nil
		}
	}
	took := make([][]time.Duration, len(contestants))
	order := rand.New(rand.NewPCG(1, 1))
	for range s.shimTurns {
		for _, i := range order.Perm(len(contestants)) {
			start := time.Now()
			if err := contestants[i].run(); err != nil {
				return fmt.Errorf("%s: %w", contestants[i].name, err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i, c := range contestants {
		ratios := make([]float64, len(took[i]))
		for k := range ratios {
			ratios[k] = float64(took[i][k]) / float64(took[0][k])
		}
		slices.Sort(ratios)
		r.add(row{
			Case: title, What: c.name, N: len(took[i]), P50: micros(median(took[i])), P99: micros(quantile(took[i], 0.99)),
			PerSecond: float64(len(took[i])) / sum(took[i]).Seconds(), Ratio: ratios[len(ratios)/2],
		})
	}
	// Each has to leave a report, or what was measured is no verification. The
	// last ones are written after the runtime has ended.
	want, deadline := 2*s.shimTurns, time.Now().Add(30*time.Second)
	for {
		list, err := filepath.Glob(filepath.Join(reports, "*.json"))
		switch {
		case err != nil:
			return err
		case len(list) >= want:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s: %d reports of %d runs behind the shim", name, len(list), want)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// endKeeper ends the keeper that holds a state directory's lock.
func endKeeper(state string) {
	var st unix.Stat_t
	if unix.Stat(filepath.Join(state, "lock"), &st) != nil {
		return
	}
	locks, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(locks)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
				_ = unix.Kill(pid, unix.SIGTERM)
			}
		}
	}
}
