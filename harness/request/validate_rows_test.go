package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// complaints are the fields that Validate complains of, in order. The members
// are those of a config.json, on top of one that asks for a program only. An @
// stands for a NUL byte, which Parse would not take.
func complaints(t *testing.T, members string) string {
	t.Helper()
	doc := map[string]any{"process": map[string]any{"args": []any{"true"}, "user": map[string]any{"uid": 0, "gid": 0}}}
	var more map[string]any
	d := json.NewDecoder(strings.NewReader("{" + members + "}"))
	d.UseNumber()
	if err := d.Decode(&more); err != nil {
		t.Fatalf("%s: %v", members, err)
	}
	b, err := json.Marshal(onTop(doc, more))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(b, true)
	if err != nil {
		t.Fatalf("%s: %v", members, err)
	}
	withNUL(reflect.ValueOf(r).Elem())
	err = r.Validate()
	if err == nil {
		return ""
	}
	var fields []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var fe *FieldError
		if !errors.As(e, &fe) || fe.Text == "" {
			t.Fatalf("%s: %v", members, e)
		}
		fields = append(fields, fe.Field)
	}
	slices.Sort(fields)
	return strings.ReplaceAll(strings.Join(slices.Compact(fields), " "), "\x00", "@")
}

// onTop merges objects.
func onTop(doc, more map[string]any) map[string]any {
	out := maps.Clone(doc)
	for k, v := range more {
		a, ok1 := out[k].(map[string]any)
		b, ok2 := v.(map[string]any)
		if ok1 && ok2 {
			out[k] = onTop(a, b)
		} else {
			out[k] = v
		}
	}
	return out
}

// withNUL has every @ of every string replaced.
func withNUL(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			withNUL(v.Elem())
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "net/netip" {
			return
		}
		for _, f := range v.Fields() {
			withNUL(f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			withNUL(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			withNUL(e)
			v.SetMapIndex(k, reflect.Value{})
			n := reflect.New(k.Type()).Elem()
			n.Set(k)
			withNUL(n)
			v.SetMapIndex(n, e)
		}
	case reflect.String:
		v.SetString(strings.ReplaceAll(v.String(), "@", "\x00"))
	}
}

func rows(t *testing.T, table map[string]string) {
	t.Helper()
	for _, members := range slices.Sorted(maps.Keys(table)) {
		if got := complaints(t, members); got != table[members] {
			t.Errorf("%.300s\n got %q\nwant %q", members, got, table[members])
		}
	}
}

// in puts members into an object.
func in(object, members string) string { return `"` + object + `":{` + members + `}` }

func TestValidateProcess(t *testing.T) {
	process := func(m string) string { return in("process", m) }
	user := func(m string) string { return process(in("user", m)) }
	gids := func(n int) string {
		return user(`"additionalGids":[` + strings.TrimSuffix(strings.Repeat("7,", n), ",") + `]`)
	}
	rows(t, map[string]string{
		``:                    "",
		`"ociVersion":""`:     "",
		`"ociVersion":"1.9"`:  "",
		`"ociVersion":"2.0"`:  "ociVersion",
		`"ociVersion":"11.0"`: "ociVersion",

		process(`"args":[]`):                      "process.args",
		process(`"args":[""]`):                    "process.args[0]",
		process(`"args":["a",""]`):                "",
		process(`"args":["a","b@"]`):              "process.args[1]",
		process(`"env":["A=","B=c"]`):             "",
		process(`"env":["A=1","B"]`):              "process.env[1]",
		process(`"env":["=1"]`):                   "process.env[0]",
		process(`"env":["A=@"]`):                  "process.env[0]",
		process(`"cwd":"/"`):                      "",
		process(`"cwd":"x"`):                      "process.cwd",
		process(`"cwd":"/@"`):                     "process.cwd",
		process(`"commandLine":"x"`):              "process.commandLine",
		user(`"uid":4294967294,"gid":4294967294`): "",
		user(`"uid":4294967295`):                  "process.user.uid",
		user(`"gid":4294967295`):                  "process.user.gid",
		user(`"username":"x"`):                    "process.user.username",
		user(`"umask":511`):                       "",
		user(`"umask":512`):                       "process.user.umask",
		user(`"additionalGids":[1,4294967295]`):   "process.user.additionalGids[1]",
		gids(65536):                               "",
		gids(65537):                               "process.user.additionalGids",

		user(`"uid":1`) + `,"holdshort":{"keepIDs":true}`:              "holdshort.keepIDs",
		user(`"gid":1`) + `,"holdshort":{"keepIDs":true}`:              "holdshort.keepIDs",
		user(`"additionalGids":[1]`) + `,"holdshort":{"keepIDs":true}`: "holdshort.keepIDs",
		user(`"umask":1`) + `,"holdshort":{"keepIDs":true}`:            "",

		process(`"capabilities":{"bounding":["CAP_KILL","KILL"]}`):                       "process.capabilities.bounding[1]",
		process(`"capabilities":{"effective":["X"]}`):                                    "process.capabilities.effective[0]",
		process(`"capabilities":{"permitted":["X"]}`):                                    "process.capabilities.permitted[0]",
		process(`"capabilities":{"inheritable":["X"]}`):                                  "process.capabilities.inheritable[0]",
		process(`"capabilities":{"ambient":["X"]}`):                                      "process.capabilities.ambient[0]",
		process(`"capabilities":{"effective":["CAP_KILL"]}`):                             "process.capabilities.effective",
		process(`"capabilities":{"effective":["CAP_KILL"],"permitted":["CAP_CHOWN"]}`):   "process.capabilities.effective",
		process(`"capabilities":{"effective":["CAP_KILL"],"permitted":["CAP_KILL"]}`):    "",
		process(`"capabilities":{"permitted":["CAP_KILL"],"inheritable":["CAP_CHOWN"]}`): "",
		process(`"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1}]`):                  "",
		process(`"rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":1}]`):                   "",
		process(`"rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]`):                  "process.rlimits[0]",
		process(`"rlimits":[{"type":"CORE","soft":1,"hard":1}]`):                         "process.rlimits[0].type",
		process(`"oomScoreAdj":-1000`):                                                   "",
		process(`"oomScoreAdj":1000`):                                                    "",
		process(`"oomScoreAdj":-1001`):                                                   "process.oomScoreAdj",
		process(`"oomScoreAdj":1001`):                                                    "process.oomScoreAdj",
		process(`"ioPriority":{"class":"IOPRIO_CLASS_RT","priority":0}`):                 "",
		process(`"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":7}`):               "",
		process(`"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}`):                 "process.ioPriority.priority",
		process(`"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":-1}`):                "process.ioPriority.priority",
		process(`"ioPriority":{"class":"x","priority":1}`):                               "process.ioPriority.class",
		process(`"apparmorProfile":"@"`):                                                 "process.apparmorProfile",
		process(`"selinuxLabel":"@"`):                                                    "process.selinuxLabel",
	})
}

func TestValidateScheduler(t *testing.T) {
	s := func(m string) string { return in("process", in("scheduler", m)) }
	rows(t, map[string]string{
		s(`"policy":"SCHED_OTHER"`):                                                                       "",
		s(`"policy":"x"`):                                                                                 "process.scheduler.policy",
		s(`"policy":"SCHED_BATCH","nice":-20`):                                                            "",
		s(`"policy":"SCHED_BATCH","nice":19`):                                                             "",
		s(`"policy":"SCHED_BATCH","nice":-21`):                                                            "process.scheduler.nice",
		s(`"policy":"SCHED_BATCH","nice":20`):                                                             "process.scheduler.nice",
		s(`"policy":"SCHED_IDLE","priority":1`):                                                           "process.scheduler.priority",
		s(`"policy":"SCHED_FIFO","priority":1`):                                                           "",
		s(`"policy":"SCHED_FIFO","priority":99`):                                                          "",
		s(`"policy":"SCHED_RR","priority":1`):                                                             "",
		s(`"policy":"SCHED_RR","priority":0`):                                                             "process.scheduler.priority",
		s(`"policy":"SCHED_FIFO","priority":0`):                                                           "process.scheduler.priority",
		s(`"policy":"SCHED_FIFO","priority":100`):                                                         "process.scheduler.priority",
		s(`"policy":"SCHED_BATCH","runtime":1`):                                                           "process.scheduler",
		s(`"policy":"SCHED_BATCH","deadline":1`):                                                          "process.scheduler",
		s(`"policy":"SCHED_BATCH","period":1`):                                                            "process.scheduler",
		s(`"policy":"SCHED_BATCH","runtime":3,"deadline":3,"period":3`):                                   "process.scheduler",
		s(`"policy":"SCHED_DEADLINE","runtime":1,"deadline":1,"period":1`):                                "",
		s(`"policy":"SCHED_DEADLINE","runtime":2,"deadline":1,"period":3`):                                "process.scheduler",
		s(`"policy":"SCHED_DEADLINE","runtime":1,"deadline":3,"period":2`):                                "process.scheduler",
		s(`"policy":"SCHED_DEADLINE","runtime":0,"deadline":1,"period":1`):                                "process.scheduler.runtime",
		s(`"policy":"SCHED_DEADLINE","runtime":1,"deadline":1,"period":9223372036854775807`):              "",
		s(`"policy":"SCHED_DEADLINE","runtime":1,"deadline":1,"period":9223372036854775808`):              "process.scheduler.runtime",
		s(`"policy":"SCHED_BATCH","flags":["SCHED_FLAG_RESET_ON_FORK"]`):                                  "",
		s(`"policy":"SCHED_BATCH","flags":["SCHED_FLAG_RECLAIM"]`):                                        "process.scheduler.flags",
		s(`"policy":"SCHED_BATCH","flags":["SCHED_FLAG_DL_OVERRUN"]`):                                     "process.scheduler.flags",
		s(`"policy":"SCHED_DEADLINE","runtime":1,"deadline":1,"period":1,"flags":["SCHED_FLAG_RECLAIM"]`): "",
		s(`"policy":"SCHED_BATCH","nice":5`) + `,"holdshort":{"nice":5}`:                                  "",
		s(`"policy":"SCHED_BATCH","nice":5`) + `,"holdshort":{"nice":6}`:                                  "holdshort.nice",
		s(`"policy":"SCHED_BATCH"`) + `,"holdshort":{"nice":6}`:                                           "",
		`"holdshort":{"nice":-20}`:                                                                        "",
		`"holdshort":{"nice":19}`:                                                                         "",
		`"holdshort":{"nice":-21}`:                                                                        "holdshort.nice",
		`"holdshort":{"nice":20}`:                                                                         "holdshort.nice",
	})
}

func TestValidateNamespaces(t *testing.T) {
	linux := func(m string) string { return in("linux", m) }
	user := func(m string) string { return linux(`"namespaces":[{"type":"user"}],` + m) }
	clock := func(m string) string {
		return linux(`"namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{` + m + `}}`)
	}
	name := func(n int) string {
		return `"hostname":"` + strings.Repeat("x", n) + `","linux":{"namespaces":[{"type":"uts"}]}`
	}
	extents := func(n int) string {
		var b []string
		for i := range n {
			b = append(b, fmt.Sprintf(`{"containerID":%d,"hostID":%d,"size":2}`, 2*i, 2*(n-i)))
		}
		return user(`"uidMappings":[` + strings.Join(b, ",") + `]`)
	}
	rows(t, map[string]string{
		linux(`"namespaces":[{"type":"pid"},{"type":"network"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"user"},{"type":"cgroup"},{"type":"time"}]`): "",
		linux(`"namespaces":[{"type":"net"}]`):                                       "linux.namespaces[0].type",
		linux(`"namespaces":[{"type":"pid"},{"type":"pid"}]`):                        "linux.namespaces[1]",
		linux(`"namespaces":[{"type":"pid","path":"x"}]`):                            "linux.namespaces[0].path",
		linux(`"namespaces":[{"type":"pid","path":"/@"}]`):                           "linux.namespaces[0].path",
		`"holdshort":{"namespaces":[{"type":"pid","pid":1}]}`:                        "",
		`"holdshort":{"namespaces":[{"type":"pid","pid":0}]}`:                        "holdshort.namespaces[0].pid",
		`"holdshort":{"namespaces":[{"type":"x","pid":1}]}`:                          "holdshort.namespaces[0].type",
		`"holdshort":{"namespaces":[{"type":"uts","pid":1},{"type":"uts","pid":2}]}`: "holdshort.namespaces[1]",
		`"hostname":"x","holdshort":{"namespaces":[{"type":"uts","pid":1}]}`:         "",

		linux(`"uidMappings":[{"containerID":0,"hostID":0,"size":1}]`):                                                                                 "linux.uidMappings",
		linux(`"gidMappings":[{"containerID":0,"hostID":0,"size":1}]`):                                                                                 "linux.gidMappings",
		linux(`"namespaces":[{"type":"user","path":"/n"}],"gidMappings":[{"containerID":0,"hostID":0,"size":1}]`):                                      "linux.gidMappings",
		user(`"uidMappings":[{"containerID":0,"hostID":0,"size":1}]`):                                                                                  "",
		user(`"gidMappings":[{"containerID":0,"hostID":0,"size":0}]`):                                                                                  "linux.gidMappings[0].size",
		user(`"uidMappings":[{"containerID":4294967294,"hostID":4294967294,"size":1}]`):                                                                "",
		user(`"uidMappings":[{"containerID":4294967294,"hostID":0,"size":2}]`):                                                                         "linux.uidMappings[0]",
		user(`"uidMappings":[{"containerID":0,"hostID":4294967294,"size":2}]`):                                                                         "linux.uidMappings[0]",
		user(`"uidMappings":[{"containerID":0,"hostID":0,"size":10},{"containerID":10,"hostID":10,"size":1}]`):                                         "",
		user(`"uidMappings":[{"containerID":10,"hostID":10,"size":1},{"containerID":0,"hostID":0,"size":10}]`):                                         "",
		user(`"uidMappings":[{"containerID":0,"hostID":0,"size":10},{"containerID":9,"hostID":10,"size":1}]`):                                          "linux.uidMappings",
		user(`"uidMappings":[{"containerID":0,"hostID":0,"size":10},{"containerID":10,"hostID":9,"size":1}]`):                                          "linux.uidMappings",
		user(`"uidMappings":[{"containerID":20,"hostID":0,"size":10},{"containerID":0,"hostID":30,"size":1},{"containerID":29,"hostID":50,"size":1}]`): "linux.uidMappings",
		user(`"uidMappings":[{"containerID":4294967290,"hostID":0,"size":2},{"containerID":0,"hostID":30,"size":1}]`):                                  "",
		extents(340): "",
		extents(341): "linux.uidMappings",

		`"holdshort":{"denySetgroups":true}`:                                                                                    "holdshort.denySetgroups",
		`"linux":{"namespaces":[{"type":"user"}]},"holdshort":{"denySetgroups":true}`:                                           "",
		`"process":{"user":{"additionalGids":[1]}},"linux":{"namespaces":[{"type":"user"}]},"holdshort":{"denySetgroups":true}`: "process.user.additionalGids",
		linux(`"timeOffsets":{"boottime":{"secs":1}}`):                                                                          "linux.timeOffsets",
		linux(`"namespaces":[{"type":"time","path":"/n"}],"timeOffsets":{"boottime":{"secs":1}}`):                               "linux.timeOffsets",
		linux(`"namespaces":[{"type":"time"}],"timeOffsets":{"monotonic":{"secs":1}}`):                                          "",
		linux(`"namespaces":[{"type":"time"}],"timeOffsets":{"realtime":{"secs":1}}`):                                           "linux.timeOffsets.realtime",
		clock(`"nanosecs":999999999`):                                                                                           "",
		clock(`"nanosecs":1000000000`):                                                                                          "linux.timeOffsets.boottime.nanosecs",
		clock(`"secs":8589934591`):                                                                                              "",
		clock(`"secs":8589934592`):                                                                                              "linux.timeOffsets.boottime.secs",
		clock(`"secs":-8589934591`):                                                                                             "",
		clock(`"secs":-8589934592`):                                                                                             "linux.timeOffsets.boottime.secs",
		name(64):                                                                                                                "",
		name(65):                                                                                                                "hostname",
		`"hostname":"x"`:                                                                                                        "hostname",
		`"domainname":"x"`:                                                                                                      "domainname",
		`"domainname":"x@","linux":{"namespaces":[{"type":"uts"}]}`:                                                             "domainname",
		`"holdshort":{"network":{"loopbackUp":true}}`:                                                                           "holdshort.network",
		linux(`"netDevices":{"eth0":{}}`):                                                                                       "linux.netDevices",
		`"holdshort":{"init":true}`:                                                                                             "holdshort.init",
		`"holdshort":{"init":true},"linux":{"namespaces":[{"type":"pid","path":"/n"}]}`:                                         "holdshort.init",
		`"holdshort":{"init":true},"linux":{"namespaces":[{"type":"pid"}]}`:                                                     "",
	})
}

const mnt = `"namespaces":[{"type":"mount"}]`

func TestValidateMounts(t *testing.T) {
	mount := func(m string) string {
		return `"linux":{` + mnt + `},"mounts":[{"destination":"/a","source":"s",` + m + `}]`
	}
	device := func(m string) string {
		return `"root":{"path":"/r"},"linux":{` + mnt + `,"devices":[{"path":"/dev/x","type":"c","major":1,"minor":2` + m + `}]}`
	}
	const one = `[{"containerID":0,"hostID":0,"size":1}]`
	rows(t, map[string]string{
		`"root":{"path":"/r"}`:                        "root.path",
		`"root":{"path":"/r"},"linux":{` + mnt + `}`:  "",
		`"root":{"path":"/r@"},"linux":{` + mnt + `}`: "root.path",
		`"root":{"path":"","readonly":true}`:          "root.readonly",
		`"root":{"path":""}`:                          "",
		`"mounts":[{"destination":"/a"}]`:             "mounts[0]",
		mount(`"type":"tmpfs"`):                       "",
		mount(`"destination":"a"`):                    "mounts[0].destination",
		mount(`"destination":"/@"`):                   "mounts[0]",
		mount(`"source":"@"`):                         "mounts[0]",
		mount(`"type":"@"`):                           "mounts[0]",
		mount(`"options":["ro","@"]`):                 "mounts[0].options",
		mount(`"options":["bind"],"uidMappings":` + one + `,"gidMappings":` + one):                                                   "",
		mount(`"options":["rbind"],"uidMappings":` + one + `,"gidMappings":` + one):                                                  "",
		mount(`"options":["bind","remount"],"uidMappings":` + one + `,"gidMappings":` + one):                                         "mounts[0].options",
		mount(`"uidMappings":` + one + `,"gidMappings":` + one):                                                                      "mounts[0].options",
		mount(`"options":["bind"],"uidMappings":` + one):                                                                             "mounts[0].uidMappings",
		mount(`"options":["bind"],"gidMappings":` + one):                                                                             "mounts[0].uidMappings",
		mount(`"options":["bind","idmap"],"uidMappings":` + one + `,"gidMappings":` + one):                                           "",
		mount(`"options":["bind","idmap"]`):                                                                                          "mounts[0].options",
		mount(`"options":["bind","ridmap"]`):                                                                                         "mounts[0].options",
		mount(`"options":["idmap"]`) + `,"linux":{"namespaces":[{"type":"mount"},{"type":"user"}],"uidMappings":` + one + `}`:        "mounts[0].options",
		mount(`"options":["bind","idmap"]`) + `,"linux":{"namespaces":[{"type":"mount"},{"type":"user"}],"uidMappings":` + one + `}`: "",
		mount(`"options":["bind"],"uidMappings":[{"containerID":0,"hostID":0,"size":0}],"gidMappings":` + one):                       "mounts[0].uidMappings[0].size",
		mount(`"options":["bind"],"gidMappings":[{"containerID":0,"hostID":0,"size":0}],"uidMappings":` + one):                       "mounts[0].gidMappings[0].size",
		mount(`"type":"tmpfs","options":["tmpcopyup"]`):                                                                              "",
		mount(`"type":"proc","options":["tmpcopyup"]`):                                                                               "mounts[0].options",
		mount(`"type":"tmpfs","options":["tmpcopyup","bind"]`):                                                                       "mounts[0].options",

		`"linux":{"maskedPaths":["/a"]}`:                                    "linux.maskedPaths",
		`"linux":{"readonlyPaths":["/a"]}`:                                  "linux.readonlyPaths",
		`"linux":{"maskedPaths":["/a"],"readonlyPaths":["/b"],` + mnt + `}`: "",
		`"linux":{"maskedPaths":["/a","b"],` + mnt + `}`:                    "linux.maskedPaths[1]",
		`"linux":{"maskedPaths":["/@"],` + mnt + `}`:                        "linux.maskedPaths[0]",
		`"linux":{"readonlyPaths":["/a","b"],` + mnt + `}`:                  "linux.readonlyPaths[1]",
		device(``): "",
		`"linux":{` + mnt + `,"devices":[{"path":"/dev/x","type":"c","major":1,"minor":2}]}`:                    "linux.devices",
		`"root":{"path":""},"linux":{` + mnt + `,"devices":[{"path":"/dev/x","type":"c","major":1,"minor":2}]}`: "linux.devices",
		device(`,"path":"dev/x"`):                    "linux.devices[0].path",
		device(`,"path":"/."`):                       "linux.devices[0].path",
		device(`,"type":"cc"`):                       "linux.devices[0].type",
		device(`,"type":"cu"`):                       "linux.devices[0].type",
		device(`,"type":""`):                         "linux.devices[0].type",
		device(`,"type":"a"`):                        "linux.devices[0].type",
		device(`,"type":"p"`):                        "",
		device(`,"major":0,"minor":0`):               "",
		device(`,"major":-1`):                        "linux.devices[0]",
		device(`,"minor":-1`):                        "linux.devices[0]",
		device(`,"major":4095,"minor":1048575`):      "",
		device(`,"major":4096`):                      "linux.devices[0]",
		device(`,"minor":1048576`):                   "linux.devices[0]",
		device(`,"fileMode":4095`):                   "",
		device(`,"fileMode":4096`):                   "linux.devices[0].fileMode",
		device(`,"uid":4294967294,"gid":4294967294`): "",
		device(`,"uid":4294967295`):                  "linux.devices[0]",
		device(`,"gid":4294967295`):                  "linux.devices[0]",
	})
}

func TestValidateLinux(t *testing.T) {
	linux := func(m string) string { return in("linux", m) }
	res := func(m string) string { return linux(in("resources", m)) }
	memory := func(m string) string { return res(in("memory", m)) }
	cpu := func(m string) string { return res(in("cpu", m)) }
	device := func(m string) string { return res(`"devices":[{"allow":true,` + m + `}]`) }
	seccomp := func(m string) string {
		return linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[` + m + `]}`)
	}
	const net = `"namespaces":[{"type":"network"}],`
	rows(t, map[string]string{
		linux(net + `"sysctl":{"net.ipv4.ip_forward":"1"}`):                                                       "",
		linux(net + `"sysctl":{"net.ipv4.ip_forward":"@"}`):                                                       "linux.sysctl.net.ipv4.ip_forward",
		linux(net + `"sysctl":{"/net":"1"}`):                                                                      "linux.sysctl./net",
		linux(net + `"sysctl":{"net/../x":"1"}`):                                                                  "linux.sysctl.net/../x",
		linux(net + `"sysctl":{"":"1"}`):                                                                          "linux.sysctl.",
		linux(`"sysctl":{"net.ipv4.ip_forward":"1"}`):                                                             "linux.sysctl.net.ipv4.ip_forward",
		linux(net + `"sysctl":{"kernel.shmmni":"1"}`):                                                             "linux.sysctl.kernel.shmmni",
		linux(net + `"sysctl":{"vm.swappiness":"1"}`):                                                             "linux.sysctl.vm.swappiness",
		linux(net + `"sysctl":{"net.ipv4.ip_forward":"1","net/ipv4/ip_forward":"1"}`):                             "linux.sysctl.net/ipv4/ip_forward",
		linux(`"namespaces":[{"type":"uts"}],"sysctl":{"kernel.hostname":"x"}`):                                   "",
		linux(`"namespaces":[{"type":"uts"}],"sysctl":{"kernel.hostname":"x"}`) + `,"hostname":"x"`:               "",
		linux(`"namespaces":[{"type":"uts"}],"sysctl":{"kernel.hostname":"x"}`) + `,"hostname":"y"`:               "linux.sysctl.kernel.hostname",
		linux(`"namespaces":[{"type":"uts"}],"sysctl":{"kernel.domainname":" x\n"}`) + `,"domainname":"x"`:        "",
		linux(`"namespaces":[{"type":"uts"}],"sysctl":{"kernel.domainname":"x"}`) + `,"domainname":"y"`:           "linux.sysctl.kernel.domainname",
		linux(`"personality":{"domain":"LINUX"}`):                                                                 "",
		linux(`"personality":{"domain":"x"}`):                                                                     "linux.personality.domain",
		linux(`"personality":{"domain":"LINUX","flags":["x"]}`):                                                   "linux.personality.flags",
		linux(`"rootfsPropagation":"rslave",` + mnt):                                                              "",
		linux(`"rootfsPropagation":"unbindable",` + mnt):                                                          "",
		linux(`"rootfsPropagation":"rr",` + mnt):                                                                  "linux.rootfsPropagation",
		linux(`"cgroupsPath":"/a/b..c"`):                                                                          "",
		linux(`"cgroupsPath":"../a"`):                                                                             "linux.cgroupsPath",
		linux(`"cgroupsPath":"/a@"`):                                                                              "linux.cgroupsPath",
		linux(`"seccomp":{"defaultAction":""}`):                                                                   "linux.seccomp.defaultAction",
		seccomp(`{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":5,"value":1,"op":"SCMP_CMP_EQ"}]}`): "",
		seccomp(`{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}`): "linux.seccomp.syscalls[0].args[0].index",
		seccomp(`{"names":[],"action":"SCMP_ACT_ERRNO"}`):                                                         "linux.seccomp.syscalls[0].names",
		seccomp(`{"names":["read"],"action":""}`):                                                                 "linux.seccomp.syscalls[0].action",

		memory(`"limit":-1`):              "",
		memory(`"limit":-2`):              "linux.resources.memory.limit",
		memory(`"reservation":-2`):        "linux.resources.memory.reservation",
		memory(`"swap":-2`):               "linux.resources.memory.swap",
		memory(`"swap":-1`):               "",
		memory(`"swap":0`):                "",
		memory(`"kernel":-2`):             "linux.resources.memory.kernel",
		memory(`"kernelTCP":-2`):          "linux.resources.memory.kernelTCP",
		memory(`"swappiness":200`):        "",
		memory(`"swappiness":201`):        "linux.resources.memory.swappiness",
		memory(`"limit":5,"swap":5`):      "",
		memory(`"limit":5,"swap":4`):      "linux.resources.memory.swap",
		memory(`"swap":5`):                "linux.resources.memory.swap",
		memory(`"limit":-1,"swap":5`):     "linux.resources.memory.swap",
		cpu(`"quota":-2`):                 "linux.resources.cpu.quota",
		cpu(`"quota":-1`):                 "",
		cpu(`"realtimeRuntime":-2`):       "linux.resources.cpu.realtimeRuntime",
		cpu(`"idle":0`):                   "",
		cpu(`"idle":1`):                   "",
		cpu(`"idle":2`):                   "linux.resources.cpu.idle",
		cpu(`"cpus":"1-0"`):               "linux.resources.cpu.cpus",
		cpu(`"mems":"1-0"`):               "linux.resources.cpu.mems",
		cpu(`"cpus":"0-1","mems":"0"`):    "",
		res(`"pids":{"limit":-1}`):        "",
		res(`"pids":{"limit":-2}`):        "linux.resources.pids.limit",
		res(`"blockIO":{}`):               "",
		res(`"blockIO":{"weight":10}`):    "",
		res(`"blockIO":{"weight":1000}`):  "",
		res(`"blockIO":{"weight":9}`):     "linux.resources.blockIO.weight",
		res(`"blockIO":{"weight":1001}`):  "linux.resources.blockIO.weight",
		device(`"access":"rwm"`):          "",
		device(`"access":"rx"`):           "linux.resources.devices[0].access",
		device(`"type":"a"`):              "",
		device(`"type":"ab"`):             "linux.resources.devices[0].type",
		device(`"type":"bc"`):             "linux.resources.devices[0].type",
		device(`"type":"p"`):              "linux.resources.devices[0].type",
		device(`"major":4294967295`):      "",
		device(`"major":4294967296`):      "linux.resources.devices[0]",
		device(`"minor":4294967296`):      "linux.resources.devices[0]",
		res(`"unified":{"pids.max":"1"}`): "",
		res(`"unified":{"pids.max":"@"}`): "linux.resources.unified.pids.max",
		res(`"unified":{"pidsmax":"1"}`):  "linux.resources.unified.pidsmax",
		res(`"unified":{"":"1"}`):         "linux.resources.unified.",
		res(`"unified":{"a/b.c":"1"}`):    "linux.resources.unified.a/b.c",
		res(`"unified":{"a@.c":"1"}`):     "linux.resources.unified.a@.c",

		linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"}`):                                                         "",
		linux(`"memoryPolicy":{"mode":"x","nodes":"0"}`):                                                                 "linux.memoryPolicy.mode",
		linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"x"}`):                                                         "linux.memoryPolicy.nodes",
		linux(`"memoryPolicy":{"mode":"MPOL_BIND"}`):                                                                     "linux.memoryPolicy.nodes",
		linux(`"memoryPolicy":{"mode":"MPOL_PREFERRED"}`):                                                                "",
		linux(`"memoryPolicy":{"mode":"MPOL_DEFAULT"}`):                                                                  "",
		linux(`"memoryPolicy":{"mode":"MPOL_LOCAL"}`):                                                                    "",
		linux(`"memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"}`):                                                        "linux.memoryPolicy.nodes",
		linux(`"memoryPolicy":{"mode":"MPOL_DEFAULT","nodes":"0"}`):                                                      "linux.memoryPolicy.nodes",
		linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["x"]}`):                                           "linux.memoryPolicy.flags",
		linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_NUMA_BALANCING"]}`): "",
		linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}`): "linux.memoryPolicy.flags",
	})
}

func TestValidateExtension(t *testing.T) {
	x := func(m string) string { return in("holdshort", m) }
	cg := func(m string) string { return x(in("cgroup", m)) }
	key := func(m string) string { return x(in("keyring", m)) }
	rows(t, map[string]string{
		x(`"path":"@"`):             "holdshort.path",
		x(`"passFDs":0`):            "",
		x(`"passFDs":200`):          "",
		x(`"passFDs":201`):          "holdshort.passFDs",
		x(`"passFDs":-1`):           "holdshort.passFDs",
		x(`"affinity":[0,8191]`):    "",
		x(`"affinity":[0,8192]`):    "holdshort.affinity[1]",
		x(`"affinity":[-1]`):        "holdshort.affinity[0]",
		x(`"ignoreSignals":[1,64]`): "",
		x(`"ignoreSignals":[0]`):    "holdshort.ignoreSignals[0]",
		x(`"ignoreSignals":[65]`):   "holdshort.ignoreSignals[0]",
		x(`"blockSignals":[9]`):     "holdshort.blockSignals[0]",
		x(`"blockSignals":[1,19]`):  "holdshort.blockSignals[1]",
		x(`"pdeathsig":0`):          "",
		x(`"pdeathsig":64`):         "",
		x(`"pdeathsig":65`):         "holdshort.pdeathsig",
		x(`"pdeathsig":-1`):         "holdshort.pdeathsig",
		x(`"securebits":255`):       "",
		x(`"securebits":256`):       "holdshort.securebits",
		x(`"personality":1`):        "",
		x(`"personality":1`) + `,"linux":{"personality":{"domain":"LINUX"}}`: "holdshort.personality",

		cg(`"v2":"/x"`):         "",
		cg(`"v2":"x"`):          "holdshort.cgroup.v2",
		cg(`"v1":{"cpu":"/x"}`): "",
		cg(`"v1":{"cpu":"x"}`):  "holdshort.cgroup.v1.cpu",
		cg(`"v2":"/x"`) + `,"linux":{"cgroupsPath":"/y"}`:                              "holdshort.cgroup",
		cg(`"v1":{"cpu":"/x"}`) + `,"linux":{"cgroupsPath":"/y"}`:                      "holdshort.cgroup",
		cg(`"create":true`) + `,"linux":{"cgroupsPath":"/y"}`:                          "holdshort.cgroup",
		cg(`"freeze":true`) + `,"linux":{"cgroupsPath":"/y"}`:                          "",
		cg(`"freeze":true,"v2":"/x"`):                                                  "",
		cg(`"freeze":true,"v1":{"freezer":"/x"}`):                                      "",
		cg(`"freeze":true,"v1":{"cpu":"/x"}`):                                          "holdshort.cgroup.freeze",
		cg(`"freeze":true`):                                                            "holdshort.cgroup.freeze",
		cg(`"delegate":true,"v2":"/x","create":true`):                                  "",
		cg(`"delegate":true,"v2":"/x"`):                                                "holdshort.cgroup.delegate",
		cg(`"delegate":true,"create":true`):                                            "holdshort.cgroup.delegate",
		cg(`"delegate":true`) + `,"linux":{"cgroupsPath":"/y"}`:                        "",
		cg(`"v2":"/x","limits":[{"file":"pids.max","value":"1"}]`):                     "",
		cg(`"v2":"/x","limits":[{"file":"pids.max","value":"@"}]`):                     "holdshort.cgroup.limits[0].value",
		cg(`"v2":"/x","limits":[{"file":"cgroup.freeze","value":"1"}]`):                "holdshort.cgroup.limits[0]",
		cg(`"v2":"/x","limits":[{"file":"freezer.state","value":"1"}]`):                "holdshort.cgroup.limits[0]",
		cg(`"v2":"/x","limits":[{"file":"","value":"1"}]`):                             "holdshort.cgroup.limits[0].file",
		cg(`"v2":"/x","limits":[{"file":"a/b","value":"1"}]`):                          "holdshort.cgroup.limits[0].file",
		cg(`"v2":"/x","limits":[{"controller":"cpu","file":"a","value":"1"}]`):         "holdshort.cgroup.limits[0]",
		cg(`"v1":{"cpu":"/x"},"limits":[{"controller":"cpu","file":"a","value":"1"}]`): "",
		cg(`"v1":{"cpu":"/x"},"limits":[{"file":"a","value":"1"}]`):                    "holdshort.cgroup.limits[0]",
		cg(`"limits":[{"file":"a","value":"1"}]`) + `,"linux":{"cgroupsPath":"/y"}`:    "holdshort.cgroup holdshort.cgroup.limits[0]",

		x(`"speculation":{"storeBypass":"enable","indirectBranch":"disable","l1dFlush":"force-disable"}`): "",
		x(`"speculation":{"storeBypass":"x"}`):            "holdshort.speculation.storeBypass",
		x(`"speculation":{"indirectBranch":"x"}`):         "holdshort.speculation.indirectBranch",
		x(`"speculation":{"l1dFlush":"x"}`):               "holdshort.speculation.l1dFlush",
		x(`"ptracer":-1`):                                 "",
		x(`"ptracer":1`):                                  "",
		x(`"ptracer":0`):                                  "holdshort.ptracer",
		x(`"ptracer":-2`):                                 "holdshort.ptracer",
		key(`"name":"k"`):                                 "",
		key(`"name":"k@"`):                                "holdshort.keyring.name",
		key(`"name":".k"`):                                "holdshort.keyring.name",
		key(`"name":"` + strings.Repeat("k", 4095) + `"`): "",
		key(`"name":"` + strings.Repeat("k", 4096) + `"`): "holdshort.keyring.name",
		key(``):                             "holdshort.keyring",
		x(`"keyring":{},"newKeyring":true`): "",
		key(`"name":"k","permissions":1061109567`):          "",
		key(`"name":"k","permissions":1061109631`):          "holdshort.keyring.permissions",
		x(`"program":{"host":"/x"}`):                        "",
		x(`"program":{"host":"x"}`):                         "holdshort.program.host",
		x(`"program":{"host":"/@"}`):                        "holdshort.program.host",
		x(`"program":{"host":"/x","number":3}`):             "",
		x(`"program":{"host":"/x","number":2}`):             "holdshort.program.number",
		x(`"passFDs":2,"program":{"host":"/x","number":5}`): "",
		x(`"passFDs":2,"program":{"host":"/x","number":4}`): "holdshort.program.number",
		x(`"program":{"host":"/x","number":65535}`):         "",
		x(`"program":{"host":"/x","number":65536}`):         "holdshort.program.number",
		x(`"searchPath":true,"program":{"host":"/x"}`):      "holdshort.searchPath",

		x(`"uclamp":{"min":0,"max":1024}`):      "",
		x(`"uclamp":{"min":1024}`):              "",
		x(`"uclamp":{"min":1025}`):              "holdshort.uclamp.min",
		x(`"uclamp":{"min":-1}`):                "holdshort.uclamp.min",
		x(`"uclamp":{"max":0}`):                 "",
		x(`"uclamp":{"max":1025}`):              "holdshort.uclamp.max",
		x(`"uclamp":{"max":-1}`):                "holdshort.uclamp.max",
		x(`"uclamp":{"min":5,"max":5}`):         "",
		x(`"uclamp":{"min":6,"max":5}`):         "holdshort.uclamp",
		x(`"session":true,"autogroupNice":-20`): "",
		x(`"session":true,"autogroupNice":19`):  "",
		x(`"session":true,"autogroupNice":-21`): "holdshort.autogroupNice",
		x(`"session":true,"autogroupNice":20`):  "holdshort.autogroupNice",
		x(`"autogroupNice":1`):                  "holdshort.autogroupNice",

		x(`"enter":{"pid":1}`):                          "",
		x(`"enter":{"pid":0}`):                          "holdshort.enter.pid",
		x(`"enter":{"pid":1,"namespaces":["uts"]}`):     "",
		x(`"enter":{"pid":1,"namespaces":["uts","x"]}`): "holdshort.enter.namespaces[1]",
		x(`"enter":{"pid":1,"skip":["cgroup","limits","credentials","root","cwd","umask","seccomp"]}`): "",
		x(`"enter":{"pid":1,"skip":["x"]}`):                                             "holdshort.enter.skip[0]",
		x(`"init":true,"enter":{"pid":1}`) + `,"linux":{"namespaces":[{"type":"pid"}]}`: "holdshort.enter",

		x(`"landlock":{"layers":[{"scoped":["signal"]}]}`):                       "",
		x(`"landlock":{"layers":[{"scoped":["x"]}]}`):                            "holdshort.landlock.layers[0].scoped[0]",
		x(`"landlock":{"layers":[{"scoped":["x"]},{"handledAccessNet":["y"]}]}`): "holdshort.landlock.layers[0].scoped[0] holdshort.landlock.layers[1].handledAccessNet[0]",
	})
}

func TestValidateNetwork(t *testing.T) {
	network := func(m string) string {
		return `"linux":{"namespaces":[{"type":"network"}]},"holdshort":{"network":{` + m + `}}`
	}
	link := func(m string) string { return network(`"links":[{"kind":"dummy","name":"d",` + m + `}]`) }
	rule := func(m string) string { return network(`"rules":[{"priority":1,"table":1,` + m + `}]`) }
	table := func(m string) string { return network(`"nftables":[{"family":"ip","name":"t",` + m + `}]`) }
	chain := func(m string) string { return table(`"chains":[{"name":"c",` + m + `},{"name":"d"}]`) }
	nfrule := func(m string) string { return chain(`"rules":[{` + m + `}]`) }
	const key, other, short = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAA"
	wg := func(m string) string {
		return link(`"kind":"wireguard","wireguard":{"privateKey":"` + key + `",` + m + `}`)
	}
	peer := func(m string) string { return wg(`"peers":[{"publicKey":"` + key + `",` + m + `}]`) }
	dev := func(name, to string) string {
		return `"linux":{"namespaces":[{"type":"network"}],"netDevices":{"` + name + `":{"name":"` + to + `"}}}`
	}
	rows(t, map[string]string{
		network(`"loopbackUp":true`): "",
		link(`"mtu":0`):              "",
		link(`"mtu":-1`):             "holdshort.network.links[0].mtu",
		link(`"kind":"x"`):           "holdshort.network.links[0].kind",
		link(`"mode":"l2"`):          "holdshort.network.links[0].mode",
		link(`"kind":"ipvlan","parent":"p","mode":"l2"`):      "",
		link(`"kind":"ipvlan","parent":"p","mode":"bridge"`):  "holdshort.network.links[0].mode",
		link(`"kind":"ipvlan"`):                               "holdshort.network.links[0].parent",
		link(`"kind":"macvlan","parent":"p","mode":"bridge"`): "",
		link(`"kind":"macvlan"`):                              "holdshort.network.links[0].parent",
		link(`"kind":"vlan","vlanID":1,"parent":"p"`):         "",
		link(`"kind":"vlan","vlanID":4094,"parent":"p"`):      "",
		link(`"kind":"vlan","vlanID":4095,"parent":"p"`):      "holdshort.network.links[0].vlanID",
		link(`"kind":"vlan","vlanID":0,"parent":"p"`):         "holdshort.network.links[0].vlanID",
		link(`"kind":"vlan","vlanID":1`):                      "holdshort.network.links[0].parent",
		link(`"vlanID":1`):                                    "holdshort.network.links[0].vlanID",
		link(`"parent":"p"`):                                  "holdshort.network.links[0].parent",
		link(`"hostMAC":"02:00:00:00:00:01"`):                 "holdshort.network.links[0]",
		link(`"hostMaster":"b"`):                              "holdshort.network.links[0]",
		link(`"kind":"veth","host":"h","hostMAC":"02:00:00:00:00:01","hostMaster":"b","mac":"02:00:00:00:00:02"`): "",
		link(`"kind":"veth"`): "holdshort.network.links[0].host",
		link(`"kind":"move"`): "holdshort.network.links[0].host",
		link(`"kind":"move","host":"h","keepAddresses":true,"name":"e%d"`): "",
		link(`"keepAddresses":true`):                                       "holdshort.network.links[0].keepAddresses",
		link(`"name":"e%d"`):                                               "holdshort.network.links[0].name",
		link(`"name":""`):                                                  "holdshort.network.links[0].name",
		link(`"name":"abcdefghijklmno"`):                                   "",
		link(`"name":"abcdefghijklmnop"`):                                  "holdshort.network.links[0]",
		link(`"name":"a b"`):                                               "holdshort.network.links[0]",
		link(`"kind":"veth","host":"a/b"`):                                 "holdshort.network.links[0]",
		link(`"txQueueLen":0`):                                             "",
		link(`"txQueueLen":-1`):                                            "holdshort.network.links[0].txQueueLen",
		link(`"mac":"x"`):                                                  "holdshort.network.links[0].mac",
		link(`"mac":"02:00:00:00:00:01:02:03"`):                            "holdshort.network.links[0].mac",
		link(`"kind":"veth","host":"h","hostMAC":"x"`):                     "holdshort.network.links[0].hostMAC",
		link(`"wireguard":{}`):                                             "holdshort.network.links[0].wireguard",
		network(`"neighbours":[{"link":"d","address":"10.0.0.1","mac":"02:00:00:00:00:01"}]`): "",
		network(`"neighbours":[{"link":"","address":"10.0.0.1","mac":"02:00:00:00:00:01"}]`):  "holdshort.network.neighbours[0]",
		network(`"neighbours":[{"link":"d","address":"","mac":"02:00:00:00:00:01"}]`):         "holdshort.network.neighbours[0]",
		network(`"neighbours":[{"link":"d","address":"10.0.0.1","mac":""}]`):                  "holdshort.network.neighbours[0]",
		network(`"neighbours":[{"link":"d","address":"10.0.0.1","mac":"x"}]`):                 "holdshort.network.neighbours[0].mac",
		rule(`"mark":1`):                              "",
		rule(`"table":0`):                             "holdshort.network.rules[0].table",
		rule(`"priority":0`):                          "holdshort.network.rules[0].priority",
		rule(`"priority":2147483647`):                 "",
		rule(`"priority":2147483648`):                 "holdshort.network.rules[0].priority",
		rule(`"from":"10.0.0.0/8"`):                   "",
		rule(`"from":"fd00::/8"`):                     "",
		rule(`"to":"fd00::/8"`):                       "",
		rule(`"to":"10.0.0.0/8"`):                     "",
		rule(`"from":"10.0.0.0/8","to":"11.0.0.0/8"`): "",
		rule(`"from":"fd00::/8","to":"fe00::/8"`):     "",
		rule(`"from":"10.0.0.0/8","to":"fe00::/8"`):   "holdshort.network.rules[0]",
		dev("eth0", ""):                               "",
		dev("eth0", "abcdefghijklmno"):                "",
		dev("eth0", "abcdefghijklmnop"):               "linux.netDevices.eth0",
		dev("eth0", "a:b"):                            "linux.netDevices.eth0",
		dev("eth0", "."):                              "linux.netDevices.eth0",
		dev("eth0", ".."):                             "linux.netDevices.eth0",
		dev("a/b", "x"):                               "linux.netDevices.a/b",
		dev("", "x"):                                  "linux.netDevices.",

		table(`"chains":[]`):     "",
		table(`"family":"x"`):    "holdshort.network.nftables[0].family",
		table(`"family":"inet"`): "",
		table(`"family":"ip6"`):  "",
		table(`"name":""`):       "holdshort.network.nftables[0].name",
		table(`"name":"@"`):      "holdshort.network.nftables[0].name",
		chain(`"name":""`):       "holdshort.network.nftables[0].chains[0].name",
		chain(`"name":"@"`):      "holdshort.network.nftables[0].chains[0].name",
		chain(`"hook":"x"`):      "holdshort.network.nftables[0].chains[0].hook",
		chain(`"hook":"input","policy":"drop","priority":5`):      "",
		chain(`"hook":"input","policy":"x"`):                      "holdshort.network.nftables[0].chains[0].policy",
		chain(`"policy":"drop"`):                                  "holdshort.network.nftables[0].chains[0]",
		chain(`"priority":1`):                                     "holdshort.network.nftables[0].chains[0]",
		nfrule(`"proto":"tcp","states":["new"],"verdict":"drop"`): "",
		nfrule(`"proto":"x"`):                                     "holdshort.network.nftables[0].chains[0].rules[0].proto",
		nfrule(`"states":["new","x"]`):                            "holdshort.network.nftables[0].chains[0].rules[0].states",
		nfrule(`"verdict":"x"`):                                   "holdshort.network.nftables[0].chains[0].rules[0].verdict",
		nfrule(`"verdict":"jump d"`):                              "",
		nfrule(`"verdict":"jump e"`):                              "holdshort.network.nftables[0].chains[0].rules[0].verdict",

		wg(`"listenPort":0`):                   "",
		wg(`"listenPort":65535`):               "",
		wg(`"listenPort":65536`):               "holdshort.network.links[0].wireguard.listenPort",
		wg(`"listenPort":-1`):                  "holdshort.network.links[0].wireguard.listenPort",
		wg(`"privateKey":""`):                  "",
		wg(`"privateKey":"` + short + `"`):     "holdshort.network.links[0].wireguard.privateKey",
		wg(`"privateKey":"?"`):                 "holdshort.network.links[0].wireguard.privateKey",
		peer(`"keepalive":0`):                  "",
		peer(`"keepalive":65535`):              "",
		peer(`"keepalive":65536`):              "holdshort.network.links[0].wireguard.peers[0].keepalive",
		peer(`"keepalive":-1`):                 "holdshort.network.links[0].wireguard.peers[0].keepalive",
		peer(`"presharedKey":"` + short + `"`): "holdshort.network.links[0].wireguard.peers[0].presharedKey",
		peer(`"publicKey":"` + short + `"`):    "holdshort.network.links[0].wireguard.peers[0].publicKey",
		peer(`"publicKey":""`):                 "holdshort.network.links[0].wireguard.peers[0].publicKey",
		wg(`"peers":[{"publicKey":"` + key + `"},{"publicKey":"` + key + `"}]`):   "holdshort.network.links[0].wireguard.peers[1].publicKey",
		wg(`"peers":[{"publicKey":"` + key + `"},{"publicKey":"` + other + `"}]`): "",
		peer(`"allowedIPs":["10.0.0.0/8"]`):                                       "",
		peer(`"allowedIPs":["10.0.0.1/8"]`):                                       "holdshort.network.links[0].wireguard.peers[0].allowedIPs",
	})
}
