package vm

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// program copies a program and, if it is linked dynamically, its interpreter
// and libraries. What a program opens by itself later (dlopen, plug-ins,
// locale data) is not seen; take that along as files.
func (im *image) program(name, from string) error {
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	if err := im.file(name, real); err != nil {
		return err
	}
	f, err := elf.Open(real)
	if err != nil {
		return nil // a script: its interpreter is the caller's matter
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return err
		}
		interp := strings.TrimRight(string(b), "\x00")
		if err := im.file(interp, interp); err != nil {
			return fmt.Errorf("interpreter of %s: %w", from, err)
		}
	}
	return im.libraries(from, f, map[string]bool{})
}

func (im *image) libraries(of string, f *elf.File, seen map[string]bool) error {
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, _ := f.DynString(tag)
		for _, p := range paths {
			for _, d := range filepath.SplitList(p) {
				dirs = append(dirs, strings.ReplaceAll(strings.ReplaceAll(d, "${ORIGIN}", "$ORIGIN"), "$ORIGIN", filepath.Dir(of)))
			}
		}
	}
	dirs = append(dirs, libraryDirs(f.Machine)...)
	for _, lib := range needed {
		if seen[lib] {
			continue
		}
		seen[lib] = true
		i := slices.IndexFunc(dirs, func(d string) bool { _, err := os.Stat(filepath.Join(d, lib)); return err == nil })
		if i < 0 {
			return fmt.Errorf("vm: %s needs %s, which is in none of %s", of, lib, strings.Join(dirs, ", "))
		}
		p := filepath.Join(dirs[i], lib)
		if err := im.file(p, p); err != nil {
			return err
		}
		l, err := elf.Open(p)
		if err != nil {
			return fmt.Errorf("vm: library %s: %w", p, err)
		}
		err = im.libraries(p, l, seen)
		l.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// libraryDirs is where the dynamic linker looks by default, on Debian and elsewhere.
func libraryDirs(m elf.Machine) []string {
	triple := map[elf.Machine]string{elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu"}[m]
	return []string{"/lib/" + triple, "/usr/lib/" + triple, "/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
}
