package vm

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdshort/holdshort/vm/guest"
)

// fakeAPT is a cache whose apt is three scripts.
func fakeAPT(t *testing.T, aptGet, aptCache, dpkgDeb string) *Cache {
	t.Helper()
	c, err := OpenCache(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	c.etc = t.TempDir()
	bin := t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(c.etc, "sources.list"): "deb http://mirror.example/debian stable main\n",
		filepath.Join(bin, "apt-get"):        "#!/bin/sh\n" + aptGet,
		filepath.Join(bin, "apt-cache"):      "#!/bin/sh\n" + aptCache,
		filepath.Join(bin, "dpkg-deb"):       "#!/bin/sh\n" + dpkgDeb,
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return c
}

const index = `case $1 in
pkgnames) echo linux-image-6.1.0-9-cloud-amd64; echo linux-image-6.1.0-10-cloud-amd64; echo linux-image-6.1.0-10-cloud-amd64-dbg ;;
show) for v in 9 10; do printf 'Package: linux-image-6.1.0-%s-cloud-amd64\nVersion: 6.1.%s-1\nSHA256: abc%s\nDepends: kmod, x (>= 1)\n\n' $v $v $v; done ;;
esac
`

// fetched is what a run leaves in the cache that is no lock.
func fetched(t *testing.T, c *Cache) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(c.dir, "kernels"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !strings.HasSuffix(p, ".lock") && filepath.Base(p) != "kernels" {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A download that fails names the package and leaves nothing.
func TestFetchFails(t *testing.T) {
	const get = `case "$*" in *download*) `
	for name, c := range map[string]struct{ get, cache, deb, want string }{
		"no index":           {"echo 'E: no route' >&2; exit 100", index, "", "suite bookworm: apt-get -q: exit status 100: E: no route"},
		"not in the index":   {":", "", "", "suite bookworm has no linux-image-6.1*-cloud-amd64"},
		"download refused":   {get + "echo 'E: Hash Sum mismatch' >&2; exit 100;; esac", index, "", "package linux-image-6.1.0-10-cloud-amd64 6.1.10-1: vm: suite bookworm: apt-get -q: exit status 100: E: Hash Sum mismatch"},
		"nothing came":       {":", index, "", "1 packages asked for, 0 files came"},
		"broken package":     {get + "echo half >linux-image.deb;; esac", index, "echo 'unexpected end of file' >&2; exit 2", "package linux-image.deb: dpkg-deb -x: exit status 2: unexpected end of file"},
		"no image in it":     {get + "echo x >linux-image.deb;; esac", index, "mkdir -p $3", "package linux-image-6.1.0-10-cloud-amd64: none of boot/vmlinuz-6.1.0-10-cloud-amd64"},
		"no configuration":   {get + "echo x >linux-image.deb;; esac", index, "mkdir -p $3/boot; echo i >$3/boot/vmlinuz-6.1.0-10-cloud-amd64", "none of boot/config-6.1.0-10"},
		"no modules in them": {get + "echo x >linux-image.deb;; esac", index, "mkdir -p $3/boot; cd $3/boot; echo i >vmlinuz-6.1.0-10-cloud-amd64; echo c >config-6.1.0-10-cloud-amd64", "none of usr/lib/modules"},
	} {
		t.Run(name, func(t *testing.T) {
			cache := fakeAPT(t, c.get, c.cache, c.deb)
			_, err := cache.Fetch(t.Context(), "6.1", &FetchOptions{Arch: "amd64"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want %q in it", err, c.want)
			}
			if left := fetched(t, cache); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestFetch(t *testing.T) {
	const get = `case "$*" in *download*) echo x >linux-image.deb; echo "$*" >>$COUNT;; esac`
	const deb = `r=6.1.0-10-cloud-amd64; mkdir -p $3/boot $3/lib/modules/$r; echo i >$3/boot/vmlinuz-$r; printf 'CONFIG_LSM="landlock,yama"\nCONFIG_SECURITY_YAMA=y\nCONFIG_MEMCG=y\n' >$3/boot/config-$r; echo >$3/lib/modules/$r/modules.builtin`
	c := fakeAPT(t, get, index, deb)
	count := filepath.Join(t.TempDir(), "count")
	t.Setenv("COUNT", count)
	var k *Kernel
	for range 2 { // the second from the cache
		var err error
		if k, err = c.Fetch(t.Context(), "6.1", &FetchOptions{Arch: "amd64"}); err != nil {
			t.Fatal(err)
		}
	}
	if k.Release != "6.1.0-10-cloud-amd64" || len(k.Package) != 1 || k.Package[0] != "linux-image-6.1.0-10-cloud-amd64 6.1.10-1" {
		t.Errorf("%+v", k)
	}
	for _, p := range []string{k.Image, k.Config, filepath.Join(k.Modules, "modules.builtin")} {
		if _, err := os.Stat(p); err != nil {
			t.Error(err)
		}
	}
	if b, _ := os.ReadFile(count); strings.Count(string(b), "\n") != 1 {
		t.Errorf("downloads: %q", b)
	}
	if list, err := c.List(); err != nil || len(list) != 1 || list[0].Name != "6.1" {
		t.Errorf("list %v, %v", list, err)
	}
	if got := k.Deficits(&guest.Greeting{LSM: "lockdown,yama", Controllers: []string{"memory"}}); len(got) != 0 {
		t.Errorf("deficits %q", got)
	}
	if got := k.Deficits(&guest.Greeting{LSM: "lockdown"}); len(got) != 2 {
		t.Errorf("deficits %q", got)
	}
	if _, err := c.Fetch(t.Context(), "6.2", &FetchOptions{Arch: "amd64", Cached: true}); err == nil || !strings.Contains(err.Error(), "vm get") {
		t.Errorf("not cached: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Fetch(ctx, "6.2", &FetchOptions{Arch: "amd64"}); err == nil {
		t.Error("fetched with a context that had ended")
	}
}

func TestOwnKernel(t *testing.T) {
	p := filepath.Join(t.TempDir(), "vmlinuz")
	if _, err := OwnKernel(p, "", "amd64"); err == nil {
		t.Error("a missing image was taken")
	}
	if _, err := OwnKernel(t.TempDir(), "", "amd64"); err == nil {
		t.Error("a directory was taken")
	}
	for _, bad := range []string{"6", "v6.1", "6.1.2", "linux", ""} {
		if CheckSeries(bad) == nil {
			t.Errorf("%q is no series", bad)
		}
	}
}
