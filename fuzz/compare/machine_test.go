package compare

import (
	"strings"
	"testing"

	"github.com/holdshort/holdshort/harness/request"
)

const (
	hostMounts = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
23 22 0:5 / /dev rw,relatime - devtmpfs devtmpfs rw
24 22 0:40 / /tmp rw,nosuid - tmpfs temp rw`
	guestMounts = `1 1 0:2 / / rw - rootfs rootfs rw,size=1k
23 1 0:5 / /dev rw,nosuid,relatime - devtmpfs devtmpfs rw`
)

// What lies on the machine's own file systems is said in the same way of each
// machine, and what was asked for of it is still there.
func TestMachineValues(t *testing.T) {
	of := func(mounts, dir string) *machine {
		return &machine{names: strings.NewReplacer(), dir: mountOf(mounts, dir), dev: mountOf(mounts, "/dev/null").options}
	}
	host, guest, tmp := of(hostMounts, "/var/x"), of(guestMounts, "/tmp/x"), of(hostMounts, "/tmp/x")
	if host.dir.fs != "ext4" || guest.dir.fs != "rootfs" || mountOf(hostMounts, "/tmp/x").fs != "tmpfs" || mountOf(hostMounts, "/tmpx").fs != "ext4" {
		t.Fatalf("%+v %+v", host, guest)
	}
	for name, c := range map[string]struct {
		field, a, b string
		equal       bool
	}{
		"bind mount": {
			"mounts[0]", `{"data":"rw,discard","options":"rw,noexec,relatime","root":"DIR/share","source":"/dev/vda","type":"ext4"}`,
			`{"data":"rw,size=N","options":"rw,noexec","root":"DIR/share","source":"rootfs","type":"rootfs"}`, true,
		},
		"an option more": {
			"mounts[0]", `{"options":"rw,nosuid,noexec,relatime","source":"/dev/vda","type":"ext4"}`, `{"options":"rw,noexec","source":"rootfs","type":"rootfs"}`, false,
		},
		"writable on one": {
			"mounts[0]", `{"options":"rw,relatime","source":"/dev/vda","type":"ext4"}`, `{"options":"ro","source":"rootfs","type":"rootfs"}`, false,
		},
		"another directory": {
			"mounts[0]", `{"options":"rw","root":"DIR/a","source":"/dev/vda","type":"ext4"}`, `{"options":"rw","root":"DIR/b","source":"rootfs","type":"rootfs"}`, false,
		},
		"masked":             {"linux.maskedPaths[0]", `{"options":"rw,relatime","type":"devtmpfs"}`, `{"options":"rw,nosuid,relatime","type":"devtmpfs"}`, true},
		"below another":      {"mounts[0]", `{"/a":{"options":"ro,relatime","source":"/dev/vda","type":"ext4"}}`, `{"/a":{"options":"ro","source":"rootfs","type":"rootfs"}}`, true},
		"tmpfs is asked for": {"mounts[0]", `{"options":"rw,relatime","source":"a","type":"tmpfs"}`, `{"options":"rw","source":"a","type":"tmpfs"}`, false},
		"tmpfs of its own":   {"mounts[0]", `{"options":"rw","source":"a","type":"tmpfs"}`, `{"options":"rw","source":"temp","type":"tmpfs"}`, false},
		"multicast":          {"holdshort.network.neighbours[0]", `["198.18.0.1 02:00:00:00:00:01"]`, `["198.18.0.1 02:00:00:00:00:01","ff02::16 33:33:00:00:00:16"]`, true},
		"another neighbour":  {"holdshort.network.neighbours[0]", `["198.18.0.1 02:00:00:00:00:01"]`, `["198.18.0.1 02:00:00:00:00:02"]`, false},
	} {
		a, b := string(host.value(c.field, []byte(c.a))), string(guest.value(c.field, []byte(c.b)))
		if of := string(tmp.value(c.field, []byte(`{"options":"ro,nosuid","source":"temp","type":"tmpfs"}`))); !strings.Contains(of, `"ro"`) || !strings.Contains(of, "DIR") {
			t.Error(of)
		}
		if of := string(tmp.value("linux.maskedPaths[0]", []byte(`{"options":"ro","type":"tmpfs"}`))); strings.Contains(of, "DIR") {
			t.Error(of)
		}
		tmp.below = "/x"
		if of := string(tmp.value("mounts[0]", []byte(`{"options":"ro","root":"/x/share","source":"temp","type":"tmpfs"}`))); !strings.Contains(of, `"DIR/share"`) {
			t.Error(of)
		}
		if of := string(tmp.value("linux.readonlyPaths[0]", []byte(`{"on":"DIR/a","options":"ro","type":"tmpfs"}`))); !strings.Contains(of, "DIR's") {
			t.Error(of)
		}
		if (a == b) != c.equal {
			t.Errorf("%s: %s, %s", name, a, b)
		}
	}
}

// A keyring that outlives its launch is not met by the next one.
func TestAnew(t *testing.T) {
	r := request.New("/bin/true")
	if anew(r) != r {
		t.Error("another request without need")
	}
	r.Ext.Keyring = &request.Keyring{Name: "k"}
	if x := anew(r); x.Ext.Keyring.Name == "k" || r.Ext.Keyring.Name != "k" {
		t.Errorf("%+v of %+v", x.Ext.Keyring, r.Ext.Keyring)
	}
}
