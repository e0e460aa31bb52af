package engine

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestSendListener: what arrives at listenerPath is what the runtime-spec says:
// one state, with the descriptor, and then the end of the connection.
func TestSendListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := with(t, `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"`+path+`","listenerMetadata":"to whom it may concern",
		"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}},"annotations":{"a":"b"}`)
	r.Dir = "/bundle"
	if got := ListenerPath(r); got != path {
		t.Errorf("path %q, want %q", got, path)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	sent := make(chan error, 1)
	go func() { sent <- SendListener(r, 4711, write) }()
	c, err := ln.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, oob := make([]byte, 1<<16), make([]byte, 64)
	n, on, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c) // to the end of the connection
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	var s specs.ContainerProcessState
	if err2 := json.Unmarshal(append(b[:n], rest...), &s); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if s.Pid != 4711 || s.Metadata != "to whom it may concern" || len(s.Fds) != 1 || s.Fds[0] != "seccompFd" ||
		s.State.Status != "created" || s.State.Bundle != "/bundle" || s.State.Annotations["a"] != "b" || s.State.ID == "" || s.State.Version != s.Version {
		t.Errorf("%+v", s)
	}
	m, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil || len(m) != 1 {
		t.Fatal(m, err)
	}
	fds, err := unix.ParseUnixRights(&m[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	// It is the file that was given, and ours alone by now.
	_, _ = unix.Write(fds[0], []byte("x"))
	unix.Close(fds[0])
	if got, _ := io.ReadAll(read); string(got) != "x" {
		t.Errorf("through the descriptor: %q", got)
	}
}

func TestSendListener_Fails(t *testing.T) {
	for name, path := range map[string]string{"nobody listens": filepath.Join(t.TempDir(), "none"), "no path": ""} {
		r := with(t, `"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"`+path+`"}}`)
		_, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := SendListener(r, 1, w); err == nil || !strings.Contains(err.Error(), "linux.seccomp.listenerPath") {
			t.Errorf("%s: %v; want an error that names the field", name, err)
		}
		if w.Close() == nil {
			t.Errorf("%s: the file was not taken over", name)
		}
	}
}
