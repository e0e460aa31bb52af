package historic

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
)

// Users that were taken for others, mostly for root.
func userRows() []Row {
	const large = 1<<31 + user
	root := Finds{
		"ids.uid": oracle.Ignored, "ids.euid": oracle.Ignored, "ids.suid": oracle.Ignored, "ids.fsuid": oracle.Ignored,
		"capabilities.permitted": oracle.Weaker, "capabilities.effective": oracle.Weaker,
	}
	rootAndGroup := maps.Clone(root)
	for _, f := range []string{"ids.gid", "ids.egid", "ids.sgid", "ids.fsgid"} {
		rootAndGroup[f] = oracle.Ignored
	}
	return []Row{
		{
			Number: 20, ID: "CVE-2024-40635", Where: "containerd before 1.6.38, 1.7.27 and 2.0.4", Title: "a user id above 2147483647 becomes root",
			How: "the id is kept in 32 bits with a sign, and what is negative is taken for none", Finds: root,
			Ask: named(large, strconv.Itoa(large)),
			Do: byName(func(s, _ string) uint32 {
				n, _ := strconv.ParseUint(s, 10, 32)
				return uint32(max(int32(n), 0))
			}, large),
		},
		{
			Number: 21, ID: "CVE-2026-46680", Where: "containerd before 1.7.32, 2.0.9, 2.2.4 and 2.3.1", Title: "a user id that is out of range is taken for a name, which the image can give to root",
			How: "strconv.ParseInt of 32 bits fails, and the image's passwd has a root of that name", Finds: root,
			Ask: named(large, strconv.Itoa(large), fmt.Sprintf("%d:x:0:0::/:", large)),
			Do: byName(func(s, passwd string) uint32 {
				if n, err := strconv.ParseInt(s, 10, 32); err == nil {
					return uint32(n)
				}
				return lookup(s, passwd)
			}, large),
		},
		{
			Number: 22, ID: "CVE-2016-3697", Where: "runc before 0.1.0, docker before 1.11.2", Title: "a numeric user id is looked up as a name first, and the image's passwd has one",
			How: "the image's passwd has a root whose name is a number", Finds: root,
			Ask: named(user, strconv.Itoa(user), fmt.Sprintf("%d:x:0:0::/:", user)),
			Do:  byName(lookup, user),
		},
		{
			Number: 23, ID: "CVE-2026-30892", Where: "crun exec -u before 1.27", Title: "a user and group that are not understood are taken for root",
			How: "the error of strconv.Atoi(\"1000:1000\") is not looked at, after setns(2)", Finds: rootAndGroup,
			Ask: func(s *Scene) { s.Join(); box(user).ask(s); s.Engine.Vars["user"] = "1000:1000" },
			Do: func(e *Engine) error {
				i := box(user)
				if e.Wrong {
					n, _ := strconv.Atoi(e.Vars["user"])
					i.UID, i.GID = uint32(n), uint32(n)
				}
				return i.become()
			},
		},
		{
			Number: 24, ID: "CVE-2017-1000082", Where: "systemd before 234", Title: "a user whose name begins with a digit is no valid name, so the service runs as root",
			How: "the name is not looked up in passwd", Finds: root,
			Ask: named(user, "0day", fmt.Sprintf("0day:x:%d:%d::/:", user, user)),
			Do: func(e *Engine) error {
				i := box(user)
				if i.UID = lookup(e.Vars["user"], e.Vars["passwd"]); e.Wrong && e.Vars["user"][0] <= '9' {
					i.UID = 0
				}
				return i.become()
			},
		},
	}
}

// named asks for a user, whom the engine is told by name.
func named(uid uint32, name string, passwd ...string) func(*Scene) {
	return func(s *Scene) {
		s.Helper()
		i := box(uid)
		i.GID = user
		i.ask(s)
		s.Engine.Vars["user"] = name
		if len(passwd) == 0 {
			return
		}
		file := filepath.Join(s.TempDir(), "passwd")
		if err := os.WriteFile(file, []byte(strings.Join(passwd, "\n")+"\n"), 0o644); err != nil {
			s.Fatal(err)
		}
		s.Engine.Vars["passwd"] = file
	}
}

// byName is an engine that finds out who a user is: in a wrong way, or as right
// has it.
func byName(wrong func(name, passwd string) uint32, right uint32) func(*Engine) error {
	return func(e *Engine) error {
		i := box(right)
		if i.GID = user; e.Wrong {
			i.UID = wrong(e.Vars["user"], e.Vars["passwd"])
		}
		return i.become()
	}
}

// lookup finds a user's id by name; who is not found is root, as was the fashion.
func lookup(name, passwd string) uint32 {
	f, err := os.Open(passwd)
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if l := strings.Split(s.Text(), ":"); len(l) > 3 && l[0] == name {
			n, _ := strconv.ParseUint(l[2], 10, 32)
			return uint32(n)
		}
	}
	return 0
}
