package vm

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// channelModules bring the record stream up; init loads them first. A kernel
// may have any of them built in.
var channelModules = []string{"virtio_pci", "virtio_mmio", "virtio_console"}

// carriedModules are what tests and engines ask a kernel for; init's modprobe
// loads them when the kernel wants them.
var carriedModules = []string{
	"dummy", "veth", "macvlan", "macvtap", "ipvlan", "bridge", "tun", "vxlan", "ifb", "virtio_net", "vcan", "vrf", "8021q", "bonding", "netdevsim", "nlmon", "wireguard",
	"overlay", "squashfs", "erofs", "loop", "fuse", "virtiofs", "virtio_blk", "binfmt_misc", "autofs4",
	"unix", "unix_diag", "inet_diag", "tcp_diag", "vsock", "vmw_vsock_virtio_transport", "vsock_loopback", "af_packet", "packet",
	"ipv6", "nf_tables", "nft_compat", "nft_chain_nat", "nft_masq", "nft_ct", "nft_counter", "nf_tables_set", "nft_objref", "nft_limit", "nft_log", "nft_quota", "nft_redir", "nft_nat", "nft_numgen", "nft_hash", "nft_fib_inet", "nft_socket", "nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6", "nft_reject_netdev", "nfnetlink", "nf_log_syslog", "nf_nat", "nf_conntrack", "xt_MASQUERADE", "xt_conntrack", "xt_addrtype", "xt_comment", "xt_mark",
	"ip_tables", "iptable_filter", "iptable_nat", "x_tables", "br_netfilter", "sch_ingress", "sch_netem", "cls_bpf", "act_bpf", "sch_htb", "cls_cgroup", "netprio_cgroup",
	"configfs", "sha256_generic", "crc32c_generic", "libcrc32c", "zram", "null_blk", "9p", "9pnet_virtio",
}

// module is one loadable module, uncompressed.
type module struct {
	name    string
	data    []byte
	depends []string
	aliases []string
}

// moduleTree finds the modules of a kernel by name.
type moduleTree struct {
	files   map[string]string // name: path
	builtin map[string]bool
	read    map[string]*module
}

// openModules indexes a kernel's module directory. Dependencies are read from
// the modules themselves, as modules.dep is made at installation only.
func openModules(dir string) (*moduleTree, error) {
	t := &moduleTree{files: map[string]string{}, builtin: map[string]bool{}, read: map[string]*module{}}
	if dir == "" {
		return t, nil
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if n, rest, ok := strings.Cut(d.Name(), ".ko"); ok && (rest == "" || rest[0] == '.') {
			t.files[canonical(n)] = p
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("vm: %s is no directory of modules: %w", dir, err)
	}
	for p := range strings.FieldsSeq(string(b)) {
		t.builtin[canonical(strings.TrimSuffix(filepath.Base(p), ".ko"))] = true
	}
	return t, nil
}

func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// closure are the named modules and all that they need, each after what it
// needs. Names that the kernel has built in or does not have are left out.
func (t *moduleTree) closure(names []string) ([]*module, error) {
	var out []*module
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = canonical(name)
		path, ok := t.files[name]
		if !ok || done[name] {
			return nil
		}
		done[name] = true
		m := t.read[name]
		if m == nil {
			var err error
			if m, err = readModule(path); err != nil {
				return fmt.Errorf("vm: module %s: %w", path, err)
			}
			m.name = name
			t.read[name] = m
		}
		for _, d := range m.depends {
			if err := add(d); err != nil {
				return err
			}
		}
		out = append(out, m)
		return nil
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readModule(path string) (*module, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".xz":
		if r, err = xz.NewReader(f); err != nil {
			return nil, err
		}
	case ".zst":
		d, err := zstd.NewReader(f)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	e, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	s := e.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("no .modinfo section")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	m := &module{data: b}
	for kv := range bytes.SplitSeq(info, []byte{0}) {
		k, v, _ := strings.Cut(string(kv), "=")
		switch k {
		case "depends":
			for d := range strings.SplitSeq(v, ",") {
				if d != "" {
					m.depends = append(m.depends, d)
				}
			}
		case "alias":
			m.aliases = append(m.aliases, v)
		case "softdep":
			if pre, ok := strings.CutPrefix(v, "pre: "); ok {
				pre, _, _ = strings.Cut(pre, "post:")
				m.depends = append(m.depends, strings.Fields(pre)...)
			}
		}
	}
	return m, nil
}

// writeModules puts modules into the image, with the modules.dep and
// modules.alias that go with them. It returns the paths of the modules, in order.
func writeModules(im *image, release string, mods []*module) ([]string, error) {
	dir := "/lib/modules/" + release
	var paths []string
	var deps, aliases strings.Builder
	byName := map[string]*module{}
	for _, m := range mods {
		byName[m.name] = m
	}
	// depmod's order: a module, then what it needs, the neediest first
	var needs func(m *module, out []string) []string
	needs = func(m *module, out []string) []string {
		for _, d := range slices.Backward(m.depends) {
			dm := byName[canonical(d)]
			if dm == nil {
				continue
			}
			out = append(out, dm.name+".ko")
			out = needs(dm, out)
		}
		return out
	}
	for _, m := range mods {
		p := dir + "/" + m.name + ".ko"
		if err := im.bytes(p, m.data, 0o644); err != nil {
			return nil, err
		}
		paths = append(paths, p)
		fmt.Fprintf(&deps, "%s.ko: %s\n", m.name, strings.Join(needs(m, nil), " "))
		for _, a := range m.aliases {
			fmt.Fprintf(&aliases, "alias %s %s\n", a, m.name)
		}
	}
	if err := im.bytes(dir+"/modules.dep", []byte(deps.String()), 0o644); err != nil {
		return nil, err
	}
	return paths, im.bytes(dir+"/modules.alias", []byte(aliases.String()), 0o644)
}
