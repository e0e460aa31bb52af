package harness

import (
	"strconv"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Joining a user namespace without a change of ids: whether the workload has
// capabilities there depends on the map of the namespace, which its member shows.
func TestSabotageKeptIDsInJoinedUserNamespace(t *testing.T) {
	r := shared(t)
	for name, m := range map[string][]checkpoint.IDMap{
		"caller is root there":   identity,
		"caller is no one there": {{Inside: 0, Outside: 100000, Count: 65536}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := r.launcher.Start(bg, &checkpoint.Config{
				Args: []string{"/bin/sleep", "1000"}, UIDMap: m, GIDMap: m, Namespaces: []checkpoint.Namespace{{Kind: checkpoint.User}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Kill(); _, _ = w.Wait(bg) }()
			row := sabotage{
				name: name, ask: func(_ *testing.T, q *request.Request) {
					q.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/proc/" + strconv.Itoa(w.HostPID()) + "/ns/user"}}
				},
				tamper: without(checkpoint.User), want: finds{"namespaces.user": oracle.Ignored},
				also: []string{"user_namespace.", "capabilities.", "namespaces."},
			}
			row.run(t, r)
		})
	}
}
