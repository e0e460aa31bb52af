package probes

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/holdshort/holdshort/probes/bpf"
)

func TestWire(t *testing.T) {
	var want, got bpf.ProbesEvent
	size := binary.Size(want)
	if size != headSize+coreSize {
		t.Fatalf("event is %d bytes, head and core are %d", size, headSize+coreSize)
	}
	if n := binary.Size(bpf.ProbesFileid{}); n != fileIDSize {
		t.Fatalf("fileid is %d bytes, want %d", n, fileIDSize)
	}
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &want); err != nil {
		t.Fatal(err)
	}
	if rest := readCore(b[headSize:], &got); len(rest) != 0 {
		t.Errorf("%d bytes left over", len(rest))
	}
	if d := cmp.Diff(want.Core, got.Core); d != "" {
		t.Errorf("core (-want +got):\n%s", d)
	}
	h := readHead(b)
	w := want.Head
	back := head{
		cookie: w.Cookie, start: w.Start, ktime: w.Ktime, ip: w.Ip, entry: w.Entry, lostAll: w.LostAll, info: w.Info,
		at: bpf.ProbesAt(w.At), flags: bpf.ProbesHeadFlag(w.Flags),
		tgid: w.Tgid, tid: w.Tid, pidHere: w.PidHere, parent: w.Parent, seq: w.Seq, exec: w.Exec, lost: w.Lost, cpu: w.Cpu,
	}
	if h != back {
		t.Errorf("head %+v, want %+v", h, back)
	}
}
