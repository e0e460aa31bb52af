package oci

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/checkpoint"
)

// errNoProgram is worded as callers look for it, to tell this failure from
// others.
var errNoProgram = errors.New("executable file not found in the container: no such file or directory")

// checkProgram looks for the program in the root of a parked process. The
// specification leaves that to start; other engines do it when they create, and
// callers tell by it what went wrong. Only what is certainly missing is an error.
func checkProgram(pid int, cfg *checkpoint.Config) error {
	root, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil //nolint:nilerr // then start will say
	}
	defer unix.Close(root)
	for _, path := range cfg.Candidates() {
		if !strings.HasPrefix(path, "/") {
			path = filepath.Join(cfg.Cwd, path)
		}
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, path, &how)
		if err == nil {
			unix.Close(fd)
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			return nil
		}
	}
	return fmt.Errorf("process.args[0]: exec: %q: %w", cfg.Args[0], errNoProgram)
}
