package request

import (
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Request is everything that is asked of one launch. It is plain data and is
// not changed once it was handed to an oracle or an engine.
type Request struct {
	// Spec is the OCI part. It is never nil after Parse or New.
	Spec *specs.Spec
	// Ext is what OCI has no words for.
	Ext Extension
	// Dir is the bundle's directory, against which a relative root.path is
	// resolved. It is no part of the JSON form.
	Dir string
	// Ignored names what Parse left out of account when it was not strict.
	Ignored []string
}

// New returns a request that asks for nothing but the program: no namespace, no
// constraint, an empty environment, and the ids of whoever launches it.
func New(args ...string) *Request {
	return &Request{
		Spec: &specs.Spec{
			Version: specs.Version,
			Process: &specs.Process{Args: args},
			Linux:   &specs.Linux{},
		},
		Ext: Extension{KeepIDs: true},
	}
}

// Process returns the process part, which may be empty but is not nil.
func (r *Request) Process() *specs.Process {
	if r.Spec == nil || r.Spec.Process == nil {
		return &specs.Process{}
	}
	return r.Spec.Process
}

// Linux returns the Linux part, which may be empty but is not nil.
func (r *Request) Linux() *specs.Linux {
	if r.Spec == nil || r.Spec.Linux == nil {
		return &specs.Linux{}
	}
	return r.Spec.Linux
}

// Program is the file to be executed, as it was asked for.
func (r *Request) Program() string {
	if r.Ext.Path != "" {
		return r.Ext.Path
	}
	if args := r.Process().Args; len(args) > 0 {
		return args[0]
	}
	return ""
}

// document is the JSON form: an OCI config.json with one more member.
type document struct {
	*specs.Spec
	Ext *Extension `json:"holdshort,omitempty"`
}

// MarshalJSON writes a config.json that other engines can read.
func (r *Request) MarshalJSON() ([]byte, error) {
	d := document{Spec: r.Spec}
	if d.Spec == nil {
		d.Spec = &specs.Spec{}
	}
	if !r.Ext.isZero() {
		d.Ext = &r.Ext
	}
	return json.Marshal(d)
}

// UnmarshalJSON is [Parse] in its strict form.
func (r *Request) UnmarshalJSON(b []byte) error {
	p, err := Parse(b, true)
	if err != nil {
		return err
	}
	*r = *p
	return nil
}
