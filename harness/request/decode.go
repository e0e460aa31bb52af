package request

import (
	"encoding/json"
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// decoded is [specs.Spec] with what is of other systems left as it is. To decode
// a document takes package json more time for looking at all types that might
// occur in it than for the document, and theirs are half of them.
type decoded struct {
	Version     string            `json:"ociVersion"`
	Process     *specs.Process    `json:"process,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       *specs.Linux      `json:"linux,omitempty"`

	Solaris json.RawMessage `json:"solaris,omitempty"`
	Windows json.RawMessage `json:"windows,omitempty"`
	VM      json.RawMessage `json:"vm,omitempty"`
	ZOS     json.RawMessage `json:"zos,omitempty"`
	FreeBSD json.RawMessage `json:"freebsd,omitempty"`

	Ext *Extension `json:"holdshort,omitempty"`
}

func decode(data []byte, ext *Extension) (*specs.Spec, error) {
	d := decoded{Ext: ext}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version: d.Version, Process: d.Process, Root: d.Root, Hostname: d.Hostname, Domainname: d.Domainname,
		Mounts: d.Mounts, Hooks: d.Hooks, Annotations: d.Annotations, Linux: d.Linux,
	}
	return s, errors.Join(
		other("solaris", d.Solaris, &s.Solaris), other("windows", d.Windows, &s.Windows), other("vm", d.VM, &s.VM),
		other("zos", d.ZOS, &s.ZOS), other("freebsd", d.FreeBSD, &s.FreeBSD))
}

func other[T any](name string, data json.RawMessage, into **T) error {
	if data == nil {
		return nil
	}
	err := json.Unmarshal(data, into)
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		te.Field = name + "." + te.Field
	}
	return err
}
