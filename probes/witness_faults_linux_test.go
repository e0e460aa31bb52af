package probes

import "fmt"

// lie makes the optional hooks tell false facts, see witness.h.
func (w *witnesses) lie(facts uint32) error {
	for _, c := range w.colls {
		if err := c.Variables["lie"].Set(facts); err != nil {
			return fmt.Errorf("set lie: %w", err)
		}
	}
	return nil
}

// silence detaches the optional hooks behind the observer's back.
func (w *witnesses) silence() error {
	for _, l := range w.links {
		if err := l.Close(); err != nil {
			return err
		}
	}
	w.links, w.breaker = nil, nil
	return nil
}
