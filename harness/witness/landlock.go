package witness

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Landlock are questions about what a policy allows: what the content of its
// rules comes to, which a posture shows only by inode and port. Files that every system has, those of the rules, and
// a few ports are tried. abi is the kernel's; what it does not know is not
// enforced.
//
// Paths are resolved here, so they are only asked about if the witness has this
// process's root and mounts.
func Landlock(p *landlock.Policy, abi int, sameRoot bool) []Question {
	if p == nil {
		return nil
	}
	var out []Question
	if sameRoot {
		out = landlockPaths(p, abi)
	}
	return append(out, landlockPorts(p, abi)...)
}

func landlockPaths(p *landlock.Policy, abi int) []Question {
	paths := []string{"/", "/etc/passwd", "/usr", "/dev/null", "/proc/version"}
	for i := range p.Layers {
		for _, r := range p.Layers[i].PathBeneath {
			paths = append(paths, r.Path)
		}
	}
	slices.Sort(paths)
	var out []Question
	for _, path := range slices.Compact(paths) {
		real, err := filepath.EvalSymlinks(path)
		st, e := os.Stat(path)
		if err != nil || e != nil {
			continue
		}
		switch {
		case st.IsDir():
			out = append(out, opens(path, "list", unix.O_RDONLY|unix.O_DIRECTORY, allows(p, abi, real, "read_dir")))
		case st.Mode().IsRegular() || path == "/dev/null":
			out = append(out, opens(path, "open for reading", unix.O_RDONLY, allows(p, abi, real, "read_file")),
				opens(path, "open for writing", unix.O_WRONLY, allows(p, abi, real, "write_file")))
		}
	}
	return out
}

// allows: each layer must allow a right that it handles, by a rule for the path
// or a directory above it.
func allows(p *landlock.Policy, abi int, path string, right landlock.Right) bool {
	for i := range p.Layers {
		l := &p.Layers[i]
		if !slices.Contains(l.HandledAccessFS, right) || landlock.ABIOf(landlock.FS, right) > abi {
			continue
		}
		if !slices.ContainsFunc(l.PathBeneath, func(r landlock.PathBeneath) bool {
			at, err := filepath.EvalSymlinks(r.Path)
			return err == nil && slices.Contains(r.AllowedAccess, right) && (at == "/" || at == path || strings.HasPrefix(path, at+"/"))
		}) {
			return false
		}
	}
	return true
}

// opens expects EACCES of Landlock, or none. Permissions answer the same.
func opens(path, verb string, flags int, may bool) Question {
	return Question{"landlock: " + verb + " " + path, []Call{open(path, flags)}, func(f *Facts, o []Outcome) Answer {
		return landlocked(may, &o[0], overrides(f.Posture))
	}}
}

// landlocked compares what is allowed with what was answered. Where something
// else may refuse with the same error, being refused says nothing.
func landlocked(may bool, o *Outcome, alone bool) Answer {
	refused := o.Errno() == unix.EACCES
	if may && refused && !alone {
		return silent("refused, perhaps by permissions")
	}
	return compare(allowed(may), allowed(!refused))
}

// overrides reports that file permissions refuse the task nothing.
func overrides(p *posture.Posture) bool {
	const dacOverride = 1
	effective, _ := p.Capabilities.Effective.Get()
	parent, ok := p.UserNS.Parent.Get()
	return ok && parent == 0 && effective>>dacOverride&1 != 0
}

func landlockPorts(p *landlock.Policy, abi int) []Question {
	ports := []uint16{54321}
	for i := range p.Layers {
		for _, r := range p.Layers[i].NetPort {
			ports = append(ports, r.Port)
		}
	}
	slices.Sort(ports)
	var out []Question
	for _, port := range slices.Compact(ports) {
		if port == 0 {
			continue
		}
		for _, w := range []struct {
			verb  string
			nr    uint32
			right landlock.Right
		}{{"bind to", unix.SYS_BIND, "bind_tcp"}, {"connect to", unix.SYS_CONNECT, "connect_tcp"}} {
			may := allowsPort(p, abi, port, w.right)
			calls := []Call{
				{NR: unix.SYS_SOCKET, Args: []Arg{Number(unix.AF_INET), Number(unix.SOCK_STREAM | unix.SOCK_CLOEXEC), Number(0)}},
				{NR: w.nr, Args: []Arg{ResultOf(0), Bytes(loopback(port)), Number(16)}},
				{NR: unix.SYS_CLOSE, Args: []Arg{ResultOf(0)}},
			}
			out = append(out, Question{fmt.Sprintf("landlock: %s port %d", w.verb, port), calls, func(_ *Facts, o []Outcome) Answer {
				if o[0].Errno() != 0 {
					return silent("no socket: %s", o[0].String())
				}
				return landlocked(may, &o[1], port >= 1024)
			}})
		}
	}
	return out
}

func allowsPort(p *landlock.Policy, abi int, port uint16, right landlock.Right) bool {
	for i := range p.Layers {
		l := &p.Layers[i]
		if !slices.Contains(l.HandledAccessNet, right) || landlock.ABIOf(landlock.Net, right) > abi {
			continue
		}
		if !slices.ContainsFunc(l.NetPort, func(r landlock.NetPort) bool { return r.Port == port && slices.Contains(r.AllowedAccess, right) }) {
			return false
		}
	}
	return true
}

// loopback is a struct sockaddr_in for 127.0.0.1.
func loopback(port uint16) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
	b = binary.BigEndian.AppendUint16(b, port)
	return append(b, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
}
