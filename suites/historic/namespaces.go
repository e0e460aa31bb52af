package historic

import (
	"syscall"

	"github.com/holdshort/holdshort/harness/oracle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Namespaces that were the host's, and what is mapped into them.
func namespaceRows() []Row {
	return []Row{
		{
			Number: 66, ID: "CVE-2020-15257", Where: "containerd before 1.3.9 and 1.4.3", Title: "in the network namespace of the host, the container reaches an abstract socket of the engine",
			How: "no CLONE_NEWNET", Finds: Finds{"namespaces.net": oracle.Ignored},
			Ask: func(s *Scene) { s.namespace(specs.NetworkNamespace) },
			Do:  unlessWrong(func() error { return unix.Unshare(unix.CLONE_NEWNET) }),
		},
		{
			Number: 67, ID: "CVE-2021-43784", Where: "runc of the main branch before 1.0.3", Title: "a length wraps at 16 bits, and the text of the configuration is read as the engine's own message: other namespaces, other maps",
			How: "the map is read from a message whose length has wrapped, and what follows says that root is the host's",
			Finds: Finds{
				"user_namespace.uid_map": oracle.Weaker, "ids.uid": oracle.Ignored, "ids.euid": oracle.Ignored, "ids.suid": oracle.Ignored, "ids.fsuid": oracle.Ignored,
			},
			Ask: func(s *Scene) { inUserNS(s, 0) },
			Do: func(e *Engine) error {
				if e.Stage > 0 {
					return nil
				}
				c, err := e.child(syscall.CLONE_NEWUSER)
				if err != nil {
					return err
				}
				a := c.SysProcAttr
				a.UidMappings, a.GidMappings = []syscall.SysProcIDMap{idMap}, []syscall.SysProcIDMap{idMap}
				if e.Wrong {
					a.UidMappings = []syscall.SysProcIDMap{wrapped(make([]byte, 1<<16))}
				}
				a.GidMappingsEnableSetgroups, a.Credential = true, &syscall.Credential{}
				if err := c.Start(); err != nil {
					return err
				}
				return e.wait(c)
			},
		},
	}
}

// wrapped reads a map behind a payload, as many bytes after its beginning as its
// length says.
func wrapped(payload []byte) syscall.SysProcIDMap {
	message := append(payload, 0, 0, 1) // container id, host id, size; the engine's own, which nobody reads
	at := uint16(len(payload))
	return syscall.SysProcIDMap{ContainerID: int(message[at]), HostID: int(message[at+1]), Size: 1 + int(message[at+2])}
}
