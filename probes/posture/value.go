package posture

import "encoding/json"

// Value is one observed field: either the value that the kernel held, or the
// reason why it could not be read. The zero Value is "not read", so a field
// that nobody filled can never be mistaken for a zero that was observed.
type Value[T any] struct {
	v     T
	known bool
	why   string
}

// Known returns the Value of something that was read.
func Known[T any](v T) Value[T] { return Value[T]{v: v, known: true} }

// Unreadable returns the Value of something that could not be read, and why.
func Unreadable[T any](why string) Value[T] { return Value[T]{why: why} }

// Get returns what was read and whether it was read at all.
func (v Value[T]) Get() (T, bool) { return v.v, v.known }

// IsKnown reports whether the field was read.
func (v Value[T]) IsKnown() bool { return v.known }

// Why says why the field was not read; it is empty for a known value.
func (v Value[T]) Why() string {
	if v.known {
		return ""
	}
	if v.why == "" {
		return "not read"
	}
	return v.why
}

type unreadable struct {
	Unreadable string `json:"unreadable"`
}

// MarshalJSON writes the bare value, or {"unreadable": why}.
func (v Value[T]) MarshalJSON() ([]byte, error) {
	if v.known {
		return json.Marshal(v.v)
	}
	return json.Marshal(unreadable{v.Why()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Value[T]) UnmarshalJSON(b []byte) error {
	var u struct {
		Unreadable *string `json:"unreadable"`
	}
	if len(b) > 0 && b[0] == '{' && json.Unmarshal(b, &u) == nil && u.Unreadable != nil {
		*v = Value[T]{why: *u.Unreadable}
		return nil
	}
	var t T
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	*v = Known(t)
	return nil
}
