package main

import (
	"strings"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/checkpoint/landlock"
)

func TestLandlockPolicy(t *testing.T) {
	abi := min(checkpoint.LandlockABI(), landlock.Newest)
	if abi < 6 {
		t.Skip("needs Landlock ABI 6 (since Linux 6.12)")
	}
	p, err := landlockPolicy([]string{"ro:/", "rw:/dev/null", "bind:0", "connect:443", "scoped"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	c, err := p.Compile(abi)
	if err != nil {
		t.Fatal(err)
	}
	l := c.Layers[0]
	fs, _ := landlock.Mask(landlock.FS, landlock.Rights(landlock.FS, abi))
	// execute, read_file, read_dir on a directory; on a file only what files have
	if l.FS != fs || l.Paths[0].Access != 1|1<<2|1<<3 || l.Paths[1].Access&^(1|1<<1|1<<2|1<<14|1<<15|1<<16) != 0 || l.Paths[1].Access&(1<<1) == 0 {
		t.Errorf("%+v", l)
	}
	if l.Net&3 != 3 || l.Scoped != 3 || len(l.Ports) != 2 || l.Ports[0].Access != 1 || l.Ports[1].Access != 2 {
		t.Errorf("%+v", l)
	}
	if p, err := landlockPolicy([]string{"net"}, ""); err != nil || len(p.Layers[0].HandledAccessFS)+len(p.Layers[0].NetPort) != 0 || len(p.Layers[0].HandledAccessNet) == 0 {
		t.Errorf("net: %+v %v", p, err)
	}
	for _, bad := range []string{"ro", "ro:usr", "rx:/", "bind:", "connect:65536", "bind:-1", ""} {
		if _, err := landlockPolicy([]string{bad}, ""); err == nil || !strings.Contains(err.Error(), "--landlock") {
			t.Errorf("%q: %v; want an error that names the flag", bad, err)
		}
	}
}
