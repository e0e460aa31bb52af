package oci

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestClaim: between making the directory and having its lock, another may have
// deleted it and made a container there.
func TestClaim(t *testing.T) {
	root := t.TempDir()
	theirs, err := makeContainer(root, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.save(); err != nil {
		t.Fatal(err)
	}
	theirs.close()
	late := &container{record: record{ID: "x"}, root: root}
	if err := late.claim(); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("claimed with %v what another has made", err)
	}
	if late.dir != nil {
		t.Error("it is still locked")
	}
	if _, err := findContainer(root, "x", false); err != nil {
		t.Error(err)
	}
}

// TestPlantedLinks: a file is not written through a link at a name that can be
// guessed, nor through one at its own.
func TestPlantedLinks(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pid")
	symlink(t, victim, path)
	symlink(t, victim, filepath.Join(dir, ".pid."+strconv.Itoa(os.Getpid())))
	if err := writePIDFile(path, 7); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "old" {
		t.Errorf("what the link leads to is now %q, %v", b, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "7" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
		t.Errorf("it is %v, %v", st.Mode(), err)
	}
}

// TestListTellsWhatItCannotRead: a container whose record is broken is not left
// out without a word, and does not hide the others.
func TestListTellsWhatItCannotRead(t *testing.T) {
	bundle(t, nil, nil)
	c := newCommand(t)
	for _, id := range []string{"broken", "sound"} {
		k, err := makeContainer(c.root, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.save(); err != nil {
			t.Fatal(err)
		}
		k.close()
	}
	file := filepath.Join(c.root, "broken", stateFile)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, said := c.run("list", "--quiet")
	if code != 0 || out != "sound\n" || !strings.Contains(said, "level=warning") || !strings.Contains(said, filepath.Join(c.root, "broken")) {
		t.Errorf("status %d, %q, %q", code, out, said)
	}
	if err := os.Remove(file); err != nil { // for the clean-up
		t.Fatal(err)
	}
}

// TestStateIsWhole: the annotations are those of the configuration, also those
// that the launcher has no use for, and there is an owner.
func TestStateIsWhole(t *testing.T) {
	c, id := newCommand(t), id(t)
	want := map[string]string{"run.oci.handler": "x", "a": "b"}
	c.must("create", "--bundle", bundle(t, []string{"/bin/true"}, func(s *specs.Spec) { s.Annotations = want }), id)
	pid := c.state(id).Pid
	for name, out := range map[string]string{"state": c.must("state", id), "list": c.must("list", "--format", "json")} {
		if name == "state" {
			out = "[" + out + "]"
		}
		var list []stateOutput
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %s", name, err, out)
		}
		if s := list[0]; !maps.Equal(s.Annotations, want) || s.Owner == "" {
			t.Errorf("%s: annotations %v, owner %q", name, s.Annotations, s.Owner)
		}
	}
	c.must("delete", "--force", id)
	reap(t, pid)
	if name := (&container{record: record{Owner: 1<<31 - 3}}).owner(); name != "#2147483645" {
		t.Errorf("nobody's name is %q", name)
	}
}

func TestVersions(t *testing.T) {
	for s, want := range map[string]bool{
		"1.0.0": true, "1.3.0": true, "1.0.2-dev": true, "1.10.20-rc.1+build.5": true, "1.0.0+x-y": true,
		"": false, "1": false, "1.0": false, "1.0.0.0": false, "2.0.0": false, "0.1.0": false, "1.00.0": false, "1.0.x": false,
		"1.0.0-": false, "1.0.0+": false, "v1.0.0": false, "1.0.0 ": false, "1..0": false, "1.0.0-a_b": false, "11.0.0": false,
	} {
		if got := version1(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	for s, want := range map[string]bool{"a": true, "A-9_.+": true, "": false, ".": false, "..": false, "a/b": false, "a b": false, "é": false, "a\n": false} {
		if got := checkID(s) == nil; got != want {
			t.Errorf("ID %q: %v", s, got)
		}
	}
}
