package matrix

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdshort/holdshort/vm"
)

// Host is the name of the row of this machine's own kernel.
const Host = "host"

// Ran is what became of a program that is no test.
type Ran struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"` // Fail: an exit status other than 0; Lost: it never ended
	Status  int     `json:"status"`
	Last    string  `json:"last"`           // line of output
	Tail    string  `json:"tail,omitempty"` // of what failed
	Seconds float64 `json:"seconds"`
}

// Row is what one kernel said.
type Row struct {
	Kernel   string   `json:"kernel"`
	Release  string   `json:"release"`
	Arch     string   `json:"arch"`
	Accel    vm.Accel `json:"accel,omitempty"`
	LSM      string   `json:"lsm,omitempty"`
	Tests    []Test   `json:"tests"`
	Programs []Ran    `json:"programs,omitempty"`
	// Features are what was found on the kernel by trying, never by its
	// version.
	Features []Feature `json:"features,omitempty"`
	Floor    []Floor   `json:"floor,omitempty"` // what starting a process takes here
	Fuzz     *Fuzz     `json:"fuzz,omitempty"`
	Took     []Took    `json:"took,omitempty"`     // every job, in the order in which they ended
	Faults   []string  `json:"faults,omitempty"`   // guests that did not end cleanly, with the console
	Deficits []string  `json:"deficits,omitempty"` // what the kernel has and the guest did not
	Warnings []string  `json:"warnings,omitempty"` // of init
	Guests   int       `json:"guests"`             // more than one: some did not survive
	ImageMS  int64     `json:"image_ms"`           // making the initial ramfs, of the first
	BootMS   int64     `json:"boot_ms"`            // of the first
	Seconds  float64   `json:"seconds"`
	CPU      float64   `json:"cpu_seconds"` // of processors, of all guests: what the row takes, however busy the machine is
}

// Took is how long one job took, in seconds.
type Took struct {
	Job     string  `json:"job"`
	Seconds float64 `json:"seconds"`
}

// Feature is something that a kernel has or has not.
type Feature struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Floor is what a tiny program in C takes to start another and wait for its
// end, in five new namespaces: the median, in microseconds.
type Floor struct {
	Micros float64 `json:"us"`
}

// Fuzz is what a campaign came to.
type Fuzz struct {
	Seed       uint64   `json:"seed"`
	Model      string   `json:"model"`
	Parameters int      `json:"parameters"`
	Judged     int      `json:"judged"`
	Unjudged   int      `json:"unjudged"`
	Findings   []string `json:"findings"` // what differed, and with which parameters
	Flaky      []string `json:"flaky"`
	Seconds    float64  `json:"seconds"`
	// Floors is how many starts by the floor one judged case takes, 0 if there
	// is no floor.
	Floors float64 `json:"floors,omitempty"`
}

// Count is the number of tests with an outcome.
func (r *Row) Count(o Outcome) (n int) {
	for i := range r.Tests {
		if r.Tests[i].Outcome == o {
			n++
		}
	}
	return n
}

// Findings counts the programs that did not end well.
func (r *Row) Findings() (n int) {
	for _, p := range r.Programs {
		if p.Outcome != Pass {
			n++
		}
	}
	return n
}

// capture takes a guest's output, one command's at a time.
type capture struct {
	mu   sync.Mutex
	out  bytes.Buffer
	err  bytes.Buffer
	most int
	over bool // something was left out
}

// maxOutput is how much of one command's output is kept. One that prints more
// has failed: what it said at its end is not known.
const maxOutput = 256 << 20

func (c *capture) stream(to *bytes.Buffer) writer {
	return func(p []byte) (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if to.Len()+len(p) <= c.most {
			to.Write(p)
		} else {
			c.over = true
		}
		return len(p), nil
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func (c *capture) take() (out, err []byte, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, err = bytes.Clone(c.out.Bytes()), bytes.Clone(c.err.Bytes())
	c.out.Reset()
	c.err.Reset()
	over, c.over = c.over, false
	return out, err, over
}

// run runs all jobs on one kernel. A guest that dies is replaced by another
// for the jobs after the one that it died of.
func (m *Matrix) run(ctx context.Context, k *vm.Kernel) *Row {
	start := time.Now()
	row := &Row{Kernel: k.Name, Release: k.Release, Arch: k.Arch}
	defer func() { row.Seconds = time.Since(start).Seconds() }()
	mine := slices.DeleteFunc(slices.Clone(m.Jobs), func(j Job) bool { return j.Here })
	for next := 0; next < len(mine) && ctx.Err() == nil; {
		jobs := mine[next:]
		c := capture{most: cmp.Or(m.most, maxOutput)}
		g := m.Guest // a copy
		g.Kernel = k
		g.Stdout, g.Stderr = c.stream(&c.out), c.stream(&c.err)
		g.Commands, g.Files = nil, slices.Clone(m.Guest.Files)
		for i := range jobs {
			g.Commands = append(g.Commands, m.command(&jobs[i]))
			for _, host := range append([]string{jobs[i].Tree}, jobs[i].Files...) {
				if f := (vm.File{Host: host}); host != "" && !slices.Contains(g.Files, f) {
					g.Files = append(g.Files, f)
				}
			}
		}
		done := 0
		g.Ended = func(i int, e vm.Ending) {
			out, errs, over := c.take()
			if over {
				errs = append(errs, fmt.Sprintf("\nprinted more than %d MB: the rest is lost", c.most>>20)...)
				e.Exit = max(e.Exit, 1)
			}
			m.record(ctx, row, &jobs[i], out, errs, &e)
			done = i + 1
		}
		if m.spoil != nil {
			m.spoil(k, &g)
		}
		r, err := vm.Run(ctx, &g)
		row.Guests++
		if err != nil {
			row.Faults = append(row.Faults, err.Error())
			break
		}
		row.note(k, r)
		if r.Clean() {
			break
		}
		row.Faults = append(row.Faults, r.Error())
		if r.Guest == nil { // it did not even boot: another would not either
			break
		}
		if done < len(jobs) {
			out, errs, _ := c.take()
			m.record(ctx, row, &jobs[done], out, errs, nil)
			done++
		}
		next += done
	}
	m.fill(row, mine)
	return row
}

func (r *Row) note(k *vm.Kernel, res *vm.Result) {
	r.Accel = res.Accel
	r.CPU += float64(res.CPUMS) / 1000
	if r.Guests == 1 {
		r.ImageMS, r.BootMS = res.ImageMS, res.BootMS
		r.Deficits = k.Deficits(res.Guest)
		r.Warnings = res.Warnings
		if res.Guest != nil {
			r.Release, r.LSM = res.Guest.Release, res.Guest.LSM
		}
	}
}

// fill marks as lost what never was run, so that nothing looks complete.
func (m *Matrix) fill(row *Row, jobs []Job) {
	seen := map[string]bool{}
	for _, t := range row.Tests {
		seen[t.Package] = true
	}
	for _, p := range row.Programs {
		seen[p.Name] = true
	}
	for i := range jobs {
		if j := &jobs[i]; !seen[j.Name] {
			m.record(context.Background(), row, j, nil, []byte("never run"), nil)
		}
	}
}

// noTests is what is said of a package that has no test, or none that was asked for.
const noTests = "no tests"

// idle reports that tests were to run, and that there was none.
func (r *Row) idle() bool {
	return len(r.Tests) > 0 && !slices.ContainsFunc(r.Tests, func(t Test) bool { return t.Outcome != Pass || t.Why != noTests })
}

// record takes what one job has printed; e is nil if it never ended.
func (m *Matrix) record(ctx context.Context, row *Row, j *Job, out, errs []byte, e *vm.Ending) {
	status, seconds := -1, 0.0
	if e != nil {
		status, seconds = vm.Status(*e), float64(e.MS)/1000
		if e.Error != "" {
			errs = append(errs, e.Error...)
		}
		if e.TimedOut {
			errs = append(errs, fmt.Sprintf("killed at the limit of %v", m.Limit)...)
		}
	}
	row.Took = append(row.Took, Took{j.Name, seconds})
	if j.Test {
		tests, err := readTests(context.WithoutCancel(ctx), j.Name, append(out, errs...), status, e != nil && e.Started && !e.TimedOut && e.Signal == 0)
		if err != nil {
			row.Faults = append(row.Faults, err.Error())
		}
		if len(tests) == 0 {
			tests = []Test{{Package: j.Name, Outcome: Pass, Why: noTests}}
			if status != 0 {
				tests[0].Outcome, tests[0].Why = Lost, lastLines(string(errs), 10)
			}
		}
		row.Tests = append(row.Tests, tests...)
		m.say("%s: %s: %s (%.0f s)", row.Kernel, j.Name, counts(tests), seconds)
		for i := range tests {
			if t := &tests[i]; t.Outcome == Fail || t.Outcome == Lost {
				m.say("%s: %s: %s", row.Kernel, t.Outcome, t.ID())
			}
		}
		return
	}
	p := Ran{Name: j.Name, Outcome: Pass, Status: status, Last: lastLines(string(out), 1), Seconds: seconds}
	if e == nil {
		p.Outcome = Lost
	} else if status != 0 {
		p.Outcome = Fail
	}
	if p.Outcome != Lost && j.Read != nil {
		if err := j.Read(row, &p, out); err != nil {
			p.Outcome = Fail
			errs = append(errs, "\n"+err.Error()...)
		}
	}
	if p.Outcome != Pass && p.Tail == "" {
		p.Tail = lastLines(string(out)+string(errs), 40)
	}
	row.Programs = append(row.Programs, p)
	m.say("%s: %s: %s: %s (%.0f s)", row.Kernel, j.Name, p.Outcome, p.Last, seconds)
}

// runHost runs the jobs on this machine, without a guest.
func (m *Matrix) runHost(ctx context.Context) *Row {
	start := time.Now()
	row := &Row{Kernel: Host, Release: hostRelease(), Arch: m.Arch}
	for i := range m.Jobs {
		if ctx.Err() != nil {
			break
		}
		j := &m.Jobs[i]
		jctx, cancel := context.WithTimeout(ctx, m.Limit)
		program := j.Argv[0]
		if j.Host != "" {
			program = j.Host
		}
		cmd := exec.CommandContext(jctx, program, j.Argv[1:]...)
		cmd.Dir, cmd.WaitDelay = j.Dir, 10*time.Second
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		begun := time.Now()
		err := cmd.Run()
		e := &vm.Ending{Started: cmd.ProcessState != nil, MS: time.Since(begun).Milliseconds(), TimedOut: jctx.Err() != nil}
		cancel()
		if cmd.ProcessState != nil {
			row.CPU += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			e.Exit = cmd.ProcessState.ExitCode() // -1 by a signal
		} else if err != nil {
			e.Error = err.Error()
		}
		m.record(ctx, row, j, out.Bytes(), errs.Bytes(), e)
	}
	m.fill(row, m.Jobs)
	row.Seconds = time.Since(start).Seconds()
	return row
}

func hostRelease() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}

func counts(tests []Test) string {
	r := Row{Tests: tests}
	return fmt.Sprintf("%d passed, %d failed, %d skipped, %d lost", r.Count(Pass), r.Count(Fail), r.Count(Skip), r.Count(Lost))
}

func lastLines(s string, n int) string {
	l := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(l[max(0, len(l)-n):], "\n")
}
