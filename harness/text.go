package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moby/sys/capability"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/witness"
	"github.com/holdshort/holdshort/probes/posture"
)

// Style is how a report looks on a terminal. The zero Style is plain text: what
// a file, or a terminal with NO_COLOR set, gets.
type Style struct {
	Color bool
	// Width is that of the screen in columns; 0 means 80.
	Width int
	// Verbose lists every check, not only what is worth a look.
	Verbose bool
}

const maxLines = 8 // of each section, so that the whole fits one screen

// Text writes the report for people: the verdict, then findings, then what
// could not be seen, then what held.
func (r *Report) Text(w io.Writer, s Style) error {
	if s.Width <= 0 {
		s.Width = 80
	}
	p := &printer{style: s}
	p.head(r)
	p.section("findings", "31", r.Checks, func(c *CheckReport) bool { return c.Outcome.Finding() })
	p.section("no evidence", "33", r.Checks, func(c *CheckReport) bool {
		return c.Outcome == oracle.Unobservable && (s.Verbose || c.Class == oracle.Requested.String())
	})
	p.witness(r)
	p.drift(r)
	p.confirmed(r)
	p.foreign(r)
	p.notes(r)
	p.plan(r)
	p.held(r)
	p.tail(r)
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b     strings.Builder
	style Style
}

func (p *printer) paint(code, text string) string {
	if !p.style.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// line writes one line, cut to the screen's width.
func (p *printer) line(text string) {
	if r := []rune(text); len(r) > p.style.Width {
		text = string(r[:p.style.Width-1]) + "…"
	}
	p.b.WriteString(text + "\n")
}

func (p *printer) head(r *Report) {
	color := map[Verdict]string{Constrained: "32", Violated: "31", Unknown: "33"}[r.Verdict]
	what := strings.Join(r.Workload.Argv, " ")
	rest := fmt.Sprintf("  %s  (%s, Linux %s)", what, r.Engine, r.Kernel)
	if n := p.style.Width - len(r.Verdict); len(rest) > n {
		rest = cut(rest, n)
	}
	p.b.WriteString(p.paint("1;"+color, string(r.Verdict)) + rest + "\n")
	for _, why := range r.Reasons {
		p.wrap(why, 2)
	}
}

// plan lists the steps of the launch, each on one line; of a long row of alike
// ones, such as all capabilities that are dropped, the first and the last.
func (p *printer) plan(r *Report) {
	if len(r.Plan) == 0 {
		return
	}
	p.b.WriteString(p.paint("1", "launched by") + "\n")
	for i := 0; i < len(r.Plan); {
		n := alike(r.Plan[i:])
		if n <= 3 || p.style.Verbose {
			p.line("  " + r.Plan[i].String())
			i++
			continue
		}
		p.line("  " + r.Plan[i].String())
		p.line(fmt.Sprintf("  …      %d more", n-2))
		i += n - 1
	}
}

// alike counts the steps that begin the list and differ only in what they act
// on.
func alike(list []checkpoint.PlannedStep) int {
	n := 1
	for n < len(list) && list[n].Index >= 0 && list[n].Stage == list[0].Stage && list[n].By == list[0].By && slices.Equal(list[n].Calls, list[0].Calls) {
		n++
	}
	return n
}

func (p *printer) section(title, color string, checks []CheckReport, match func(*CheckReport) bool) {
	n := 0
	for i := range checks {
		c := &checks[i]
		if !match(c) {
			continue
		}
		if n == 0 {
			p.b.WriteString(p.paint("1", title) + "\n")
		}
		if n++; n > maxLines && !p.style.Verbose {
			continue
		}
		p.check(c, color)
	}
	if n > maxLines && !p.style.Verbose {
		p.line(fmt.Sprintf("  … and %d more; the JSON report has all of them", n-maxLines))
	}
}

func (p *printer) check(c *CheckReport, color string) {
	outcome := fmt.Sprintf("  %-12s", c.Outcome)
	text := fmt.Sprintf("%-26s", c.Field)
	switch c.Outcome {
	case oracle.Unobservable:
		text += " " + c.Why
	case oracle.Refused: // nothing was there to be compared
	default:
		text += " wanted " + show(c.Want) + ", got " + show(c.Got)
		if c.At != "" {
			text += " at " + string(c.At)
		}
	}
	const indent = 15 // as wide as the outcome
	if room := p.style.Width - len(outcome) - 1; utf8.RuneCountInString(text) > room && c.Outcome != oracle.Unobservable {
		// Wanted and observed value below each other are easier to compare.
		p.b.WriteString(p.paint(color, outcome) + " " + c.Field + "\n")
		p.wrap("wanted "+show(c.Want), indent)
		got := "got    " + show(c.Got)
		if c.At != "" {
			got += " at " + string(c.At)
		}
		p.wrap(got, indent)
	} else {
		p.b.WriteString(p.paint(color, outcome) + " " + strings.TrimRight(cut(text, room), " ") + "\n")
	}
	if c.Why != "" && c.Outcome != oracle.Unobservable {
		p.wrap(c.Why, indent)
	}
}

// confirmed names the optional hooks that spoke.
func (p *printer) confirmed(r *Report) {
	if len(r.ConfirmedBy) > 0 {
		p.wrap("confirmed by "+strings.Join(r.ConfirmedBy, ", "), 2)
	}
}

// foreign tells what there is only with another engine.
func (p *printer) foreign(r *Report) {
	if len(r.Unexpressed) > 0 {
		p.b.WriteString(p.paint("1", "left out, the engine has no words for it") + "\n")
		p.wrap(strings.Join(r.Unexpressed, ", "), 2)
	}
	if r.Executions > 1 {
		p.line(fmt.Sprintf("  %d executions of the program were judged; this is the worst", r.Executions))
	}
	if len(r.Inherited) > 0 {
		p.b.WriteString(p.paint("1", "inherited from the engine's caller, unasked") + "\n")
		for i := range r.Checks {
			if c := &r.Checks[i]; slices.Contains(r.Inherited, c.Field) && c.Outcome == oracle.Equal {
				p.line("  " + c.Field + " " + show(c.Got))
			}
		}
	}
}

// drift tells what was another at the end.
func (p *printer) drift(r *Report) {
	if len(r.Drift) == 0 {
		return
	}
	p.b.WriteString(p.paint("1", "changed while it ran") + "\n")
	for i := range r.Drift {
		if i == maxLines && !p.style.Verbose {
			p.line(fmt.Sprintf("  … and %d more; the JSON report has all of them", len(r.Drift)-maxLines))
			break
		}
		p.line("  " + r.Drift[i].Field + ": " + drift(&r.Drift[i]))
	}
}

// witness tells what was found out from inside.
func (p *printer) witness(r *Report) {
	if len(r.Answers) == 0 {
		return
	}
	p.b.WriteString(p.paint("1", "witness") + "\n")
	agree := 0
	var silent []string
	for _, a := range r.Answers {
		switch a.Standing {
		case witness.Agrees:
			agree++
		case witness.Disagrees:
			p.wrap(fmt.Sprintf("disagrees: %s: wanted %s, got %s", a.Question, a.Want, a.Got), 2)
		default:
			silent = append(silent, a.Question)
		}
	}
	p.line(fmt.Sprintf("  %d of %d answers agree with posture and request", agree, len(r.Answers)))
	if len(silent) > 0 {
		p.wrap("nothing to say on: "+strings.Join(silent, ", "), 2)
	}
}

func (p *printer) notes(r *Report) {
	n := 0
	for i := range r.Checks {
		c := &r.Checks[i]
		if c.Note == "" {
			continue
		}
		if n++; n == 1 {
			p.b.WriteString(p.paint("1", "notes") + "\n")
		}
		p.wrap(c.Field+": "+c.Note, 2)
	}
}

// held tells what was asked for and held, by part of the request.
func (p *printer) held(r *Report) {
	asked, kept := 0, 0
	var names, kinds []string
	seen := map[string]bool{}
	for i := range r.Checks {
		c := &r.Checks[i]
		if c.Outcome != oracle.Equal {
			continue
		}
		if c.Class != oracle.Requested.String() {
			kept++
			continue
		}
		asked++
		name, _, _ := strings.Cut(c.Source, ",")
		if kind, ok := strings.CutPrefix(name, "linux.namespaces: "); ok {
			if !seen[name] {
				kinds = append(kinds, kind)
			}
		} else if short := shortSource(name); !seen[name] {
			names = append(names, short)
		}
		seen[name] = true
	}
	if len(kinds) > 0 {
		names = append([]string{"namespaces (" + strings.Join(kinds, " ") + ")"}, names...)
	}
	if asked+kept == 0 {
		return
	}
	p.b.WriteString(p.paint("1", "held") + "\n")
	if asked > 0 {
		p.wrap(fmt.Sprintf("%d asked for: %s", asked, strings.Join(names, ", ")), 2)
	}
	if kept > 0 {
		p.line(fmt.Sprintf("  %d not asked for, as the caller's or as promised", kept))
	}
}

// shortSource leaves out of a field's name what a reader can do without.
func shortSource(name string) string {
	for _, p := range []string{"linux.", "process.", "holdshort."} {
		name = strings.TrimPrefix(name, p)
	}
	return name
}

// wrap breaks an indented text at spaces, in at most eight lines.
func (p *printer) wrap(text string, indent int) {
	const most = 8
	width := max(p.style.Width-indent, 20)
	margin := strings.Repeat(" ", indent)
	for n := 1; text != ""; n++ {
		if len(text) <= width || n == most {
			p.line(margin + text)
			return
		}
		i := strings.LastIndexByte(text[:width+1], ' ')
		if i <= 0 {
			for i = width; !utf8.RuneStart(text[i]); i-- {
			}
		}
		p.line(margin + text[:i])
		text = strings.TrimPrefix(text[i:], " ")
	}
}

func (p *printer) tail(r *Report) {
	var when []string
	elsewhere := ""
	for _, s := range r.Snapshots {
		w := string(s.At)
		if s.NSSinceProceed > 0 {
			w += fmt.Sprintf(" +%d", s.NSSinceProceed/1000)
		}
		if s.At != AtExit && (s.IPIsEntry == nil || !*s.IPIsEntry) {
			elsewhere = ", not all known to be at the entry point"
		}
		when = append(when, w)
	}
	if len(when) == 0 {
		when = []string{"never"}
	} else {
		if r.Snapshots[len(r.Snapshots)-1].NSSinceProceed > 0 {
			when[len(when)-1] += " µs after release"
		}
		when[len(when)-1] += elsewhere
	}
	p.line("seen: " + strings.Join(when, ", "))
	switch w := r.Workload; {
	case w.Signal != 0:
		p.line(fmt.Sprintf("workload: pid %d, killed by signal %d", w.HostPID, w.Signal))
	case w.HostPID != 0:
		p.line(fmt.Sprintf("workload: pid %d, exited %d", w.HostPID, w.ExitCode))
	}
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n && n > 0 {
		return string(r[:n-1]) + "…"
	}
	return s
}

// show puts a value into a few words.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case posture.CapSet:
		return capNames(v)
	case posture.Namespace:
		return fmt.Sprint(v.Inode)
	case posture.Files:
		fds := make([]string, len(v.Open))
		for i, f := range v.Open {
			fds[i] = fmt.Sprint(f.FD)
		}
		return "fds " + strings.Join(fds, " ")
	case []posture.Filter:
		return fmt.Sprintf("%d filters", len(v))
	case posture.Rlimit:
		return limit(v.Soft) + "/" + limit(v.Hard)
	case string:
		return fmt.Sprintf("%q", v)
	case map[string]any:
		if not, ok := v["not"]; ok {
			return "a new one, not " + show(not)
		}
		if _, ok := v["policy"]; ok {
			return "the policy"
		}
		for _, k := range []string{"as", "within", "at_least", "unknown"} {
			if x, ok := v[k]; ok {
				return strings.ReplaceAll(k, "_", " ") + " " + show(x)
			}
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func limit(n uint64) string {
	if n == ^uint64(0) {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func capNames(s posture.CapSet) string {
	if s == 0 {
		return "no capabilities"
	}
	var names []string
	for n := range 64 {
		if s>>n&1 == 0 {
			continue
		}
		name := capability.Cap(n).String()
		if name == "unknown" {
			name = fmt.Sprintf("cap_%d", n)
		}
		names = append(names, strings.ToUpper(name))
	}
	if len(names) > 6 {
		return fmt.Sprintf("%d capabilities (%#x)", len(names), uint64(s))
	}
	return strings.Join(names, "+")
}
