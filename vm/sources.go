package vm

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is a package archive that this machine's apt is configured with.
type source struct {
	uri     string
	keyring string // path, or a fingerprint list; empty means apt's own trusted keys
}

// readSources reads which archives apt uses, from the files that apt reads
// (sources.list(5)): one-line entries and deb822 stanzas. Only binary
// archives with a component main count; security archives carry no suite
// under the plain name and are left out.
func readSources(etc string) ([]source, error) {
	files, err := filepath.Glob(filepath.Join(etc, "sources.list.d", "*"))
	if err != nil {
		return nil, err
	}
	files = append([]string{filepath.Join(etc, "sources.list")}, files...)
	var out []source
	for _, f := range files {
		var got []source
		switch filepath.Ext(f) {
		case ".list":
			got, err = readOneLine(f)
		case ".sources":
			got, err = readDeb822(f)
		default:
			continue
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return nil, err
		}
		for _, s := range got {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("vm: apt has no package archive configured in %s", etc)
	}
	return out, nil
}

func readOneLine(path string) ([]source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []source
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var s source
		rest = strings.TrimSpace(rest)
		if opts, after, found := strings.Cut(rest, "]"); found && strings.HasPrefix(rest, "[") {
			rest = after
			for o := range strings.FieldsSeq(opts[1:]) {
				if k, ok := strings.CutPrefix(o, "signed-by="); ok {
					s.keyring = k
				}
			}
		}
		w := strings.Fields(rest)
		if len(w) < 3 || !slices.Contains(w[2:], "main") || strings.HasSuffix(w[1], "-security") {
			continue
		}
		s.uri = w[0]
		out = append(out, s)
	}
	return out, sc.Err()
}

func readDeb822(path string) ([]source, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []source
	stanza := map[string]string{}
	last := ""
	flush := func() {
		defer clear(stanza)
		has := func(k, v string) bool { return slices.Contains(strings.Fields(stanza[k]), v) }
		if !has("types", "deb") || !has("components", "main") || strings.EqualFold(strings.TrimSpace(stanza["enabled"]), "no") {
			return
		}
		suites := strings.Fields(stanza["suites"])
		if !slices.ContainsFunc(suites, func(s string) bool { return !strings.HasSuffix(s, "-security") }) {
			return
		}
		key := strings.TrimSpace(stanza["signed-by"])
		if strings.Contains(key, "\n") { // an embedded key: only apt's own files can say that
			return
		}
		for u := range strings.FieldsSeq(stanza["uris"]) {
			out = append(out, source{uri: u, keyring: key})
		}
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			stanza[last] += "\n" + strings.TrimSpace(line)
		default:
			k, v, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(k))
			stanza[last] = strings.TrimSpace(v)
		}
	}
	flush()
	return out, nil
}
