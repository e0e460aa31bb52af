package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// MaxSize is the largest config.json that Parse accepts, in bytes.
const MaxSize = 16 << 20

// maxDepth is far more than any config.json needs.
const maxDepth = 64

// ParseError is a document that is no request. Field is where, if that can be
// said: "process.user.uid".
type ParseError struct {
	Field string
	Err   error
}

func (e *ParseError) Error() string {
	if e.Field == "" {
		return "request: " + e.Err.Error()
	}
	return "request: " + e.Field + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }

// What is wrong with the form of a document, to be tested with errors.Is.
var (
	ErrTooLarge     = fmt.Errorf("larger than %d bytes", MaxSize)
	ErrUnknownField = errors.New("unknown field")
	ErrDuplicate    = errors.New("given twice")
	ErrCase         = errors.New("written in another case than the specification's; engines disagree on what that means")
	ErrTrailing     = errors.New("something follows the document")
	ErrNULByte      = errors.New("contains a NUL byte")
	ErrTooDeep      = fmt.Errorf("nested deeper than %d", maxDepth)
)

// Parse reads a config.json. It judges the form only; [Request.Validate] judges
// the meaning.
//
// In strict mode a field that the specification and our extension do not have
// is an error which names it, and so is a field given twice. Else such fields
// are listed in Request.Ignored (of two equal ones the last counts), as the
// specification demands of an engine.
//
// The type of a device is taken out of its mode, if it is not strict.
//
// A NUL byte in a string, a field in other than its proper case, more than
// [MaxSize] bytes, and anything behind the document are errors in both modes.
func Parse(data []byte, strict bool) (*Request, error) {
	if len(data) > MaxSize {
		return nil, &ParseError{Err: fmt.Errorf("%d bytes: %w", len(data), ErrTooLarge)}
	}
	w := &walker{dec: json.NewDecoder(bytes.NewReader(data)), strict: strict}
	w.dec.UseNumber()
	if err := w.document(); err != nil {
		return nil, err
	}
	req := &Request{Ignored: w.ignored}
	var err error
	if req.Spec, err = decode(data, &req.Ext); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, &ParseError{Field: te.Field, Err: fmt.Errorf("%s does not fit %s", te.Value, te.Type)}
		}
		return nil, &ParseError{Err: err}
	}
	if !strict {
		req.permissionsOnly()
	}
	return req, nil
}

// permissionsOnly takes the type, where it is the device's own, out of the modes
// of devices: podman --privileged writes them as stat(2) has them.
func (r *Request) permissionsOnly() {
	types := map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}
	devices := r.Linux().Devices
	for i := range devices {
		if m := devices[i].FileMode; m != nil && uint32(*m)&unix.S_IFMT == types[devices[i].Type] {
			*m &^= unix.S_IFMT
		}
	}
}

// Read is Parse of a stream.
func Read(r io.Reader, strict bool) (*Request, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, &ParseError{Err: err}
	}
	return Parse(data, strict)
}
