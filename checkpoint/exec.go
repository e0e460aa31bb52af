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

// exec ends the plan. An open program is executed as it is. With a PATH the candidates are tried as execvp(3) does;
// the last one's errno is the answer, unless an earlier one was there but not
// executable.
func (p *plan) exec() {
	args, env := agent.L(p.cfg.Args), agent.L(p.cfg.Env)
	if f := p.opts.Program; f != nil {
		fd := agent.R(p.program[1])
		if n := p.opts.ProgramNumber; n > 0 {
			fd = agent.N(n)
		}
		p.final.add(StageExec, -1, f.Name(), agent.Sys(unix.SYS_EXECVEAT, fd, agent.S(""), args, env, agent.N(unix.AT_EMPTY_PATH)))
		return
	}
	all := p.cfg.Candidates()
	for i, path := range all {
		op := agent.Sys(unix.SYS_EXECVE, agent.S(path), args, env)
		if i < len(all)-1 {
			op.AnyErr = true
		}
		p.final.add(StageExec, -1, path, op)
	}
}
