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
	"path/filepath"
	"strings"
	"time"

	"github.com/holdshort/holdshort/vm"
)

// Job is what one kernel runs: a test binary or another program.
type Job struct {
	Name string // import path of the tests, or the command line
	Test bool   // prints what go test prints
	Argv []string
	Dir  string
	Tree string // directory that must be there: the module's
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
	var jobs []Job
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue
		}
		bin := filepath.Join(dir, strings.ReplaceAll(p.ImportPath, "/", "_")+".test")
		if _, err := goTool(ctx, arch, "test", "-c", "-ldflags=-w", "-o", bin, p.ImportPath); err != nil {
			return nil, err
		}
		if _, err := os.Stat(bin); err != nil {
			continue // nothing to test under this architecture
		}
		tree := p.Dir
		if p.Module != nil {
			tree = p.Module.Dir // tests read beyond their own directory
		}
		argv := []string{bin, "-test.v=test2json", "-test.count=1", "-test.timeout=" + limit.String()}
		if run != "" {
			argv = append(argv, "-test.run="+run)
		}
		jobs = append(jobs, Job{Name: p.ImportPath, Test: true, Argv: argv, Dir: p.Dir, Tree: tree})
	}
	return jobs, nil
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

func (j *Job) command(limit time.Duration, env []string) vm.Command {
	return vm.Command{Argv: j.Argv, Dir: j.Dir, Env: env, Limit: limit}
}
