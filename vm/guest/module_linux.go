package guest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// modprobePath is the kernel's default for the program that it runs to load
// a module (/proc/sys/kernel/modprobe).
const modprobePath = "/sbin/modprobe"

// moduleDir is where the modules of the running kernel are.
func moduleDir() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return "/lib/modules/" + unix.ByteSliceToString(u.Release[:])
}

// moduleParams keeps modules from making devices that nobody asked for, as
// systemd's modprobe.d does.
var moduleParams = map[string]string{"dummy": "numdummies=0", "ifb": "numifbs=0", "bonding": "max_bonds=0"}

// loadModule loads one module file. Compressed ones are left to the kernel
// to unpack (since Linux 5.17, MODULE_DECOMPRESS). Its being there already is
// no error.
func loadModule(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	flags := 0
	if !strings.HasSuffix(path, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(fd, moduleParams[moduleName(path)], flags); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// modprobe loads the modules that match a name or an alias, each after those
// that it depends on: "modprobe -q -- NAME", as the kernel calls it.
func modprobe(args []string) int {
	name := ""
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			name = a
			break
		}
	}
	if name == "" {
		return 1
	}
	dir := moduleDir()
	deps, err := readDeps(dir)
	if err != nil {
		return 1
	}
	status := 1
	for _, want := range append(aliases(dir, name), moduleName(name)) {
		for _, line := range deps {
			if moduleName(line[0]) != want {
				continue
			}
			if err := loadInOrder(dir, line); err != nil {
				fmt.Fprintln(os.Stderr, "modprobe:", err)
				continue
			}
			status = 0
		}
	}
	return status
}

// loadInOrder loads a line of modules.dep: the module, then what it needs,
// the last of which needs nothing (depmod(8)).
func loadInOrder(dir string, line []string) error {
	for _, f := range slices.Backward(line) {
		if err := loadModule(filepath.Join(dir, f)); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// moduleName is the kernel's name of the module in a file.
func moduleName(path string) string {
	n, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(n, "-", "_")
}

// readDeps reads modules.dep: each line a module and what it needs.
func readDeps(dir string) ([][]string, error) {
	var out [][]string
	err := eachLine(filepath.Join(dir, "modules.dep"), func(s string) {
		m, needs, _ := strings.Cut(s, ":")
		out = append(out, append([]string{m}, strings.Fields(needs)...))
	})
	return out, err
}

// aliases are the modules that modules.alias names for name.
func aliases(dir, name string) []string {
	var out []string
	name = strings.ReplaceAll(name, "-", "_")
	_ = eachLine(filepath.Join(dir, "modules.alias"), func(s string) {
		f := strings.Fields(s)
		if len(f) != 3 || f[0] != "alias" {
			return
		}
		if ok, _ := filepath.Match(strings.ReplaceAll(f[1], "-", "_"), name); ok {
			out = append(out, f[2])
		}
	})
	return out
}

func eachLine(path string, do func(string)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		do(s.Text())
	}
	return s.Err()
}
