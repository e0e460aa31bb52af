package vm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// aptRoot is a private state of apt for one suite and architecture: its own
// lists and cache, the machine's mirror and keys, and none of the machine's
// package state. It needs no root.
type aptRoot struct {
	dir, arch, suite string
}

// openAPT makes the state of one suite below dir. It does not touch the network.
func openAPT(etc, dir, suite, arch string) (*aptRoot, error) {
	sources, err := readSources(etc)
	if err != nil {
		return nil, err
	}
	a := &aptRoot{dir: filepath.Join(dir, suite+"-"+arch), arch: arch, suite: suite}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	var list strings.Builder
	for _, s := range sources {
		opts := ""
		if s.keyring != "" {
			opts = "[signed-by=" + s.keyring + "] "
		}
		fmt.Fprintf(&list, "deb %s%s %s main\n", opts, s.uri, suite)
	}
	var conf strings.Builder
	q := func(k, v string) { fmt.Fprintf(&conf, "%s %q;\n", k, v) }
	q("Dir::Etc::sourcelist", filepath.Join(a.dir, "sources.list"))
	q("Dir::Etc::sourceparts", "/dev/null")
	q("Dir::Etc::preferencesparts", "/dev/null")
	q("Dir::Etc::preferences", "/dev/null")
	q("Dir::State::lists", filepath.Join(a.dir, "lists"))
	q("Dir::State::status", filepath.Join(a.dir, "status"))
	q("Dir::Cache", filepath.Join(a.dir, "cache"))
	q("Dir::Cache::pkgcache", "")
	q("Dir::Cache::srcpkgcache", "")
	q("APT::Architecture", arch)
	fmt.Fprintf(&conf, "#clear APT::Architectures;\nAPT::Architectures { %q; };\n", arch)
	q("Acquire::Languages", "none")
	q("Acquire::Retries", "3")
	q("APT::Sandbox::User", "root") // else apt warns that its user cannot read our folder
	for name, text := range map[string]string{"sources.list": list.String(), "apt.conf": conf.String(), "status": ""} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *aptRoot) run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("vm: kernels are fetched with apt, and there is no %s here; give an image with --kernel: %w", name, err)
		}
		return nil, fmt.Errorf("vm: suite %s: %s %s: %w: %s", a.suite, name, args[0], err, lastLines(stderr.String(), 3))
	}
	return out, nil
}

// update fetches the suite's index; apt checks its signature.
func (a *aptRoot) update(ctx context.Context) error {
	_, err := a.run(ctx, "", "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
	return err
}

// debPackage is what the index says of one package.
type debPackage struct {
	Name, Version, SHA256 string
	Depends               []string // names of exact dependencies
}

// packages are the newest versions of all packages whose name match accepts.
func (a *aptRoot) packages(ctx context.Context, match func(string) bool) ([]debPackage, error) {
	out, err := a.run(ctx, "", "apt-cache", "pkgnames", "linux-image-")
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range strings.FieldsSeq(string(out)) {
		if match(n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	return a.show(ctx, names...)
}

func (a *aptRoot) show(ctx context.Context, names ...string) ([]debPackage, error) {
	out, err := a.run(ctx, "", "apt-cache", append([]string{"show", "--no-all-versions"}, names...)...)
	if err != nil {
		return nil, err
	}
	var ps []debPackage
	var p debPackage
	s := bufio.NewScanner(bytes.NewReader(out))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		k, v, _ := strings.Cut(s.Text(), ": ")
		switch k {
		case "Package":
			p = debPackage{Name: v}
		case "Version":
			p.Version = v
		case "SHA256":
			p.SHA256 = v
		case "Depends", "Pre-Depends":
			for d := range strings.SplitSeq(v, ", ") {
				if n, _, exact := strings.Cut(d, " (= "); exact {
					p.Depends = append(p.Depends, n)
				}
			}
		case "":
			if p.Name != "" && p.SHA256 != "" {
				ps = append(ps, p)
			}
			p = debPackage{}
		}
	}
	if p.Name != "" && p.SHA256 != "" {
		ps = append(ps, p)
	}
	return ps, s.Err()
}

// download fetches packages into dir; apt checks each against the signed index.
func (a *aptRoot) download(ctx context.Context, dir string, ps ...debPackage) ([]string, error) {
	for _, p := range ps {
		if _, err := a.run(ctx, dir, "apt-get", "-q", "download", p.Name+"="+p.Version); err != nil {
			return nil, fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
		}
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(debs) != len(ps) {
		err = fmt.Errorf("vm: suite %s: %d packages asked for, %d files came", a.suite, len(ps), len(debs))
	}
	return debs, err
}

func lastLines(s string, n int) string {
	l := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(l[max(0, len(l)-n):], " | ")
}
