package vm

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// consoleKeep is how many lines of a console are kept for the report.
const consoleKeep = 200

// console keeps the last lines of a guest's console and what they tell.
type console struct {
	mu      sync.Mutex
	tee     io.Writer
	lines   []string
	partial []byte
	panic   string // the line that says so
	oom     bool
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tee != nil {
		_, _ = c.tee.Write(p)
	}
	c.partial = append(c.partial, p...)
	for {
		i := bytes.IndexByte(c.partial, '\n')
		if i < 0 && len(c.partial) < 4096 {
			break
		}
		if i < 0 {
			i = len(c.partial) - 1
		}
		c.line(string(bytes.TrimRight(c.partial[:i], "\r\n")))
		c.partial = c.partial[i+1:]
	}
	return len(p), nil
}

func (c *console) line(s string) {
	s = strings.ToValidUTF8(s, "?")
	if strings.Contains(s, "Kernel panic - not syncing") && c.panic == "" {
		c.panic = s
	}
	if strings.Contains(s, "System is deadlocked on memory") || strings.Contains(s, "Out of memory and no killable processes") {
		c.oom = true
	}
	if len(c.lines) == consoleKeep {
		c.lines = append(c.lines[:0], c.lines[1:]...)
	}
	c.lines = append(c.lines, s)
}

// end returns what is known once nothing more is written.
func (c *console) end() (lines []string, panicked string, oom bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.partial) > 0 {
		c.line(string(c.partial))
		c.partial = nil
	}
	return c.lines, c.panic, c.oom
}
