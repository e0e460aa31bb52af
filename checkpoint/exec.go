package checkpoint

import (
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// Candidates are the paths that execve is tried with, in order.
func (c *Config) Candidates() []string {
	path := c.Path
	if path == "" {
		path = c.Args[0]
	}
	if !c.SearchPath || strings.Contains(path, "/") {
		return []string{path}
	}
	search := "/usr/local/bin:/usr/bin:/bin" // as execvp(3) without PATH, but never the current directory
	for _, e := range c.Env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	var all []string
	for dir := range strings.SplitSeq(search, ":") {
		if dir == "" {
			dir = "."
		}
		all = append(all, dir+"/"+path)
	}
	return all
}

// exec ends the plan. With a PATH the candidates are tried as execvp(3) does;
// the last one's errno is the answer, unless an earlier one was there but not
// executable.
func (p *plan) exec() {
	all := p.cfg.Candidates()
	args, env := agent.L(p.cfg.Args), agent.L(p.cfg.Env)
	for i, path := range all {
		op := agent.Sys(unix.SYS_EXECVE, agent.S(path), args, env)
		if i < len(all)-1 {
			op.AnyErr = true
		}
		p.final.add(StageExec, -1, path, op)
	}
}
