package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/seccomp"
	"github.com/holdshort/holdshort/harness/request"
)

func verbFeatures(r *invocation, f *flagSet, args []string) error {
	if rest, err := f.parse(args, -1); err != nil || len(rest) > 0 {
		if err == nil {
			err = wrongArgs("features", "no arguments")
		}
		return err
	}
	return r.printJSON(whatWeHave())
}

// whatWeHave is what config.json may ask for.
func whatWeHave() *features.Features {
	yes, no := true, false
	return &features.Features{
		OCIVersionMin: "1.0.0", OCIVersionMax: specs.Version,
		Hooks:        []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions: checkpoint.MountWords(),
		Linux: &features.Linux{
			Namespaces:      []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
			Capabilities:    request.CapNames(),
			Cgroup:          &features.Cgroup{V1: &yes, V2: &yes, Systemd: &no, SystemdUser: &no, Rdma: &yes},
			Seccomp:         seccompFeatures(),
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &no}, // the label of the process is set, that of mounts is not
			IntelRdt:        &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes},
			MemoryPolicy:    memoryPolicies(),
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
		Annotations:                        map[string]string{"org.holdshort.version": Version},
		PotentiallyUnsafeConfigAnnotations: []string{},
	}
}

func seccompFeatures() *features.Seccomp {
	yes := true
	actions, operators, flags, archs := seccomp.Known()
	s := &features.Seccomp{Enabled: &yes}
	for _, a := range actions {
		s.Actions = append(s.Actions, string(a))
	}
	for _, o := range operators {
		s.Operators = append(s.Operators, string(o))
	}
	for _, a := range archs {
		s.Archs = append(s.Archs, string(a))
	}
	for _, f := range flags {
		s.KnownFlags = append(s.KnownFlags, string(f))
		if checkpoint.HaveFilterFlag(f) == nil {
			s.SupportedFlags = append(s.SupportedFlags, string(f))
		}
	}
	return s
}

func memoryPolicies() *features.MemoryPolicy {
	return &features.MemoryPolicy{
		Modes: []string{"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"},
		Flags: []string{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"},
	}
}

func verbSpec(r *invocation, f *flagSet, args []string) error {
	bundle, rootless := "", false
	f.text(&bundle, "bundle", "b", "directory to write it to")
	f.flag(&rootless, "rootless", "", "for a caller without privilege")
	if _, err := f.parse(args, -1); err != nil {
		return err
	}
	path := filepath.Join(bundle, configFile)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("file %s exists: remove it first", path)
	}
	b, err := json.MarshalIndent(exampleSpec(rootless), "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'), 0o666)
}
