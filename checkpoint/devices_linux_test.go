package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint/devices"
	"golang.org/x/sys/unix"
)

// init makes the test binary a workload that tries device nodes: the path of a
// node and of one to make, and what to make.
func init() {
	list := os.Getenv("HOLDSHORT_TOUCH")
	if list == "" {
		return
	}
	for item := range strings.FieldsSeq(list) {
		var kind string
		var major, minor uint32
		f := strings.Split(item, ":")
		_, _ = fmt.Sscan(strings.Join(f[1:], " "), &kind, &major, &minor)
		for a := range devices.Every + 1 {
			fmt.Printf("%s %d %t\n", item, a, touch(f[0], kind, major, minor, a))
		}
	}
	os.Exit(0)
}

// touch makes one access, and reports whether it was not refused as such: opening
// a device that is not there fails too, but not with EPERM.
func touch(path, kind string, major, minor uint32, a devices.Access) bool {
	mode := uint32(unix.S_IFCHR)
	if kind == "b" {
		mode = unix.S_IFBLK
	}
	allowed := true
	if a&devices.Mknod != 0 {
		made := path + ".made"
		err := unix.Mknod(made, mode|0o600, int(unix.Mkdev(major, minor)))
		allowed = allowed && err != unix.EPERM
		_ = unix.Unlink(made)
	}
	flags := map[devices.Access]int{devices.Read: unix.O_RDONLY, devices.Write: unix.O_WRONLY, devices.Read | devices.Write: unix.O_RDWR}
	if rw := a &^ devices.Mknod; rw != 0 {
		fd, err := unix.Open(path, flags[rw]|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err == nil {
			unix.Close(fd)
		}
		return allowed && err != unix.EPERM
	}
	if a == 0 {
		return unix.Access(path, unix.F_OK) != unix.EPERM
	}
	return allowed
}

// TestCgroupDevices makes every access to some devices from inside, and compares
// with what the rules mean; by a program and by version 1.
func TestCgroupDevices(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	nodes := []struct {
		kind         devices.Type
		major, minor uint32
	}{{devices.Char, 1, 3}, {devices.Char, 1, 5}, {devices.Char, 1, 7}, {devices.Char, 240, 9}, {devices.Block, 240, 9}, {devices.Block, 7, 3}}
	var list []string
	for i, n := range nodes {
		path := filepath.Join(dir, fmt.Sprint("node", i))
		mode := uint32(unix.S_IFCHR)
		if n.kind == devices.Block {
			mode = unix.S_IFBLK
		}
		if err := unix.Mknod(path, mode|0o666, int(unix.Mkdev(n.major, n.minor))); err != nil {
			t.Skip("needs mknod: ", err)
		}
		list = append(list, fmt.Sprintf("%s:%s:%d:%d", path, n.kind, n.major, n.minor))
	}
	every := devices.Rule{Allow: true, Type: devices.All, Major: devices.Any, Minor: devices.Any, Access: devices.Every}
	rule := func(allow bool, kind devices.Type, major, minor int64, a devices.Access) devices.Rule {
		return devices.Rule{Allow: allow, Type: kind, Major: major, Minor: minor, Access: a}
	}
	lists := map[string][]devices.Rule{
		"none":          {},
		"all":           {every},
		"some":          {rule(true, "c", 1, 3, devices.Read|devices.Write), rule(true, "c", 1, 5, devices.Read), rule(true, "b", 240, devices.Any, devices.Write)},
		"all but one":   {every, rule(false, "c", 1, 5, devices.Every)},
		"all but parts": {every, rule(false, "c", 1, devices.Any, devices.Write), rule(false, "b", devices.Any, 9, devices.Mknod)},
		"taken back":    {rule(true, "c", 1, 3, devices.Every), rule(false, "c", 1, 3, devices.Mknod)},
		"given back":    {every, rule(false, "c", 1, devices.Any, devices.Every), rule(true, "c", 1, 7, devices.Read)},
		"nodes only":    {rule(true, "a", devices.Any, devices.Any, devices.Mknod)},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for version, v1 := range map[string]string{"version 2": "", "version 1": "devices"} {
		for name, rules := range lists {
			t.Run(version+"/"+name, func(t *testing.T) {
				h := withController(t, "", v1)
				if _, err := devices.Lines(rules); v1 != "" && err != nil {
					t.Skip("needs version 2: ", err)
				}
				r, out, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				cfg := Config{Args: []string{self}, Env: []string{"HOLDSHORT_TOUCH=" + strings.Join(list, " ")}, Cgroup: h.group(t, Cgroup{Devices: Some(rules)})}
				w, err := newLauncher(t).Start(bg, &cfg, &Options{Stdout: out, Stderr: out})
				out.Close()
				if err != nil {
					t.Fatal(err)
				}
				lines := 0
				for {
					var item string
					var a devices.Access
					var got bool
					if n, err := fmt.Fscan(r, &item, &a, &got); err != nil {
						if n > 0 {
							t.Error(err)
						}
						break
					}
					lines++
					n := nodes[0]
					for i := range list {
						if list[i] == item {
							n = nodes[i]
						}
					}
					want := devices.Allowed(rules, n.kind, n.major, n.minor, a)
					if a == 0 && v1 != "" && !want {
						continue // version 1 does not ask for existence where it allows by default
					}
					if got != want {
						t.Errorf("%s %d:%d %q: allowed %t, want %t", n.kind, n.major, n.minor, a, got, want)
					}
				}
				if res, _ := w.Wait(bg); res.State != Exited || lines != len(nodes)*8 {
					t.Errorf("%s after %d lines", res, lines)
				}
			})
		}
	}
}

// TestCgroupDevicesOfACgroupThatStays: the program is taken off at the end.
func TestCgroupDevicesOfACgroupThatStays(t *testing.T) {
	h := withController(t, "", "")
	g := h.group(t, Cgroup{})
	if err := os.Mkdir(g.V2, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Rmdir(g.V2) }()
	g.Create = false
	plain := g
	g.Devices = Some([]devices.Rule{})
	for _, row := range []struct {
		g    Cgroup
		want string
	}{{plain, "allowed"}, {g, "denied"}, {plain, "allowed"}} {
		if got, _ := runIn(t, Config{Cgroup: row.g}, "exec 2>&1; (: > /dev/null) && echo allowed || echo denied", nil); !strings.HasSuffix(got, row.want) {
			t.Errorf("%q, want %s", got, row.want)
		}
	}
}
