package compare

import (
	"context"
	"errors"
	"os"

	"github.com/cilium/ebpf/btf"
	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/fuzz"
	"golang.org/x/sys/unix"
)

// hasMember tells from the kernel's type information whether a structure has a
// member.
func hasMember(structure, member string) string {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return "unknown"
	}
	var s *btf.Struct
	if err := spec.TypeByName(structure, &s); err != nil {
		return "no"
	}
	for _, m := range s.Members {
		if m.Name == member {
			return "yes"
		}
	}
	return "no"
}

// inBareRoot executes a program by descriptor in a root that has nothing in
// /dev and /proc.
func inBareRoot(ctx context.Context, m *fuzz.Machine) string {
	f, err := os.Open(m.Dir + "/workload")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	l, err := checkpoint.New(ctx)
	if err != nil {
		return "unknown"
	}
	defer l.Close()
	w, err := l.Start(ctx, &checkpoint.Config{
		Args: []string{"workload"}, Namespaces: []checkpoint.Namespace{{Kind: checkpoint.Mnt}}, Root: checkpoint.Root{Path: m.Dir + "/root"},
	}, &checkpoint.Options{Program: f})
	if err != nil {
		var e *checkpoint.Error
		if errors.As(err, &e) && errors.Is(err, unix.ENOENT) && e.Stage == checkpoint.StageExec {
			return "no"
		}
		return err.Error()
	}
	if _, err := w.Wait(ctx); err != nil {
		return err.Error()
	}
	return "yes"
}
