package checkpoint

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

func mapped(m []IDMap, id uint32) bool {
	for _, l := range m {
		if id >= l.Inside && uint64(id) < uint64(l.Inside)+uint64(l.Count) {
			return true
		}
	}
	return false
}

func mapText(m []IDMap) string {
	if len(m) == 0 {
		return ""
	}
	var b strings.Builder
	for _, l := range m {
		fmt.Fprintf(&b, "%d %d %d\n", l.Inside, l.Outside, l.Count)
	}
	return b.String()
}

// idMaps has the maps written before the child does anything. The agent does
// it, as the writer must be in the parent namespace; the file is reached through
// a descriptor of the child's /proc directory, and the child cannot be reaped
// meanwhile, so no other process can be meant. See user_namespaces(7).
func (p *plan) idMaps() {
	if p.cfg.MapHelper {
		p.mapHelper()
		return
	}
	file := func(name, text string) {
		if text == "" {
			return
		}
		reg := p.reg()
		open := agent.Sys(unix.SYS_OPENAT, agent.R(agent.RegPIDDir), agent.S(name), agent.N(unix.O_WRONLY|unix.O_CLOEXEC))
		open.Save = reg
		p.agent.add(StageMaps, -1, name, open, write(reg, text))
	}
	if p.cfg.DenySetgroups {
		file("setgroups", "deny")
	}
	file("uid_map", mapText(p.cfg.UIDMap))
	file("gid_map", mapText(p.cfg.GIDMap))
}

// mapHelper has newuidmap(1) and newgidmap(1) write the maps, which are allowed
// what /etc/subuid and /etc/subgid give the caller.
func (p *plan) mapHelper() {
	helper := func(name string, m []IDMap) {
		if len(m) == 0 {
			return
		}
		p.first = append(p.first, hostStep{StageMaps, name, func(w *Workload) error {
			args := []string{strconv.Itoa(w.HostPID())}
			for _, l := range m {
				args = append(args, fmt.Sprint(l.Inside), fmt.Sprint(l.Outside), fmt.Sprint(l.Count))
			}
			out, err := exec.Command(name, args...).CombinedOutput()
			if errors.Is(err, exec.ErrNotFound) {
				return fmt.Errorf("%w: install the package uidmap", err)
			}
			if err != nil {
				return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
			}
			return nil
		}})
	}
	helper("newuidmap", p.cfg.UIDMap)
	helper("newgidmap", p.cfg.GIDMap)
}
