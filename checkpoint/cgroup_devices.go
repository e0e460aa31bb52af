package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdshort/holdshort/checkpoint/devices"
	"golang.org/x/sys/unix"
)

// devices restricts which device nodes may be used, before the workload is
// born.
func (p *plan) devices() {
	g := &p.cfg.Cgroup
	if !g.Devices.Set || p.setup.err != nil {
		return
	}
	if dir := g.V1["devices"]; dir != "" {
		lines, err := devices.Lines(g.Devices.Value)
		if err != nil {
			p.setup.fail(StageCgroup, -1, dir, err)
			return
		}
		for _, l := range lines {
			if err := writeFile(filepath.Join(dir, l.File), l.Value); err != nil {
				p.setup.fail(StageCgroup, -1, filepath.Join(dir, l.File), fmt.Errorf("%q: %w", l.Value, err))
				return
			}
		}
		return
	}
	prog, err := devices.Load(g.Devices.Value)
	if err != nil {
		p.setup.fail(StageCgroup, -1, g.V2, err)
		return
	}
	if err := prog.Attach(p.cgroupFD); err != nil {
		_ = prog.Close()
		p.setup.fail(StageCgroup, -1, g.V2, err)
		return
	}
	if slices.Contains(p.made, g.V2) {
		_ = prog.Close() // the cgroup keeps it, and ends with the workload
		return
	}
	p.deviceProgram = prog
}

// detach takes the device program off a cgroup that was there before.
func (p *plan) detach() error {
	if p.deviceProgram == nil {
		return nil
	}
	prog := p.deviceProgram
	p.deviceProgram = nil
	defer prog.Close()
	dir, err := os.OpenFile(p.cfg.Cgroup.V2, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = prog.Detach(int(dir.Fd()))
		dir.Close()
	}
	if err != nil {
		return fail(StageCgroup, p.cfg.Cgroup.V2, err)
	}
	return nil
}
