package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/holdshort/holdshort/harness/oracle"
	"github.com/holdshort/holdshort/harness/request"
)

// Foreign is an engine of somebody else's that is driven by its command line.
type Foreign struct {
	Name    string
	Binary  string // looked up in PATH
	Profile *oracle.Profile
	// Knows says in a line what it can be asked for.
	Knows string

	build func(*form) error
}

// Command is the command line of one request, with what belongs to it.
type Command struct {
	Args []string
	Env  []string // what the engine is started with; nil is the caller's own
	// Files are open at 3 and up; they are the caller's to close once the
	// engine was started.
	Files []*os.File
	// PID is the engine's word on which process the workload is, or with Below
	// which it descends from; nil if it gives none.
	PID   func() (int, error)
	Below bool
	// Request is what the command line expresses: all of the request, unless
	// parts may be left out.
	// That which the engine cannot be kept from is asked for, too.
	Request *request.Request
	// Unexpressed names the parts that the engine has no words for, and what it
	// cannot be kept from.
	Unexpressed []string

	cleanups []func()
}

// Close removes what was made for the command. It may be called twice.
func (c *Command) Close() {
	for _, f := range slices.Backward(c.cleanups) {
		f()
	}
	c.cleanups = nil
}

// Engines lists the engines that a request can be translated for.
func Engines() []*Foreign {
	return []*Foreign{
		&runc, &crun, &youki, &bwrap, &unshare, &firejail, &nspawn, &lxc, &minijail, &nsjail, &podman, &docker, &ours,
	}
}

// ByName finds an engine by its name.
func ByName(name string) (*Foreign, error) {
	var names []string
	for _, e := range Engines() {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return nil, fmt.Errorf("no engine %q is known: there are %s; any other command goes after --", name, strings.Join(names, ", "))
}

// Command translates a request into the engine's command line. Parts that the
// engine has no words for are an error that matches [ErrUnsupported], unless
// partial allows them to be left out; then the command says which they are.
//
// Precondition: req.Validate() is nil.
func (e *Foreign) Command(req *request.Request, partial bool) (*Command, error) {
	rest, err := clone(req)
	if err != nil {
		return nil, err
	}
	f := &form{engine: e, req: req, rest: rest, cmd: &Command{}, whys: map[string]string{}}
	if err := e.build(f); err != nil {
		f.cmd.Close()
		return nil, err
	}
	f.cmd.Request = req
	left := leftover(rest)
	for _, x := range f.also {
		f.refuse(true, x.field, x.why)
	}
	for _, p := range left {
		f.refuse(true, p.String(), f.whys[p.String()])
	}
	for _, err := range f.errs {
		f.cmd.Unexpressed = append(f.cmd.Unexpressed, unexpressed(err))
	}
	if len(f.errs) > 0 && !partial {
		f.cmd.Close()
		return nil, errors.Join(f.errs...)
	}
	if len(left) > 0 {
		if f.cmd.Request, err = without(req, rest, left); err != nil {
			f.cmd.Close()
			return nil, err
		}
	}
	if len(f.also) > 0 {
		if f.cmd.Request, err = clone(f.cmd.Request); err != nil {
			f.cmd.Close()
			return nil, err
		}
		for _, x := range f.also {
			x.ask(f.cmd.Request)
		}
	}
	return f.cmd, nil
}

func unexpressed(err error) string {
	u, ok := errors.AsType[*UnsupportedError](err)
	switch {
	case !ok:
		return err.Error()
	case u.Why == "":
		return u.Field
	}
	return u.Field + " (" + u.Why + ")"
}

// form is one translation. Each engine takes out of rest what it expresses;
// what is left over was not.
type form struct {
	refusals
	engine *Foreign
	req    *request.Request
	rest   *request.Request
	cmd    *Command
	also   []implied
	whys   map[string]string // of what is left, if there is one
}

func (f *form) add(args ...string) { f.cmd.Args = append(f.cmd.Args, args...) }

// file passes an open file and returns its number.
func (f *form) file(x *os.File) int {
	f.cmd.Files = append(f.cmd.Files, x)
	f.cmd.cleanups = append(f.cmd.cleanups, func() { x.Close() })
	return 2 + len(f.cmd.Files)
}

// dir makes a directory that goes with the command.
func (f *form) dir() (string, error) {
	d, err := os.MkdirTemp("", "holdshort-")
	if err == nil {
		f.cmd.cleanups = append(f.cmd.cleanups, func() { _ = os.RemoveAll(d) })
	}
	return d, err
}

// program takes out what names the program.
func (f *form) program() []string {
	f.rest.Spec.Process.Args = nil
	return f.req.Process().Args
}

func (f *form) env() []string {
	f.rest.Spec.Process.Env = nil
	if e := f.req.Process().Env; e != nil {
		return e
	}
	return []string{}
}

// root is the absolute path of the root, or empty.
func (f *form) root() string {
	r := f.req.Spec.Root
	if r == nil || r.Path == "" {
		return ""
	}
	f.rest.Spec.Root.Path = ""
	if filepath.IsAbs(r.Path) {
		return r.Path
	}
	return filepath.Join(f.req.Dir, r.Path)
}

func clone(req *request.Request) (*request.Request, error) {
	b, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	q, err := request.Parse(b, false)
	if err != nil {
		return nil, err
	}
	q.Dir = req.Dir
	q.Process() // never nil below
	if q.Spec.Process == nil {
		return nil, errors.New("a request without a process")
	}
	return q, nil
}

// place is where something is in a config.json.
type place []string

func (p place) String() string { return strings.Join(p, ".") }

// passive are members that ask for nothing.
var passive = []string{"ociVersion", "annotations"}

// members is a config.json.
type members map[string]any

func document(req *request.Request) (m members, err error) {
	b, err := json.Marshal(req)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}

// parent is the object that a place is in; an empty one if there is none.
func (m members) parent(p place) map[string]any {
	at := map[string]any(m)
	for _, k := range p[:len(p)-1] {
		next, ok := at[k].(map[string]any)
		if !ok {
			return map[string]any{}
		}
		at = next
	}
	return at
}

func isEmpty(v any) bool {
	m, ok := v.(map[string]any)
	return ok && len(m) == 0
}

// heads are members without which the rest of their object means nothing.
var heads = []string{"process.ioPriority.class", "process.scheduler.policy"}

// leftover lists what is still asked for.
func leftover(req *request.Request) []place {
	doc, err := document(req)
	if err != nil {
		return []place{{err.Error()}}
	}
	var out []place
	var walk func(at place, v any)
	walk = func(at place, v any) {
		m, ok := v.(map[string]any)
		if ok && at.String() == "process.capabilities" { // even an empty one asks for empty sets
			out = append(out, slices.Clone(at))
			return
		}
		if !ok {
			if asks(v) {
				out = append(out, slices.Clone(at))
			}
			return
		}
		for _, k := range sortedKeys(m) {
			if len(at) == 0 && slices.Contains(passive, k) {
				continue
			}
			walk(append(at, k), m[k])
		}
	}
	walk(nil, map[string]any(doc))
	return out
}

// asks reports that a value is not one that asks for nothing.
func asks(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	}
	return true
}

// without is a copy of a request that does not ask for these parts; of a list,
// only what rest still has of it is left out.
func without(req, rest *request.Request, parts []place) (*request.Request, error) {
	doc, err := document(req)
	if err != nil {
		return nil, err
	}
	over, err := document(rest)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		m, last := doc.parent(p), p[len(p)-1]
		list, ok := m[last].([]any)
		if ok {
			bad, _ := over.parent(p)[last].([]any)
			list = slices.DeleteFunc(list, func(x any) bool {
				return slices.ContainsFunc(bad, func(y any) bool { return reflect.DeepEqual(x, y) })
			})
		}
		if m[last] = list; len(list) == 0 {
			delete(m, last)
		}
	}
	for _, p := range parts {
		if n := len(p) - 1; slices.Contains(heads, p.String()) {
			delete(doc.parent(p[:n]), p[n-1])
		}
	}
	for _, p := range parts { // an object of which nothing is left asks for nothing
		for n := len(p) - 1; n > 0; n-- {
			if m := doc.parent(p[:n]); isEmpty(m[p[n-1]]) {
				delete(m, p[n-1])
			}
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	q, err := request.Parse(b, false)
	if err != nil {
		return nil, err
	}
	q.Dir = req.Dir
	return q, nil
}
