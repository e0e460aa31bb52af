package engine

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/checkpoint"
)

// Options of a mount that are no flags of mount(2), and would reach the file
// system as if they were its own.
var notFlags = []string{
	"rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnoatime", "ratime",
	"rnodiratime", "rdiratime", "rrelatime", "rnorelatime", "rstrictatime", "rnostrictatime", "rnosymfollow", "rsymfollow",
	"idmap", "ridmap", "tmpcopyup", "copy-symlink", "dest-nofollow", "src-nofollow", "iversion", "noiversion", "lazytime",
	"nolazytime", "mand", "nomand", "silent", "loud", "symfollow", "noacl", "acl",
}

func (t *translator) mounts() {
	c, s := t.cfg, t.req.Spec
	if root := s.Root; root != nil && root.Path != "" {
		path := root.Path
		if !filepath.IsAbs(path) {
			t.refuse(t.req.Dir == "", "root.path", "a relative one, without a bundle")
			path = filepath.Join(t.req.Dir, path)
		}
		c.Root = checkpoint.Root{Path: path, ReadOnly: root.Readonly}
	}
	for i := range s.Mounts {
		m := &s.Mounts[i]
		field := fieldAt("mounts", i)
		t.refuse(len(m.UIDMappings)+len(m.GIDMappings) > 0, field+".uidMappings")
		for _, o := range m.Options {
			t.refuse(slices.Contains(notFlags, o), field+".options", o)
		}
		source, typ := m.Source, m.Type
		if slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			typ = "" // engines take "bind" and "none" for the type; the kernel takes neither
			if source != "" && !filepath.IsAbs(source) {
				t.refuse(t.req.Dir == "", field+".source", "a relative one, without a bundle")
				source = filepath.Join(t.req.Dir, source)
			}
		}
		c.Mounts = append(c.Mounts, checkpoint.Mount{Source: source, Target: m.Destination, Type: typ, Options: slices.Clone(m.Options)})
	}
	c.Propagation = strings.TrimPrefix(t.req.Linux().RootfsPropagation, "r")
}
