package checkpoint

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// oom of a launch comes before the child changes its ids ([plan.settle]): after
// that /proc/self/oom_score_adj belongs to user 0 of the user namespace that its
// memory is of, which is still the agent's (task_dump_owner, fs/proc/base.c).
// For the same reason a parked child in a user namespace is written to by the
// host.
func (p *plan) oom(cfg *Config) {
	v := cfg.OOMScoreAdj
	switch {
	case cfg == p.cfg || !v.Set:
	case p.inUserNS():
		text := strconv.Itoa(v.Value)
		p.host = append(p.host, hostStep{StageOOM, text, func(w *Workload) error { return w.writeProc("oom_score_adj", text) }})
	default:
		p.setOOM(cfg)
	}
}

func (p *plan) setOOM(cfg *Config) {
	if v := cfg.OOMScoreAdj; v.Set {
		p.procFile(StageOOM, strconv.Itoa(v.Value), "self/oom_score_adj", strconv.Itoa(v.Value))
	}
}

// writeProc writes a file of the child's pinned /proc directory.
func (w *Workload) writeProc(name, text string) error {
	fd, err := w.openProcAt(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}
