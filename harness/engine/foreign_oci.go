package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The OCI runtimes take the config.json as it is, and name the process in a pid
// file before it runs the program.
var (
	runc = Foreign{
		Name: "runc", Binary: "runc", build: ociRun, Knows: "config.json; not our extension",
		// libcontainer/init_linux.go: HOME is set from the passwd file if unset;
		// utils_linux.go: "run" without a terminal copies the streams through pipes.
		Profile: &oracle.Profile{Name: "runc", EnvAdds: []string{"HOME"}, CopiesStreams: true, Libseccomp: true, NewerIsENOSYS: true, Devices: append(DefaultDevices(), allow("c", 10, 200)...)},
	}
	crun = Foreign{
		Name: "crun", Binary: "crun", build: ociRun, Knows: "config.json; not our extension",
		// libcrun_set_home (src/libcrun/utils.c): likewise.
		Profile: &oracle.Profile{Name: "crun", EnvAdds: []string{"HOME"}, Libseccomp: true, Devices: append(DefaultDevices(), allow("c", 5, 1)...)},
	}
	youki = Foreign{
		Name: "youki", Binary: "youki", build: ociRun, Knows: "config.json; not our extension",
		Profile: &oracle.Profile{Name: "youki", EnvAdds: []string{"HOME"}, Libseccomp: true, Devices: DefaultDevices()},
	}
)

// ours is our own launcher as an OCI runtime (package oci). It takes the
// extension too, but here is an engine like the others.
var ours = Foreign{
	Name: "holdshort-oci", Binary: "holdshort-oci", build: ociRun, Knows: "config.json",
	Profile: &oracle.Profile{Name: "holdshort-oci", Devices: DefaultDevices()},
}

// allow is a rule for one device; a number of -1 is any.
func allow(kind string, major, minor int64) []specs.LinuxDeviceCgroup {
	return []specs.LinuxDeviceCgroup{{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: "rwm"}}
}

// DefaultDevices are the devices of config-linux.md, "Default Devices", which a
// runtime must supply, with those that the pseudo-terminals are, and the making
// of any node, which runc, crun and youki all allow (libcontainer/specconv,
// src/libcrun/cgroup-utils.c), and we.
func DefaultDevices() []specs.LinuxDeviceCgroup {
	out := []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Access: "m"}, {Allow: true, Type: "b", Access: "m"}}
	for _, n := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, -1}} {
		out = append(out, allow("c", n[0], n[1])...)
	}
	return out
}

// OCIRuntime reports whether an engine takes bundles.
func (e *Foreign) OCIRuntime() bool { return e == &runc || e == &crun || e == &youki || e == &ours }

// ociRun runs the bundle, or one that is made for a request that has none.
func ociRun(f *form) error {
	tmp, err := f.dir()
	if err != nil {
		return err
	}
	bundle := f.req.Dir
	if bundle == "" || !f.isBundle(bundle) {
		bundle = tmp
		if err := f.writeBundle(bundle); err != nil {
			return err
		}
	}
	id := "holdshort-" + strings.TrimPrefix(filepath.Base(tmp), "holdshort-")
	pidFile := filepath.Join(tmp, "pid")
	f.add(f.engine.Binary, "run", "--bundle", bundle, "--pid-file", pidFile)
	x := &f.rest.Ext
	if n := f.req.Ext.PassFDs; n > 0 {
		f.add("--preserve-fds", strconv.Itoa(n))
		x.PassFDs = 0
	}
	f.add(id)
	// What they do unasked.
	x.Session, x.NewKeyring = false, false
	if len(f.req.Process().Args) > 0 && f.req.Process().Args[0] == f.req.Ext.Path {
		x.Path = ""
	}
	x.SearchPath = false // they do
	if x.KeepIDs && f.req.Process().User.UID == 0 && f.req.Process().User.GID == 0 && os.Geteuid() == 0 {
		x.KeepIDs = false
	}
	left := *f.rest
	*f.rest = request.Request{Spec: &specs.Spec{Process: &specs.Process{}}, Ext: left.Ext, Dir: left.Dir}
	f.cmd.PID = func() (int, error) { return readPID(pidFile) }
	return nil
}

// isBundle reports whether the request is that of the bundle's own file.
func (f *form) isBundle(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return false
	}
	there, err := request.Parse(b, false)
	if err != nil {
		return false
	}
	x, err1 := json.Marshal(there)
	y, err2 := json.Marshal(f.req)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

func (f *form) writeBundle(dir string) error {
	q, err := clone(f.req)
	if err != nil {
		return err
	}
	switch r := q.Spec.Root; {
	case r == nil || r.Path == "":
		return &UnsupportedError{"root", "an OCI runtime needs a root file system"}
	case !filepath.IsAbs(r.Path):
		r.Path = filepath.Join(f.req.Dir, r.Path)
	}
	for i := range q.Spec.Mounts { // relative to the bundle, which is another now
		if m := &q.Spec.Mounts[i]; request.IsBind(m) && !filepath.IsAbs(m.Source) {
			m.Source = filepath.Join(f.req.Dir, m.Source)
		}
	}
	q.Ext = request.Extension{}
	if v := q.Spec.Version; v == "" {
		q.Spec.Version = "1.0.2"
	}
	b, err := json.MarshalIndent(q, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600)
}

func readPID(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s holds no process id: %q", file, b)
	}
	return pid, nil
}
