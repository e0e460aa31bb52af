package guest

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestRecords(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	long := bytes.Repeat([]byte("x"), MaxPayload+5)
	for _, r := range []struct {
		k Kind
		p []byte
	}{{Hello, []byte("{}")}, {Beat, nil}, {Stdout, long}, {Last, nil}} {
		if err := w.Write(r.k, r.p); err != nil {
			t.Fatal(err)
		}
	}
	whole := bytes.Clone(b.Bytes())
	var out []byte
	var kinds []Kind
	for {
		k, p, err := ReadRecord(&b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, k)
		if k == Stdout {
			out = append(out, p...)
		}
	}
	if !bytes.Equal(out, long) || len(kinds) != 5 || kinds[4] != Last {
		t.Errorf("%d bytes in kinds %v", len(out), kinds)
	}
	if _, _, err := ReadRecord(bytes.NewReader(whole[:6])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("torn record: %v", err)
	}
	for _, bad := range [][]byte{{0, 0, 0, 0, 0}, {9, 0, 0, 0, 0}, {2, 0, 0, 0, 0xff}, []byte("garbage")} {
		if _, _, err := ReadRecord(bytes.NewReader(bad)); !errors.Is(err, ErrStream) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
