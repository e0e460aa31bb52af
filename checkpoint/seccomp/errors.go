package seccomp

import (
	"errors"
	"fmt"
	"strings"
)

// Causes of an [Error], for errors.Is.
var (
	ErrUnknownCall  = errors.New("unknown system call")
	ErrUnknownArch  = errors.New("unknown architecture")
	ErrUnknownValue = errors.New("unknown value")
	ErrNotSupported = errors.New("not supported")
	ErrInvalid      = errors.New("invalid")
	ErrTooLarge     = errors.New("filter too large")
	ErrBlocked      = errors.New("blocked by the filter")
)

// Error is a defect of a policy, or a call that a filter blocks.
type Error struct {
	Rule int    // index in Policy.Syscalls, -1 if the policy as a whole is meant
	Name string // the system call, architecture, flag or field; may be empty
	Err  error  // one of the sentinels
	Why  string // what to do, or details; may be empty
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("seccomp: ")
	if e.Rule >= 0 {
		fmt.Fprintf(&b, "syscalls[%d] ", e.Rule)
	}
	if e.Name != "" {
		fmt.Fprintf(&b, "%q: ", e.Name)
	}
	b.WriteString(e.Err.Error())
	if e.Why != "" {
		b.WriteString(": " + e.Why)
	}
	return b.String()
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }
