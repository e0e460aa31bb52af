package probes

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// FuzzRecord decodes what a ring buffer's record could be, if the kernel's side
// were damaged: any bytes are a posture that can be written down, or an error. A
// posture is made of nothing but its record.
func FuzzRecord(f *testing.F) {
	size := headSize + coreSize
	f.Add([]byte{}, false)
	f.Add(make([]byte, size), true)
	f.Add(make([]byte, size+4096), true)
	for seed := range byte(4) {
		b := make([]byte, size+2048)
		r := rand.NewChaCha8([32]byte{seed})
		_, _ = r.Read(b)
		f.Add(b, seed%2 == 0)
		for i := range b { // mostly small numbers: counts that fit
			if b[i] > 8 {
				b[i] = 0
			}
		}
		f.Add(b, seed%2 == 1)
	}
	facts := &kernelFacts{}
	f.Fuzz(func(t *testing.T, b []byte, withCode bool) {
		if len(b) < headSize {
			new(Observer).handle(b) // too short to be anything
			return
		}
		h := readHead(b)
		o, err := splitBody(b[headSize:], withCode, facts)
		if err != nil {
			return
		}
		p := o.posture()
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("a posture that cannot be written: %v", err)
		}
		again, err := splitBody(b[headSize:], withCode, facts)
		if err != nil {
			t.Fatal(err)
		}
		s := newSnapshot(At("first"), &h, again)
		if text2, _ := json.Marshal(s.Posture()); string(text) != string(text2) {
			t.Errorf("the same bytes:\n%s\n%s", text, text2)
		}
	})
}
