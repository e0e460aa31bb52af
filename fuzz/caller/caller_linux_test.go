package caller

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
)

const show = `grep -v ^State: /proc/$$/status | grep -E '^(Umask|Groups|Sig[BIC]|THP|Cap|NoNew|Seccomp|Cpus_allowed_list)'
echo dump $(cat /proc/$$/coredump_filter) oom $(cat /proc/$$/oom_score_adj) slack $(cat /proc/$$/timerslack_ns) personality $(cat /proc/$$/personality)
grep -E 'core file|file locks|msgqueue' /proc/$$/limits
for f in /proc/$$/fd/*; do echo fd ${f##*/}; done
echo policy $(cut -d' ' -f41 /proc/$$/stat) nice $(cut -d' ' -f19 /proc/$$/stat) host $(cat /proc/sys/kernel/hostname) dir $(readlink /proc/$$/cwd)
env | grep ^HOLDSHORT`

// child is what a plain child of a caller of the kinds has.
func child(t *testing.T, names ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = As(names, func() error {
		defer w.Close()
		p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", show}, &os.ProcAttr{Files: []*os.File{nil, w, w}})
		if err != nil {
			return err
		}
		_, err = p.Wait()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// proof has, for each kind, what shows in a child of such a caller and in no other.
var proof = map[string]string{
	"batch": `policy 3`, "nice": `nice 5`, "affinity": `Cpus_allowed_list:\s*\d+\n`, "timer slack": `slack 1234567`, "umask": `Umask:\s*0137`,
	"directory": `dir /dev`, "personality": `personality 00040000`, "uts namespace": `host not-the-callers`, "groups": `Groups:\s*4 4242`,
	"blocked signals": `SigBlk:\s*[0-9a-f]{6}[89a-f]`, "ignored signals": `SigIgn:\s*0000010[01][08]8000800`, "descriptors": `fd 15[0-9]`,
	"environment": `HOLDSHORT_OF_THE_CALLER=secret`, "limits": `(?s)core file size\s*4096.*file locks\s*99.*msgqueue size\s*8192`, "oom_score_adj": `oom 300`,
	"core dumps": `dump 0000007f`, "huge pages": `THP_enabled:\s*0`, "ambient capabilities": `CapAmb:\s*0000000020002000`,
	"bounding set": `CapBnd:\s*[0-9a-f]{7}[0-7][0-9a-f]{8}`, "filter": `Seccomp_filters:\s*1`, "no_new_privs": `NoNewPrivs:\s*1`,
}

// TestAs: a child of a caller of each kind is as the kind says, one of this process
// is not, neither before nor after. It needs what [Possible] says; what is not
// possible here is named.
func TestAs(t *testing.T) {
	possible := Possible()
	before := child(t)
	for _, name := range Names() {
		if !slices.Contains(possible, name) {
			t.Logf("not here: %s", name)
			continue
		}
		pattern, ok := proof[name]
		if !ok {
			if name != "keyring" && name != "securebits" {
				t.Errorf("%s: no proof", name)
			}
			continue // no file shows them
		}
		re := regexp.MustCompile(pattern)
		if re.MatchString(before) {
			t.Errorf("%s: the test's own process is so", name)
		}
		if got := child(t, name); !re.MatchString(got) {
			t.Errorf("%s: a child is not so:\n%s", name, got)
		}
	}
	if after := child(t); after != before {
		t.Errorf("what a caller was made stays:\nbefore: %s\nafter: %s", before, after)
	}
	all := child(t, possible...)
	for name, pattern := range proof {
		if slices.Contains(possible, name) && !regexp.MustCompile(pattern).MatchString(all) {
			t.Errorf("%s: not together with the others:\n%s", name, all)
		}
	}
}

func TestAsUnknown(t *testing.T) {
	if err := As([]string{"happy"}, func() error { return nil }); err == nil {
		t.Error("there is no such kind")
	}
}

// TestLauncher: a launcher of the dirtiest caller has nothing of it that it does
// not say it has. It needs root.
func TestLauncher(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	l, err := Launcher(t.Context(), Possible())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = l.Run(context.Background(), &checkpoint.Config{Args: []string{"/bin/sh", "-c", show}}, &checkpoint.Options{Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"blocked signals", "ignored signals", "descriptors", "environment", "directory"} {
		if re := regexp.MustCompile(proof[name]); re.MatchString(out.String()) {
			t.Errorf("%s: passed on:\n%s", name, out.String())
		}
	}
	for _, name := range []string{"umask", "nice", "limits", "no_new_privs"} {
		if slices.Contains(Possible(), name) && !regexp.MustCompile(proof[name]).MatchString(out.String()) {
			t.Errorf("%s: not passed on:\n%s", name, strings.TrimSpace(out.String()))
		}
	}
}
