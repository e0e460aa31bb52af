package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// smaller are ways to ask for less.
var smaller = []func(*request.Request){
	func(r *request.Request) { r.Spec.Linux.Seccomp = nil },
	func(r *request.Request) { r.Spec.Process.Rlimits = nil },
	func(r *request.Request) { r.Spec.Linux.MaskedPaths = nil },
	func(r *request.Request) { r.Spec.Linux.ReadonlyPaths = nil },
	func(r *request.Request) { r.Spec.Linux.Sysctl = nil },
	func(r *request.Request) { r.Spec.Linux.RootfsPropagation = "" },
	func(r *request.Request) { r.Spec.Linux.Personality = nil },
	func(r *request.Request) { r.Spec.Linux.MemoryPolicy = nil },
	func(r *request.Request) { r.Spec.Process.Scheduler = nil },
	func(r *request.Request) { r.Spec.Process.IOPriority = nil },
	func(r *request.Request) { r.Spec.Process.OOMScoreAdj = nil },
	func(r *request.Request) { r.Spec.Process.NoNewPrivileges = false },
	func(r *request.Request) { r.Spec.Process.User.AdditionalGids = nil },
	func(r *request.Request) { r.Spec.Process.User.Umask = nil },
	func(r *request.Request) { r.Spec.Process.User.UID, r.Spec.Process.User.GID = 0, 0 },
	func(r *request.Request) { r.Spec.Process.Capabilities = &specs.LinuxCapabilities{} },
	func(r *request.Request) { r.Spec.Process.Args = r.Spec.Process.Args[:1] },
	func(r *request.Request) { r.Spec.Process.Env = r.Spec.Process.Env[:1] },
	func(r *request.Request) { r.Spec.Process.Cwd = "/" },
	func(r *request.Request) { r.Spec.Hostname, r.Spec.Domainname = "", "" },
	func(r *request.Request) { r.Spec.Root.Readonly = false },
	func(r *request.Request) {
		if n := len(r.Spec.Mounts); n > 1 {
			r.Spec.Mounts = r.Spec.Mounts[:n-1]
		}
	},
	func(r *request.Request) { dropNS(r, specs.CgroupNamespace) },
	func(r *request.Request) { dropNS(r, specs.TimeNamespace) },
	func(r *request.Request) { dropNS(r, specs.IPCNamespace) },
	func(r *request.Request) { dropNS(r, specs.NetworkNamespace) },
	func(r *request.Request) { dropNS(r, specs.UTSNamespace) },
}

func dropNS(r *request.Request, kind specs.LinuxNamespaceType) {
	var out []specs.LinuxNamespace
	for _, n := range r.Spec.Linux.Namespaces {
		if n.Type != kind {
			out = append(out, n)
		}
	}
	r.Spec.Linux.Namespaces = out
}

func cloned(r *request.Request) (*request.Request, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return request.Parse(b, false)
}

// shrink asks for as little as shows the same difference.
func (d *Differ) shrink(ctx context.Context, req *request.Request, g *Group) (*request.Request, error) {
	key := g.key(d.Names)
	for _, less := range smaller {
		r, err := cloned(req)
		if err != nil {
			return nil, err
		}
		less(r)
		before, err1 := config(req)
		after, err2 := config(r)
		if err1 != nil || err2 != nil || string(before) == string(after) || r.Validate() != nil {
			continue
		}
		all, err := d.all(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, h := range d.compare(r, all) {
			if h.key(d.Names) == key {
				req = r
				break
			}
		}
	}
	return req, nil
}

// export writes a small request down, as a bundle, with a script that runs it
// through the engines and nothing else.
func (d *Differ) export(ctx context.Context, req *request.Request, g *Group) (string, error) {
	req, err := d.shrink(ctx, req, g)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(d.Out, fmt.Sprintf("%s-%d", strings.NewReplacer(".", "-", "[", "-", "]", "").Replace(g.Field), g.First))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	words := d.words(req)
	r, err := cloned(req)
	if err != nil {
		return "", err
	}
	r.Spec.Root.Path = "rootfs"
	for i := range r.Spec.Mounts {
		if rel, err := filepath.Rel(d.bench.root, r.Spec.Mounts[i].Source); err == nil && filepath.IsAbs(r.Spec.Mounts[i].Source) && !strings.HasPrefix(rel, "..") {
			r.Spec.Mounts[i].Source = filepath.Join("rootfs", rel)
		}
	}
	b, err := config(r)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644); err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "#!/bin/sh\n# %s:", g.Field)
	for _, n := range d.Names {
		fmt.Fprintf(&s, " %s %s,", n, g.Engines[n])
	}
	fmt.Fprintf(&s, " with config.json beside this. %s\n", strings.ReplaceAll(g.Says, "\n", " "))
	s.WriteString("# It needs a static busybox and the engines. To look around, put \"sh\", \"-c\", \"cat /proc/self/status\" into process.args.\n")
	s.WriteString("set -eu\ncd \"$(dirname \"$0\")\"\nfor d in bin proc dev sys tmp etc mnt usr root; do mkdir -p rootfs/$d; done\n")
	s.WriteString("for x in busybox true sh cat; do cp \"$(command -v busybox)\" rootfs/bin/$x; done\n")
	for _, e := range d.foreign() {
		if e.OCIRuntime() {
			fmt.Fprintf(&s, "echo %s; %s run \"shown-$$\" || echo \"exit status $?\"\n", e.Name, e.Binary)
		} else if w := words[e.Name]; w != "" {
			fmt.Fprintf(&s, "echo %s; %s || echo \"exit status $?\"\n", e.Name, w)
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "run.sh"), []byte(s.String()), 0o755)
}

// words are the command lines of engines that take no bundle, with the root
// beside the script; of one that is given descriptors there is none.
func (d *Differ) words(req *request.Request) map[string]string {
	out := map[string]string{}
	for _, e := range d.foreign() {
		if e.OCIRuntime() {
			continue
		}
		cmd, err := e.Command(req, true)
		if err != nil {
			continue
		}
		args := cmd.Args
		for i := 0; i+1 < len(args); i++ { // who the child is, only we want to know
			if args[i] == "--info-fd" {
				args = append(args[:i:i], args[i+2:]...)
				break
			}
		}
		if len(cmd.Files) < 2 {
			for i := range args {
				args[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(args[i], "'", `'\''`), d.bench.root, "'\"$PWD/rootfs\"'") + "'"
			}
			out[e.Name] = strings.Join(args, " ")
		}
		cmd.Close()
	}
	return out
}
