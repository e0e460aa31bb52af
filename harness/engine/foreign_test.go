package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
)

// What each engine is told, and what it cannot be told. UID and GID stand for
// our own.
func TestForeign_CommandLine(t *testing.T) {
	const args = `"process":{"args":["/bin/true","x"],"env":["A=b"],"cwd":"/tmp"}`
	for name, c := range map[string]struct {
		engine, config, want string
		unexpressed          []string
	}{
		"bwrap, little": {
			"bwrap", `{` + args + `,"linux":{"namespaces":[{"type":"mount"}]},"holdshort":{"keepIDs":true}}`,
			"bwrap --dev-bind / / --chdir /tmp --clearenv --setenv A b --info-fd 3 -- /bin/true x", nil,
		},
		"bwrap, much": {
			"bwrap", `{` + args + `,"hostname":"h","root":{"path":"/r","readonly":true},"linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"uts"}]},
			"mounts":[{"destination":"/proc","type":"proc"},{"destination":"/t","type":"tmpfs","options":["size=4096","mode=0700"]},
			{"destination":"/b","type":"none","source":"/x","options":["rbind","ro"]}],"holdshort":{"keepIDs":true,"session":true,"pdeathsig":"SIGKILL"}}`,
			"bwrap --unshare-pid --unshare-uts --as-pid-1 --hostname h --ro-bind /r / --proc /proc --size 4096 --perms 0700 --tmpfs /t --ro-bind /x /b " +
				"--chdir /tmp --clearenv --setenv A b --new-session --die-with-parent --info-fd 3 -- /bin/true x", nil,
		},
		"bwrap, too much": {
			"bwrap", `{"process":{"args":["x"],"oomScoreAdj":5,"rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":0}]},"linux":{"namespaces":[{"type":"mount"},{"type":"time"}]},
			"mounts":[{"destination":"/s","type":"sysfs"}],"holdshort":{"keepIDs":true}}`,
			"bwrap --dev-bind / / --clearenv --info-fd 3 -- x",
			[]string{"linux.namespaces", "mounts", "process.oomScoreAdj", "process.rlimits"},
		},
		"bwrap, ids": {
			"bwrap", `{"process":{"args":["x"],"user":{"uid":5,"gid":6}},"linux":{"namespaces":[{"type":"mount"},{"type":"user"}],
			"uidMappings":[{"containerID":5,"hostID":UID,"size":1}],"gidMappings":[{"containerID":6,"hostID":GID,"size":1}]},"holdshort":{"denySetgroups":true}}`,
			"bwrap --unshare-user --uid 5 --gid 6 --dev-bind / / --clearenv --info-fd 3 -- x", nil,
		},
		"unshare": {
			"unshare", `{` + args + `,"root":{"path":"/r"},"linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"time"}],"timeOffsets":{"boottime":{"secs":7}}},"holdshort":{"keepIDs":true}}`,
			"unshare --mount --pid --time --fork --boottime=7 --root=/r --wd=/tmp -- /bin/true x", nil,
		},
		"unshare, ids": {
			"unshare", `{"process":{"args":["x"],"user":{"uid":5,"gid":6}},"linux":{"namespaces":[{"type":"network"}]}}`,
			"unshare --net --setgid 6 --setuid 5 -- x", nil,
		},
		"firejail": {
			"firejail", `{` + args + `,"hostname":"h","linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"uts"},{"type":"ipc"},{"type":"network"}],"readonlyPaths":["/a"],"maskedPaths":["/m"]},
			"mounts":[{"destination":"/proc","type":"proc"},{"destination":"/t","type":"tmpfs"}],"holdshort":{"keepIDs":true,"nice":3,"affinity":[0,1]}}`,
			"firejail --quiet --noprofile" + ipcFlag() + " --net=none --hostname=h --tmpfs=/t --blacklist=/m --read-only=/a --private-cwd=/tmp --nice=3 --cpu=0,1 -- /bin/true x",
			nil,
		},
		"firejail, too little": {
			"firejail", `{"process":{"args":["x"]},"root":{"path":"/r"},"linux":{"namespaces":[{"type":"mount"},{"type":"ipc"}]},"holdshort":{"keepIDs":true}}`,
			"firejail --quiet --noprofile" + ipcFlag() + " -- x",
			[]string{"linux.namespaces (firejail always makes a pid namespace)", "linux.namespaces (firejail always makes a uts namespace)", "root.path (--chroot is off unless /etc/firejail/firejail.config says otherwise)"},
		},
		"nsjail": {
			"nsjail", `{` + args + `,"hostname":"h","root":{"path":"/r","readonly":true},"linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"uts"},{"type":"time"}]},
			"mounts":[{"destination":"/proc","type":"proc"},{"destination":"/b","type":"bind","source":"/x","options":["rbind","ro"]},{"destination":"/t","type":"tmpfs","options":["size=4096"]}],"holdshort":{"nice":3}}`,
			"nsjail -Mo -Q --time_limit 0 --disable_rlimits --disable_clone_newipc --disable_clone_newnet --disable_clone_newcgroup --disable_clone_newuser --enable_clone_newtime --hostname h " +
				"--user 0 --group 0 --chroot /r --proc_rw --bindmount_ro /x:/b --mount none:/t:tmpfs:size=4096 --cwd /tmp --disable_no_new_privs --nice_level 3 --env A=b -- /bin/true x", nil,
		},
		"unshare, a nice value": {
			"unshare", `{"process":{"args":["x"]},"linux":{"namespaces":[{"type":"uts"}]},"holdshort":{"keepIDs":true,"nice":3}}`,
			"unshare --uts -- x",
			[]string{"holdshort.nice"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ByName(c.engine)
			if err != nil {
				t.Fatal(err)
			}
			config := strings.NewReplacer("UID", fmt.Sprint(os.Geteuid()), "GID", fmt.Sprint(os.Getegid())).Replace(c.config)
			q, err := request.Parse([]byte(config), true)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Validate(); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Command(q, false); errors.Is(err, ErrUnsupported) != (len(c.unexpressed) > 0) {
				t.Errorf("error %v", err)
			}
			cmd, err := e.Command(q, true)
			if err != nil {
				t.Fatal(err)
			}
			defer cmd.Close()
			if got := strings.Join(cmd.Args, " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got, want := strings.Join(cmd.Unexpressed, " "), strings.Join(c.unexpressed, " "); got != want {
				t.Errorf("unexpressed %s; want %s", got, want)
			}
			if again, err := e.Command(cmd.Request, false); err != nil {
				t.Errorf("what is left cannot be expressed either: %v", err)
			} else {
				again.Close()
			}
		})
	}
}

func ipcFlag() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return " --ipc-namespace"
}

// What an engine has no words for is named, and what is then left it has words
// for, with what it cannot be kept from.
func TestForeign_LeavesWhatItCanSay(t *testing.T) {
	q, err := request.Parse([]byte(`{"process":{"args":["/bin/true"],"user":{"uid":1000,"gid":1000,"additionalGids":[7]},"cwd":"/tmp","oomScoreAdj":5,"noNewPrivileges":true,
		"capabilities":{"bounding":["CAP_KILL"],"permitted":["CAP_KILL"]},"rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":1}],"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":7}},
		"root":{"path":"/r","readonly":true},"mounts":[{"destination":"/s","type":"sysfs"},{"destination":"/t","type":"tmpfs","options":["size=4096","mode=0700"]}],
		"linux":{"namespaces":[{"type":"network"},{"type":"mount"}],"maskedPaths":["/m"],"rootfsPropagation":"slave","seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["swapon"],"action":"SCMP_ACT_ERRNO"}]}},
		"holdshort":{"nice":3,"timerSlackNS":7}}`), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Engines() {
		t.Run(e.Name, func(t *testing.T) {
			_, err := e.Command(q, false)
			if !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error %v", err)
			}
			for _, want := range []string{"holdshort.timerSlackNS"} {
				if e != &docker && !strings.Contains(err.Error(), want) {
					t.Errorf("%s is not named: %v", want, err)
				}
			}
			cmd, err := e.Command(q, true)
			if err != nil {
				if e != &docker {
					t.Fatal(err)
				}
				return
			}
			defer cmd.Close()
			if err := cmd.Request.Validate(); err != nil {
				t.Errorf("what is left is not valid: %v", err)
			}
			again, err := e.Command(cmd.Request, false)
			if err != nil {
				t.Fatalf("what is left cannot be said either: %v", err)
			}
			again.Close()
		})
	}
}

// Of what is left out in part, what asks for nothing is left out as well: a
// priority of 0 means nothing without its class.
func TestForeign_LeavesNoHalves(t *testing.T) {
	q, err := request.Parse([]byte(`{"process":{"args":["/bin/true"],"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":0},"scheduler":{"policy":"SCHED_BATCH"}},
		"linux":{"namespaces":[{"type":"mount"}]},"holdshort":{"keepIDs":true}}`), true)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := bwrap.Command(q, true)
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Close()
	if err := cmd.Request.Validate(); err != nil {
		t.Error(err)
	}
	if p := cmd.Request.Process(); p.IOPriority != nil || p.Scheduler != nil {
		t.Errorf("left are %v, %v", p.IOPriority, p.Scheduler)
	}
}

// A bundle is run as it is; of a request without one a bundle is made, with
// paths that mean the same.
func TestForeign_Bundle(t *testing.T) {
	dir := t.TempDir()
	q := request.New("/bin/true")
	q.Ext = request.Extension{}
	b := []byte(`{"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},"root":{"path":"rootfs"},"mounts":[{"destination":"/m","source":"m","options":["bind"]}]}`)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	q, err := request.Parse(b, true)
	if err != nil {
		t.Fatal(err)
	}
	q.Dir = dir
	e, _ := ByName("runc")
	cmd, err := e.Command(q, false)
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Close()
	if cmd.Args[3] != dir {
		t.Errorf("bundle %s; want %s", cmd.Args[3], dir)
	}
	q.Spec.Process.Args = []string{"/bin/false"}
	other, err := e.Command(q, false)
	if err != nil {
		t.Fatal(err)
	}
	made := other.Args[3]
	b, err = os.ReadFile(filepath.Join(made, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Root   struct{ Path string }
		Mounts []struct{ Source string }
	}
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	if c.Root.Path != dir+"/rootfs" || c.Mounts[0].Source != dir+"/m" {
		t.Errorf("paths %+v", c)
	}
	other.Close()
	if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bundle is still there: %v", err)
	}
}
