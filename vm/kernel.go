package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/vm/guest"
	"golang.org/x/sys/unix"
)

// Kernel is a kernel that guests can run.
type Kernel struct {
	Name    string   `json:"name"`    // what it was asked for by: "6.1", or a path
	Release string   `json:"release"` // uname -r, as far as known without booting it
	Arch    string   `json:"arch"`    // Debian's and Go's name: amd64, arm64
	Image   string   `json:"image"`   // what QEMU loads
	Modules string   `json:"modules"` // directory with modules.dep; empty if none
	Config  string   `json:"config"`  // build configuration; empty if unknown
	Package []string `json:"package"` // packages it came from, with versions; empty for an own image
}

// Cache keeps fetched kernels, each under the hash of its packages.
type Cache struct {
	dir string
	etc string // where apt is configured
}

// OpenCache opens the cache in dir; the default is holdshort in the user's
// cache directory ($XDG_CACHE_HOME).
func OpenCache(dir string) (*Cache, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("vm: where to keep kernels: %w", err)
		}
		dir = filepath.Join(base, "holdshort")
	}
	if err := os.MkdirAll(filepath.Join(dir, "kernels"), 0o755); err != nil {
		return nil, err
	}
	return &Cache{dir: dir, etc: "/etc/apt"}, nil
}

// Dir is the directory of the cache.
func (c *Cache) Dir() string { return c.dir }

// FetchOptions change what [Cache.Fetch] does.
type FetchOptions struct {
	Arch   string       // default: this machine's
	Update bool         // look for a newer package even if one is cached
	Cached bool         // fail rather than touch the network
	Log    func(string) // told before anything slow
}

// Fetch returns the kernel of a series ("6.1", see [CheckSeries]): the cached one, or the newest
// that the Debian archive in apt's configuration has, whose signatures apt
// checks. The system's package state is not touched and no root is needed.
//
// Fetch fails without leaving anything half done; the error names suite and
// package. Several processes may call it at the same time.
func (c *Cache) Fetch(ctx context.Context, name string, opts *FetchOptions) (*Kernel, error) {
	if opts == nil {
		opts = &FetchOptions{}
	}
	arch := opts.Arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	if err := CheckSeries(name); err != nil {
		return nil, err
	}
	if k, err := c.cached(name, arch); err == nil && !opts.Update {
		return k, nil
	}
	if opts.Cached {
		return nil, fmt.Errorf("vm: kernel %s for %s is not in the cache; holdshort vm get --arch %s %s fetches it", name, arch, arch, name)
	}
	unlock, err := c.lock(name + "-" + arch)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if k, err := c.cached(name, arch); err == nil && !opts.Update {
		return k, nil // another process has fetched it meanwhile
	}
	say := opts.Log
	if say == nil {
		say = func(string) {}
	}
	var errs []error
	for _, suite := range suitesOf(name) {
		k, err := c.fetchFrom(ctx, name, suite, arch, say)
		if err == nil {
			return k, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("vm: kernel %s for %s: %w", name, arch, errors.Join(errs...))
}

func (c *Cache) link(name, arch string) string {
	return filepath.Join(c.dir, "kernels", name+"-"+arch)
}

func (c *Cache) cached(name, arch string) (*Kernel, error) {
	dir, err := filepath.EvalSymlinks(c.link(name, arch))
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		return nil, err
	}
	var k Kernel
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, err
	}
	for _, p := range []*string{&k.Image, &k.Modules, &k.Config} { // relative in the file
		if *p != "" {
			*p = filepath.Join(dir, *p)
		}
	}
	if _, err := os.Stat(k.Image); err != nil {
		return nil, err
	}
	return &k, nil
}

func (c *Cache) lock(name string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(c.dir, "kernels", "."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (c *Cache) fetchFrom(ctx context.Context, name, suite, arch string, say func(string)) (*Kernel, error) {
	// two series may come from one suite, and apt's state stands one user
	unlock, err := c.lock("apt-" + suite + "-" + arch)
	if err != nil {
		return nil, err
	}
	defer unlock()
	a, err := openAPT(c.etc, filepath.Join(c.dir, "apt"), suite, arch)
	if err != nil {
		return nil, err
	}
	say("reading the index of " + suite)
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	images, err := a.packages(ctx, func(n string) bool { _, ok := imageName(n, name, arch); return ok })
	if err != nil {
		return nil, err
	}
	series, flavour := flavourOf(name)
	var best *debPackage
	for i, p := range images {
		if best == nil || later(p.Version, best.Version) {
			best = &images[i]
		}
	}
	if best == nil {
		return nil, fmt.Errorf("suite %s has no linux-image-%s*%s-%s", suite, series, flavours[flavour], arch)
	}
	version, _ := imageName(best.Name, name, arch)
	release := version + flavours[flavour] + "-" + arch
	set := []debPackage{*best}
	// From 7.2 on the image package is empty and depends on its parts.
	var parts []string
	for _, d := range best.Depends {
		if strings.HasPrefix(d, "linux-") && strings.HasSuffix(d, release) {
			parts = append(parts, d)
		}
	}
	if len(parts) > 0 {
		ps, err := a.show(ctx, parts...)
		if err != nil {
			return nil, err
		}
		if len(ps) != len(parts) {
			return nil, fmt.Errorf("suite %s: package %s depends on %s, of which the index has %d", suite, best.Name, strings.Join(parts, ", "), len(ps))
		}
		set = append(set, ps...)
	}
	return c.unpack(ctx, a, name, release, set, say)
}

// unpack downloads the packages and keeps what a guest needs of them. The
// directory gets its name only when it is complete.
func (c *Cache) unpack(ctx context.Context, a *aptRoot, name, release string, set []debPackage, say func(string)) (*Kernel, error) {
	h := sha256.New()
	k := &Kernel{Name: name, Release: release, Arch: a.arch}
	for _, p := range set {
		fmt.Fprintln(h, p.SHA256)
		k.Package = append(k.Package, p.Name+" "+p.Version)
	}
	id := release + "-" + hex.EncodeToString(h.Sum(nil))[:16]
	final := filepath.Join(c.dir, "kernels", id)
	if _, err := os.Stat(filepath.Join(final, "kernel.json")); errors.Is(err, fs.ErrNotExist) {
		tmp, err := os.MkdirTemp(filepath.Join(c.dir, "kernels"), ".new-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(tmp)
		for _, p := range set {
			say("fetching " + p.Name + " " + p.Version)
		}
		if err := os.Mkdir(filepath.Join(tmp, "deb"), 0o755); err != nil {
			return nil, err
		}
		debs, err := a.download(ctx, filepath.Join(tmp, "deb"), set...)
		if err != nil {
			return nil, err
		}
		root := filepath.Join(tmp, "root")
		for _, deb := range debs {
			out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, root).CombinedOutput()
			if err != nil {
				return nil, fmt.Errorf("package %s: dpkg-deb -x: %w: %s", filepath.Base(deb), err, lastLines(string(out), 3))
			}
		}
		if err := k.arrange(root, tmp); err != nil {
			return nil, fmt.Errorf("package %s: %w", set[0].Name, err)
		}
		for _, d := range []string{"deb", "root"} {
			if err := os.RemoveAll(filepath.Join(tmp, d)); err != nil {
				return nil, err
			}
		}
		if err := os.Chmod(tmp, 0o755); err != nil {
			return nil, err
		}
		if err := os.Rename(tmp, final); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	tmp := c.link(name, a.arch) + ".new"
	_ = os.Remove(tmp)
	if err := os.Symlink(id, tmp); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, c.link(name, a.arch)); err != nil {
		return nil, err
	}
	return c.cached(name, a.arch)
}

// arrange moves image, configuration and modules from an unpacked package to
// dir, and writes kernel.json there.
func (k *Kernel) arrange(root, dir string) error {
	pick := func(to string, from ...string) (string, error) {
		for _, f := range from {
			if _, err := os.Stat(filepath.Join(root, f)); err == nil {
				return to, os.Rename(filepath.Join(root, f), filepath.Join(dir, to))
			}
		}
		return "", fmt.Errorf("none of %s in it", strings.Join(from, ", "))
	}
	image, err := pick("vmlinuz", "boot/vmlinuz-"+k.Release, "usr/lib/modules/"+k.Release+"/vmlinuz", "lib/modules/"+k.Release+"/vmlinuz")
	if err != nil {
		return err
	}
	k.Image = image
	if k.Arch == "amd64" {
		// QEMU starts the uncompressed image directly, which saves the guest
		// from decompressing itself: a second of boot time without KVM.
		if err := decompress(filepath.Join(dir, image), filepath.Join(dir, "vmlinux")); err == nil {
			k.Image = "vmlinux"
		}
	}
	if k.Config, err = pick("config", "boot/config-"+k.Release, "usr/lib/modules/"+k.Release+"/config", "lib/modules/"+k.Release+"/config"); err != nil {
		return err
	}
	if k.Modules, err = pick("modules", "usr/lib/modules/"+k.Release, "lib/modules/"+k.Release); err != nil {
		return err
	}
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "kernel.json"), b, 0o644)
}

// List returns the kernels in the cache.
func (c *Cache) List() ([]*Kernel, error) {
	links, err := filepath.Glob(filepath.Join(c.dir, "kernels", "*-*"))
	if err != nil {
		return nil, err
	}
	var out []*Kernel
	for _, l := range links {
		st, err := os.Lstat(l)
		if err != nil || st.Mode().Type() != fs.ModeSymlink {
			continue
		}
		i := strings.LastIndexByte(l, '-')
		if k, err := c.cached(filepath.Base(l[:i]), l[i+1:]); err == nil {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *Kernel) int {
		if later(a.Release, b.Release) {
			return 1
		}
		return -1
	})
	return out, nil
}

// OwnKernel is a kernel from a file: what QEMU can load (bzImage, an ELF with
// a PVH entry; Image on arm64). modules is the directory with its
// modules.builtin, for what it has not built in; empty if it needs none. A
// guest needs virtio_pci and virtio_console, and devtmpfs.
func OwnKernel(image, modules, arch string) (*Kernel, error) {
	st, err := os.Stat(image)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("vm: kernel %s is no regular file", image)
	}
	k := &Kernel{Name: image, Arch: arch, Image: image, Modules: modules}
	if modules != "" {
		// modprobe looks below the kernel's release: that is the directory's name
		k.Release = filepath.Base(modules)
	}
	return k, nil
}

// Deficits compares what a guest reported with what its kernel was built to
// offer, and names what is missing: then something other than the kernel (its
// command line, init) decides what tests can see.
func (k *Kernel) Deficits(g *guest.Greeting) []string {
	if g == nil || k.Config == "" {
		return nil
	}
	b, err := os.ReadFile(k.Config)
	if err != nil {
		return []string{"the kernel's configuration cannot be read: " + err.Error()}
	}
	var out []string
	conf := string(b)
	value := func(key string) string {
		_, v, _ := strings.Cut("\n"+conf, "\n"+key+"=")
		v, _, _ = strings.Cut(v, "\n")
		return strings.Trim(v, "\"")
	}
	active := strings.Split(g.LSM, ",")
	for l := range strings.SplitSeq(value("CONFIG_LSM"), ",") {
		// the major modules exclude each other, integrity's are no names of their own everywhere
		switch l {
		case "landlock", "yama", "bpf":
			option := map[string]string{"landlock": "CONFIG_SECURITY_LANDLOCK", "yama": "CONFIG_SECURITY_YAMA", "bpf": "CONFIG_BPF_LSM"}[l]
			if value(option) == "y" && !slices.Contains(active, l) {
				out = append(out, "LSM "+l+" is built in and on by default, and not active")
			}
		}
	}
	for option, controller := range map[string]string{"CONFIG_MEMCG": "memory", "CONFIG_CGROUP_PIDS": "pids", "CONFIG_CPUSETS": "cpuset", "CONFIG_CGROUP_SCHED": "cpu", "CONFIG_BLK_CGROUP": "io"} {
		if value(option) == "y" && !slices.Contains(g.Controllers, controller) {
			out = append(out, "cgroup controller "+controller+" is built in, and not enabled in /sys/fs/cgroup")
		}
	}
	slices.Sort(out)
	return out
}
