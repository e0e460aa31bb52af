package checkpoint

import "encoding/json"

// Option is a setting that may be absent: where zero is a value of its own
// (an empty capability set, umask 0), absence must be something else.
type Option[T any] struct {
	Set   bool
	Value T
}

// Some returns a setting that is present.
func Some[T any](v T) Option[T] { return Option[T]{Set: true, Value: v} }

// IsZero reports absence; encoding/json's omitzero uses it.
func (o Option[T]) IsZero() bool { return !o.Set }

// MarshalJSON writes the bare value, or null when absent.
func (o Option[T]) MarshalJSON() ([]byte, error) {
	if !o.Set {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSON reads a bare value; null means absent.
func (o *Option[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*o = Option[T]{}
		return nil
	}
	o.Set = true
	return json.Unmarshal(b, &o.Value)
}
