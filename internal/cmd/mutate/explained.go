package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// explained has the changes that make no difference, with the reason: a line
// "FILE: FUNCTION: CHANGE: LINE # WHY" for each. Two equal changes of a function
// need two lines.
type explained map[string][]string

func readExplained(path string) (explained, error) {
	out := explained{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if s.Text() == "" || strings.HasPrefix(s.Text(), "#") {
			continue
		}
		i := strings.LastIndex(s.Text(), " # ")
		if i < 0 {
			return nil, fmt.Errorf("%s: %q has no reason: FILE: FUNCTION: CHANGE: LINE # WHY", path, s.Text())
		}
		file, _, _ := strings.Cut(s.Text(), ": ")
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[s.Text()[:i]] = append(out[s.Text()[:i]], s.Text()[i+3:])
	}
	return out, nil
}

// divide gives survivors their reasons. Stale are the lines for which there is
// no survivor, though their file was looked at: the code is another one, or a
// test notices the change after all.
func (e explained) divide(dir string, only *regexp.Regexp, left []survivor) (stale []string) {
	taken := map[string]int{}
	for i := range left {
		k := left[i].key()
		if n := taken[k]; n < len(e[k]) {
			left[i].why = e[k][n]
			taken[k]++
		}
	}
	for k, whys := range e {
		file, _, _ := strings.Cut(k, ": ")
		if filepath.Dir(file) != filepath.Clean(dir) || !only.MatchString(filepath.Base(file)) {
			continue
		}
		for range len(whys) - taken[k] {
			stale = append(stale, k)
		}
	}
	return stale
}
