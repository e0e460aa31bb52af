package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

const floorName = "C floor"

// contestants makes all of them anew, so that no case inherits the state of
// the one before. The first is the floor that ratios are taken from.
func contestants(s *settings, dir string) []contestant {
	list := []contestant{
		&floor{name: floorName, mode: "fork", path: s.floor, arg: s.workload},
		&floor{name: "C floor, vfork", mode: "vfork", path: s.floor, arg: s.workload},
	}
	list = append(list, ours(s)...)
	return append(list,
		osExec(s.workload),
		command("unshare", s.workload, unshareArgs),
		command("bwrap", s.workload, bwrapArgs),
		ociRuntime("crun", s.workload, dir),
		ociRuntime("runc", s.workload, dir))
}

var errNotThisCase = errors.New("does not do this set of namespaces")

// osExec is the standard library, with what it can do without a hook.
func osExec(workload string) contestant {
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
	return &inProcess{name: "os/exec", launch: func(ns namespaces) error {
		cmd := exec.Command(workload)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: ns.flags}
		if ns.user {
			cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = maps, maps
		}
		return cmd.Run()
	}}
}

// command is a program that sets things up and runs the workload. Its time
// includes its own start by os/exec, as for every caller.
func command(name, workload string, args func(ns namespaces, workload string) ([]string, error)) contestant {
	path, err := exec.LookPath(name)
	if err != nil {
		return skipped{name, errors.New("not installed")}
	}
	return &inProcess{name: name, launch: func(ns namespaces) error {
		a, err := args(ns, workload)
		if err != nil {
			return err
		}
		return quiet(exec.Command(path, a...))
	}}
}

// quiet runs a command whose output matters only if it fails.
func quiet(cmd *exec.Cmd) error {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("%w: %s", err, first)
	}
	return nil
}

func unshareArgs(ns namespaces, workload string) ([]string, error) {
	switch ns.name {
	case "none":
		return []string{workload}, nil
	case "five":
		return []string{"-mpnuif", "--propagation", "unchanged", workload}, nil
	}
	// It maps root only: a range would start two more programs.
	return []string{"-UmpnuiCTf", "-r", "--propagation", "unchanged", workload}, nil
}

func bwrapArgs(ns namespaces, workload string) ([]string, error) {
	switch ns.name {
	case "five":
		return []string{
			"--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-ipc",
			"--ro-bind", "/", "/", workload,
		}, nil
	case "eight": // it knows no time namespace
		return []string{"--unshare-user", "--unshare-all", "--ro-bind", "/", "/", workload}, nil
	}
	return nil, errNotThisCase
}

// ociRuntime is an OCI runtime with a bundle of the same workload.
func ociRuntime(name, workload, dir string) contestant {
	path, err := exec.LookPath(name)
	if err != nil {
		return skipped{name, errors.New("not installed")}
	}
	bundle := filepath.Join(dir, "bundle-"+name)
	if err := makeBundle(path, bundle, workload); err != nil {
		return skipped{name, err}
	}
	var serial atomic.Int64
	return &inProcess{name: name, launch: func(ns namespaces) error {
		if ns.name != "five" {
			return errNotThisCase
		}
		id := fmt.Sprintf("holdshort-bench-%d-%d", os.Getpid(), serial.Add(1))
		return quiet(exec.Command(path, "run", "--bundle", bundle, id))
	}}
}

// makeBundle has the runtime write its own default config.json, which has the
// five namespaces, and changes only what is run.
func makeBundle(path, bundle, workload string) error {
	rootfs := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(workload)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(rootfs, "true"), program, 0o755); err != nil {
		return err
	}
	config := filepath.Join(bundle, "config.json")
	if err := os.Remove(config); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	spec := exec.Command(path, "spec")
	spec.Dir = bundle
	if err := quiet(spec); err != nil {
		return err
	}
	b, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	process, ok := c["process"].(map[string]any)
	if !ok {
		return errors.New("config.json of spec has no process")
	}
	process["args"], process["terminal"] = []string{"/true"}, false
	linux, ok := c["linux"].(map[string]any)
	if !ok {
		return errors.New("config.json of spec has no linux")
	}
	linux["namespaces"] = []map[string]string{
		{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
	}
	if b, err = json.Marshal(c); err != nil {
		return err
	}
	return os.WriteFile(config, b, 0o644)
}
