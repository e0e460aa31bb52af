package bpf

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// layoutEnv names a directory of kernels: vmlinux files, or files of BTF. Each
// must have every layout that the programs know: the programs are relocated
// against it, and this kernel's verifier walks the result, in which a member
// that was not found and not asked for with field_exists is an error.
const layoutEnv = "HOLDSHORT_BTF_DIR"

func TestPrograms_FitOtherKernels(t *testing.T) {
	dir := os.Getenv(layoutEnv)
	if dir == "" {
		t.Skipf("needs other kernels' type information, in the directory that %s names", layoutEnv)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s names %s, in which there is nothing", layoutEnv, dir)
	}
	for _, f := range files {
		types, err := loadTypes(f)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		t.Run(filepath.Base(f), func(t *testing.T) {
			spec, err := LoadProbes()
			if err != nil {
				t.Fatal(err)
			}
			c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
				Programs: ebpf.ProgramOptions{KernelTypes: types},
			})
			if errors.Is(err, unix.EPERM) {
				t.Skip("needs the privilege to load programs")
			}
			if v, ok := errors.AsType[*ebpf.VerifierError](err); ok {
				t.Fatalf("%v\n%s", err, strings.Join(v.Log[max(0, len(v.Log)-30):], "\n"))
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		})
	}
}

// loadTypes reads what /sys/kernel/btf/vmlinux has on another machine, or the
// same from a kernel's image, even one without symbols.
func loadTypes(file string) (*btf.Spec, error) {
	image, err := elf.Open(file)
	if err != nil {
		return btf.LoadSpec(file)
	}
	defer image.Close()
	s := image.Section(".BTF")
	if s == nil {
		return nil, errors.New("no .BTF section")
	}
	b, err := s.Data()
	if err != nil {
		return nil, err
	}
	return btf.LoadSpecFromReader(bytes.NewReader(b))
}
