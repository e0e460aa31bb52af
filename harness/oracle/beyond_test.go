package oracle

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestAsked: what no task shows needs evidence from elsewhere; each member of a
// request alone, and nothing that was not asked for.
func TestAsked(t *testing.T) {
	const mnt, net, spec = `"namespaces":[{"type":"mount"}]`, `{"linux":{"namespaces":[{"type":"network"}]},"holdshort":{"network":`, `"linux":{"cgroupsPath":"/x","resources":`
	const (
		dev  = `"mounts":[{"destination":"/dev","type":"tmpfs","source":"t"}],`
		full = `"mounts":[{"destination":"/dev","type":"tmpfs","source":"t"},{"destination":"/dev/fd","type":"tmpfs","source":"t"},{"destination":"/dev/stdin","type":"tmpfs","source":"t"},
			{"destination":"/dev/stdout","type":"tmpfs","source":"t"},{"destination":"/dev/stderr","type":"tmpfs","source":"t"},{"destination":"/dev/ptmx","type":"tmpfs","source":"t"}],`
		all = `{"path":"/dev/null","type":"c","major":1,"minor":3},{"path":"/dev/zero","type":"c","major":1,"minor":5},{"path":"/dev/full","type":"c","major":1,"minor":7},
			{"path":"/dev/random","type":"c","major":1,"minor":8},{"path":"/dev/urandom","type":"c","major":1,"minor":9},{"path":"/dev/tty","type":"c","major":5,"minor":0}`
		six = "linux.devices[0] linux.devices[1] linux.devices[2] linux.devices[3] linux.devices[4] linux.devices[5]"
	)
	for ask, want := range map[string]string{
		``:                        "",
		`{"linux":{` + mnt + `}}`: "",
		`{"linux":{` + mnt + `},"mounts":[{"destination":"/a","type":"tmpfs","source":"t"},{"destination":"/b","type":"proc","source":"p"}]}`: "mounts[0] mounts[1] mounts.propagation",
		`{"linux":{` + mnt + `,"rootfsPropagation":"rslave"}}`:                                                                                "linux.rootfsPropagation mounts.propagation",
		`{"linux":{` + mnt + `,"maskedPaths":["/proc/kcore","/b"]}}`:                                                                          "mounts.propagation linux.maskedPaths[0] linux.maskedPaths[1]",
		`{"linux":{` + mnt + `,"readonlyPaths":["/proc/sys"]}}`:                                                                               "mounts.propagation linux.readonlyPaths[0]",
		`{"linux":{"namespaces":[{"type":"mount","path":"/n"}],"maskedPaths":["/proc/kcore"]}}`:                                               "linux.maskedPaths[0]",
		`{"root":{"path":"/r"},"linux":{` + mnt + `,"devices":[{"path":"/dev/x","type":"c","major":1,"minor":3}]}}`:                           "mounts.propagation mounts.unasked linux.devices[0]",
		`{"root":{"path":"/r"},` + dev + `"linux":{` + mnt + `,"devices":[{"path":"/dev/null","type":"c","major":1,"minor":3}]}}`:             "mounts[0] mounts.propagation mounts.unasked linux.devices[0] linux.devices.default linux.devices.unasked",
		`{"root":{"path":"/r"},"linux":{` + mnt + `}}`:                                                                                        "",
		`{"root":{"path":"/r"},` + dev + `"linux":{` + mnt + `}}`:                                                                             "mounts[0] mounts.propagation mounts.unasked linux.devices.default linux.devices.unasked",
		`{"root":{"path":"/r"},` + full + `"linux":{` + mnt + `,"devices":[` + all + `]}}`:                                                    "mounts[0] mounts[1] mounts[2] mounts[3] mounts[4] mounts[5] mounts.propagation mounts.unasked " + six,
		`{"root":{"path":"/r"},"process":{"terminal":true},` + full + `"linux":{` + mnt + `,"devices":[` + all + `]}}`:                        "mounts[0] mounts[1] mounts[2] mounts[3] mounts[4] mounts[5] mounts.propagation mounts.unasked " + six + " linux.devices.default linux.devices.unasked",
		`{"linux":{"namespaces":[{"type":"network"},{"type":"ipc"}],"sysctl":{"net.ipv4.ip_forward":"1","kernel.shmmni":"5"}}}`:               "linux.sysctl.kernel.shmmni linux.sysctl.net.ipv4.ip_forward",
		`{"linux":{"cgroupsPath":"/x"}}`:                                                             "",
		`{"linux":{"cgroupsPath":"x"}}`:                                                              "linux.cgroupsPath",
		`{` + spec + `{}}}`:                                                                          "",
		`{` + spec + `{"devices":[{"allow":false}]}}}`:                                               "linux.resources.devices",
		`{` + spec + `{"memory":{"limit":7}}}}`:                                                      "linux.resources.memory",
		`{` + spec + `{"cpu":{"shares":7}}}}`:                                                        "linux.resources.cpu",
		`{` + spec + `{"pids":{"limit":7}}}}`:                                                        "linux.resources.pids",
		`{` + spec + `{"blockIO":{"weight":70}}}}`:                                                   "linux.resources.blockIO",
		`{` + spec + `{"hugepageLimits":[{"pageSize":"2MB","limit":7}]}}}`:                           "linux.resources.hugepageLimits[0]",
		`{` + spec + `{"network":{"classID":7}}}}`:                                                   "linux.resources.network",
		`{` + spec + `{"rdma":{"a":{"hcaHandles":7}}}}}`:                                             "linux.resources.rdma",
		`{` + spec + `{"unified":{"pids.max":"7","cpu.max":"1"}}}}`:                                  "linux.resources.unified.cpu.max linux.resources.unified.pids.max",
		`{"linux":{"namespaces":[{"type":"network"}],"netDevices":{"eth1":{"name":"e"},"eth0":{}}}}`: "linux.netDevices.eth0 linux.netDevices.eth1",
		`{"linux":{"mountLabel":"a:b:c",` + mnt + `}}`:                                               "linux.mountLabel",
		`{"linux":{"intelRdt":{"closID":"x"}}}`:                                                      "linux.intelRdt",
		`{"process":{"apparmorProfile":"x"}}`:                                                        "process.apparmorProfile",
		`{"process":{"selinuxLabel":"x"}}`:                                                           "process.selinuxLabel",
		`{"process":{"terminal":true}}`:                                                              "",
		`{"process":{"terminal":true,"consoleSize":{"height":2,"width":3}}}`:                         "process.consoleSize",
		`{"process":{"consoleSize":{"height":2,"width":3}}}`:                                         "",
		`{"hooks":{}}`:                                                                    "hooks",
		`{"holdshort":{"keyring":{"name":"k"}}}`:                                          "holdshort.keyring",
		`{"holdshort":{"newKeyring":true}}`:                                               "",
		`{"holdshort":{"ptracer":-1}}`:                                                    "holdshort.ptracer",
		`{"holdshort":{"speculation":{"l1dFlush":"enable"}}}`:                             "holdshort.speculation.l1dFlush",
		`{"holdshort":{"speculation":{"storeBypass":"enable"}}}`:                          "",
		`{"holdshort":{"cgroup":{"v2":"/x","freeze":true}}}`:                              "holdshort.cgroup.freeze",
		`{"holdshort":{"cgroup":{"v2":"/x","create":true,"delegate":true}}}`:              "holdshort.cgroup.delegate",
		`{"holdshort":{"cgroup":{"v2":"/x","limits":[{"file":"pids.max","value":"7"}]}}}`: "holdshort.cgroup.limits[0]",
		`{"holdshort":{"cgroup":{"v2":"/x"}}}`:                                            "",
		net + `{"loopbackUp":true}}}`:                                                     "holdshort.network.loopbackUp",
		net + `{"links":[{"kind":"dummy","name":"d"}]}}}`:                                 "holdshort.network.links[0]",
		net + `{"links":[{"kind":"dummy","name":"d"}],"routes":[{"link":"d"}]}}}`:         "holdshort.network.links[0] holdshort.network.routes[0]",
		net + `{"links":[{"kind":"dummy","name":"d"}],"neighbours":[{"link":"d","address":"10.0.0.1","mac":"02:00:00:00:00:01"}]}}}`:                                                                               "holdshort.network.links[0] holdshort.network.neighbours[0]",
		net + `{"nftables":[{"family":"inet","name":"t","chains":[{"name":"c","hook":"input"}]}]}}}`:                                                                                                               "holdshort.network.nftables[0]",
		net + `{"rules":[{"table":100,"priority":5}]}}}`:                                                                                                                                                           "holdshort.network.rules[0]",
		`{"process":{"noNewPrivileges":true},"holdshort":{"landlock":{"layers":[{"scoped":["signal"],"restrictFlags":["tsync","log_new_exec_on"]},{"scoped":["signal"],"restrictFlags":["log_same_exec_off"]}]}}}`: "holdshort.landlock.layers[0].restrictFlags[1] holdshort.landlock.layers[1].restrictFlags[0]",
		`{"process":{"scheduler":{"policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":3}}}`:                                                                                                                "process.scheduler.deadline",
		`{"process":{"scheduler":{"policy":"SCHED_BATCH"}}}`:                                                                                                                                                       "",
		`{"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"}}}`:                                                                                                                                              "linux.memoryPolicy",
		`{"holdshort":{"uclamp":{"min":0}}}`:                                                                                                                                                                       "holdshort.uclamp",
		`{"holdshort":{"session":true,"autogroupNice":0}}`:                                                                                                                                                         "holdshort.autogroupNice",
		`{"holdshort":{"ioFlusher":true}}`:                                                                                                                                                                         "holdshort.ioFlusher",
		`{"holdshort":{"memory":{"thpDisable":false}}}`:                                                                                                                                                            "holdshort.memory.thpDisable",
		`{"holdshort":{"memory":{"merge":false}}}`:                                                                                                                                                                 "holdshort.memory.merge",
	} {
		var got []string
		e := launch{ask: ask}.expectation(t)
		for _, b := range e.Beyond() {
			got = append(got, b.Field)
			if b.Want == nil {
				t.Errorf("%s: %s wants nothing", ask, b.Field)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s\n got %s\nwant %s", ask, s, want)
		}
	}
}

// What is wanted is the member of the request itself.
func TestAsked_Want(t *testing.T) {
	e := launch{ask: `{"linux":{"namespaces":[{"type":"mount"}],"maskedPaths":["/a","/b"],"readonlyPaths":["/c"]},
		"mounts":[{"destination":"/d","type":"tmpfs","source":"t"},{"destination":"/e","type":"proc","source":"p"}],"holdshort":{"ptracer":7}}`}.expectation(t)
	want := map[string]string{
		"mounts[0]": `{"destination":"/d","type":"tmpfs","source":"t"}`, "mounts[1]": `{"destination":"/e","type":"proc","source":"p"}`,
		"linux.maskedPaths[0]": `"/a"`, "linux.maskedPaths[1]": `"/b"`, "linux.readonlyPaths[0]": `"/c"`, "holdshort.ptracer": `7`,
	}
	for _, b := range e.Beyond() {
		got, err := json.Marshal(b.Want)
		if w, ok := want[b.Field]; err != nil || ok && string(got) != w {
			t.Errorf("%s: %s (%v), want %s", b.Field, got, err, w)
		}
	}
}
