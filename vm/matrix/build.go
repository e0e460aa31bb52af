package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdshort/holdshort/vm"
)

// Job is what one kernel runs: a test binary or another program.
type Job struct {
	Name  string // import path of the tests, or the command line
	Test  bool   // prints what go test prints
	Argv  []string
	Host  string // the program's path on the host, if that is another
	Dir   string
	Tree  string   // directory that must be there: the module's
	Files []string // files that must be there as well
	// Here is for what depends on no kernel: it is run on this machine alone,
	// in the host's row.
	Here bool
	// Read takes into the row what the program printed on its standard
	// output, and may change what became of it. It is not called for a
	// program that never ended. nil: the exit status and the last line count.
	Read func(row *Row, ran *Ran, out []byte) error
}

// goPackage is what "go list -json" says.
type goPackage struct {
	ImportPath, Dir, Name     string
	Module                    *struct{ Dir string }
	TestGoFiles, XTestGoFiles []string
}

// Tests compiles the tests of the packages that match patterns, static, into
// dir, for arch.
func Tests(ctx context.Context, dir, arch string, limit time.Duration, run string, patterns ...string) ([]Job, error) {
	out, err := goTool(ctx, arch, append([]string{"list", "-json=ImportPath,Dir,Name,Module,TestGoFiles,XTestGoFiles"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var pkgs []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 {
			pkgs = append(pkgs, p)
		}
	}
	bins, err := compile(ctx, dir, arch, pkgs)
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for i, p := range pkgs {
		if _, err := os.Stat(bins[i]); err != nil {
			continue // nothing to test under this architecture
		}
		tree := p.Dir
		if p.Module != nil {
			tree = p.Module.Dir // tests read beyond their own directory
		}
		argv := []string{bins[i], "-test.v=test2json", "-test.count=1", "-test.timeout=" + limit.String()}
		if run != "" {
			argv = append(argv, "-test.run="+run)
		}
		jobs = append(jobs, Job{Name: p.ImportPath, Test: true, Argv: argv, Dir: p.Dir, Tree: tree})
	}
	return jobs, nil
}

// Here marks the jobs whose packages match patterns as such that no guest runs,
// and returns how many there are.
func Here(ctx context.Context, jobs []Job, patterns ...string) (n int, err error) {
	if len(patterns) == 0 {
		return 0, nil
	}
	out, err := goTool(ctx, runtime.GOARCH, append([]string{"list"}, patterns...)...)
	if err != nil {
		return 0, err
	}
	names := strings.Fields(string(out))
	for i := range jobs {
		if j := &jobs[i]; j.Test && slices.Contains(names, j.Name) {
			j.Here = true
			n++
		}
	}
	return n, nil
}

// compile compiles the tests of all packages at once, so that go shares the
// work out to the processors, and returns the binaries' paths. go names a
// binary by the last word of its import path: packages that share one are
// compiled in different turns.
func compile(ctx context.Context, dir, arch string, pkgs []goPackage) ([]string, error) {
	bins := make([]string, len(pkgs))
	for turn, left := 0, len(pkgs); left > 0; turn++ {
		out := filepath.Join(dir, "tests"+strconv.Itoa(turn)) + "/"
		taken := map[string]bool{}
		args := []string{"test", "-c", "-ldflags=-w", "-o", out}
		for i, p := range pkgs {
			name := binaryName(p.ImportPath)
			if bins[i] != "" || taken[name] {
				continue
			}
			taken[name], bins[i] = true, filepath.Join(out, name+".test")
			args = append(args, p.ImportPath)
			left--
		}
		if err := os.MkdirAll(out, 0o755); err != nil {
			return nil, err
		}
		if _, err := goTool(ctx, arch, args...); err != nil {
			return nil, err
		}
	}
	return bins, nil
}

var versionElement = regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`)

// binaryName is the name that go gives to a binary of a package: the last word
// of its import path that is no major version.
func binaryName(importPath string) string {
	dir, name := path.Split(importPath)
	if dir != "" && versionElement.MatchString(name) {
		return path.Base(dir)
	}
	return name
}

// Program compiles a main package and returns the job of running it. words
// are its path and arguments.
func Program(ctx context.Context, dir, arch string, words ...string) (Job, error) {
	bin := filepath.Join(dir, filepath.Base(words[0]))
	if _, err := goTool(ctx, arch, "build", "-ldflags=-w", "-o", bin, words[0]); err != nil {
		return Job{}, err
	}
	return Job{Name: strings.Join(words, " "), Argv: append([]string{bin}, words[1:]...), Dir: "/"}, nil
}

func goTool(ctx context.Context, arch string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// command is a job as a guest runs it.
func (m *Matrix) command(j *Job) vm.Command {
	argv := j.Argv
	if j.Test && m.Short {
		argv = append(slices.Clone(argv), "-test.short")
	}
	return vm.Command{Argv: argv, Dir: j.Dir, Env: m.Env, Limit: m.Limit}
}
