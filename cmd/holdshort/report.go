package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/holdshort/holdshort/report"
)

type reportCmd struct {
	Files []string `arg:"" help:"Results of fuzz, JSON of matrix and of run --report, or directories of them; - is standard input." placeholder:"FILE"`

	HTML     string `name:"html" help:"Write a page that needs nothing else to a file." placeholder:"FILE" type:"path"`
	JUnit    string `name:"junit" help:"Write JUnit XML to a file." placeholder:"FILE" type:"path"`
	SARIF    string `name:"sarif" help:"Write SARIF 2.1.0 to a file." placeholder:"FILE" type:"path"`
	Markdown string `help:"Write a summary in Markdown to a file, as for $GITHUB_STEP_SUMMARY." placeholder:"FILE" type:"path"`
	Merge    string `help:"Write all fuzz results as one file, which fuzz --resume, shrink and replay take." placeholder:"FILE" type:"path"`
	JSON     bool   `name:"json" help:"Print the document as JSON on stdout, instead of text."`
	Quiet    bool   `short:"q" help:"Print nothing on stdout."`
	ExitZero bool   `help:"End with status 0 whatever was found, unless the report cannot be made."`
}

// Help is the long text of "report --help".
func (reportCmd) Help() string {
	return `Results are a set: files in any order, as often as one likes, come to the same, and the parts of a campaign to the whole. A line that was cut short, as a kill leaves it, is named and the rest counts; anything else that cannot be read is status 4 unless there is a finding, since it may have been one. A file name of - is stdout.

Exit status, for all files together: 0 clean, 1 a finding, 2 only findings that come and go, 3 not observable there, 4 evidence was lost or nothing was judged, 64 usage.

Examples:
  holdshort report results.jsonl
  holdshort report shards/ --html report.html --sarif found.sarif --junit found.xml
  holdshort report 1.jsonl 2.jsonl --merge all.jsonl -q --exit-zero
  holdshort report results/ --markdown "$GITHUB_STEP_SUMMARY"`
}

func (c *reportCmd) Run(s *streams) error {
	var set report.Set
	if err := c.read(&set); err != nil {
		return usage(err)
	}
	doc := set.Document()
	for _, p := range doc.Problems {
		fmt.Fprintln(s.err, "holdshort: not read:", p)
		if c.Merge != "" && !p.Cut {
			return fmt.Errorf("%s is not written: it would not say that something is missing", c.Merge)
		}
	}
	for _, out := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{c.HTML, doc.HTML},
		{c.JUnit, doc.JUnit},
		{c.SARIF, func(w io.Writer) error { return doc.SARIF(w, semver()) }},
		{c.Markdown, doc.Markdown},
		{c.Merge, set.WriteLines},
	} {
		if err := put(s.out, out.path, out.write); err != nil {
			return err
		}
	}
	switch {
	case c.JSON:
		if err := doc.JSON(s.out); err != nil {
			return err
		}
	case !c.Quiet:
		if err := doc.Text(s.out); err != nil {
			return err
		}
	}
	if code := doc.Verdict.ExitCode(); code != 0 && !c.ExitZero {
		return &exit{code: code}
	}
	return nil
}

// read reads files, and all that are named .json or .jsonl in directories.
func (c *reportCmd) read(set *report.Set) error {
	for _, root := range c.Files {
		if root == "-" {
			if err := set.ReadFile(root); err != nil {
				return err
			}
			continue
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path != root && !strings.HasPrefix(filepath.Ext(path), ".json") {
				return err
			}
			return set.ReadFile(path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put replaces a file as a whole, so that no half of one is ever seen. What is no
// ordinary file is written to.
func put(stdout io.Writer, path string, write func(io.Writer) error) error {
	switch path {
	case "":
		return nil
	case "-":
		return write(stdout)
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return os.WriteFile(path, b.Bytes(), 0)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".holdshort-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// semver is our version without the v, empty if we have none.
func semver() string {
	if b, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(b.Main.Version, "v") {
		return strings.TrimPrefix(b.Main.Version, "v")
	}
	return ""
}
