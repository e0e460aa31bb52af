package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"

	"github.com/holdshort/holdshort/fuzz/campaign"
	"github.com/holdshort/holdshort/harness"
	"github.com/holdshort/holdshort/vm/matrix"
)

// Set is what is known from any number of files. The zero Set is empty.
type Set struct {
	results  campaign.Results
	files    map[string]int // lines that count
	matrices map[digest]*matrix.Report
	cases    map[digest]*harness.Report
	problems map[Problem]bool
	places   map[string]Place // of findings, by campaign, case and key
	ids      map[string]bool  // of campaigns
	count    int              // lines of the file under way
}

type digest [sha256.Size]byte

// Problem is a part of a file that does not count.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1; 0 for the whole file
	Why  string `json:"why"`
	// Cut says that it is what a killed run leaves: a line that was not written
	// to its end. No case counts as judged without the lines before that say
	// so, so nothing is missing. Any other part that does not count may be
	// what was found.
	Cut bool `json:"cut,omitempty"`
}

// String is one line.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Why
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Why)
}

// Place is a line of a file.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line))
}

// ReadFile adds a file; "-" is standard input. The error is that of opening or
// reading: what is wrong in the file is a [Problem].
func (s *Set) ReadFile(path string) error {
	if path == "-" {
		return s.Read("-", os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.Read(path, f)
}

// Read adds what a reader has, under a name.
func (s *Set) Read(name string, in io.Reader) error {
	b, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("report: %s: %w", name, err)
	}
	s.make()
	s.count = 0
	defer func() { s.files[name] = max(s.files[name], s.count) }() // or it is read twice
	if s.document(name, b) {
		return nil
	}
	for n := 1; len(b) > 0; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if b = rest; len(bytes.TrimSpace(line)) > 0 {
			s.line(name, n, line, whole)
		}
	}
	if s.count == 0 {
		s.problem(name, 0, "no result is in it", false)
	}
	return nil
}

func (s *Set) make() {
	if s.files == nil {
		s.files, s.matrices, s.cases = map[string]int{}, map[digest]*matrix.Report{}, map[digest]*harness.Report{}
		s.problems, s.places, s.ids = map[Problem]bool{}, map[string]Place{}, map[string]bool{}
	}
}

// document takes a file that is one JSON document.
func (s *Set) document(name string, b []byte) bool {
	var head struct {
		Schema  int
		Rows    json.RawMessage
		Verdict string
	}
	if json.Unmarshal(b, &head) != nil {
		return false
	}
	switch {
	case head.Rows != nil:
		r := &matrix.Report{}
		switch err := json.Unmarshal(b, r); {
		case err != nil:
			s.problem(name, 0, err.Error(), false)
		case r.Schema != 1:
			s.problem(name, 0, fmt.Sprintf("a matrix of schema %d, this version reads 1", r.Schema), false)
		default:
			r.Rows = slices.DeleteFunc(r.Rows, func(row *matrix.Row) bool { return row == nil })
			s.matrices[digestOf(r)] = r
			s.count++
		}
		return true
	case head.Verdict != "":
		s.single(name, 0, b)
		return true
	}
	return false
}

// single takes the report of one case.
func (s *Set) single(name string, line int, b []byte) {
	r, err := harness.ReadReport(b)
	if err != nil {
		s.problem(name, line, err.Error(), false)
		return
	}
	s.cases[digestOf(r)] = r
	s.count++
}

// line takes one line of a result file. One that a kill has cut short may have
// the next run's first line on it, if that did not begin a new one.
func (s *Set) line(name string, n int, b []byte, whole bool) {
	err := s.result(name, n, b)
	if err == nil {
		return
	}
	why, cut := err.Error(), !whole
	if cut {
		why = "cut short: " + why
	}
	// In a string the quotes would be escaped, so this is where a line begins.
	start := []byte(`{"schema":`)
	for at := bytes.LastIndex(b, start); at > 0; at = bytes.LastIndex(b[:at], start) {
		if s.result(name, n, b[at:]) == nil {
			why, cut = "cut short, and another line on the same one, which counts", true
			break
		}
	}
	s.problem(name, n, why, cut)
}

func (s *Set) result(name string, n int, b []byte) error {
	var l struct {
		campaign.Line
		Verdict string
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	if l.Campaign == "" && l.Example == nil {
		if l.Verdict == "" {
			return errors.New("neither a line of results nor a report of a case")
		}
		s.single(name, n, b)
		return nil
	}
	if !says(&l.Line) {
		return errors.New("a line of a kind that this version does not know")
	}
	// Tried alone first: what is refused must leave nothing behind.
	if err := new(campaign.Results).Add(&l.Line); err != nil {
		return err
	}
	if err := s.results.Add(&l.Line); err != nil {
		return err
	}
	s.count++
	if l.Example != nil {
		return nil // of no campaign
	}
	s.ids[l.Campaign] = true
	if m := l.Minimal; m != nil {
		s.place(placeKey(l.Campaign, m.Index, placeOf(m.Oracle, m.Key)), Place{name, n})
	}
	if i := l.Incident; i != nil {
		s.place(placeKey(l.Campaign, i.Index, i.Oracle), Place{name, n})
	}
	return nil
}

// says reports whether a line has anything but its campaign.
func says(l *campaign.Line) bool {
	for _, f := range reflect.ValueOf(*l).Fields() {
		if (f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice) && !f.IsNil() {
			return true
		}
	}
	return false
}

// placeOf distinguishes a finding that was made small from its case.
func placeOf(oracle, key string) string { return oracle + "\x00" + key }

// placeKey names an incident of an oracle or, with [placeOf], one made small.
func placeKey(campaign string, index uint64, key string) string {
	return fmt.Sprintf("%s %d %s", campaign, index, key)
}

// place keeps the first of several places, in an order that is not that of
// reading.
func (s *Set) place(key string, p Place) {
	if was, ok := s.places[key]; !ok || p.compare(was) < 0 {
		s.places[key] = p
	}
}

func (s *Set) problem(file string, line int, why string, cut bool) {
	s.problems[Problem{file, line, why, cut}] = true
}

// Merge adds another set, which stays as it is.
func (s *Set) Merge(o *Set) error {
	s.make()
	var b bytes.Buffer
	if err := o.results.Write(&b); err != nil {
		return err
	}
	if err := s.results.Read(&b); err != nil {
		return err
	}
	for name, n := range o.files {
		s.files[name] = max(s.files[name], n)
	}
	maps.Copy(s.matrices, o.matrices)
	maps.Copy(s.cases, o.cases)
	maps.Copy(s.problems, o.problems)
	maps.Copy(s.ids, o.ids)
	for k, p := range o.places {
		s.place(k, p)
	}
	return nil
}

// WriteLines writes all campaigns as one result file: equal sets are equal
// files. Matrices and single cases are not in it.
func (s *Set) WriteLines(w io.Writer) error { return s.results.Write(w) }

// digestOf is of the content, however it was indented.
func digestOf(v any) digest {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return sha256.Sum256(b)
}
