package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/moby/sys/mountinfo"
)

// TestNotItsOwn: the number of a file system that was there before may be a new
// one's when the old one is gone.
func TestNotItsOwn(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	h := &held{cfg: &checkpoint.Config{}, mounted: map[fsDevice]bool{{0, 50}: true}, table: table}
	tmpfs := &mountinfo.Info{FSType: "tmpfs", Major: 0, Minor: 50}
	write := func(line string) {
		if err := os.WriteFile(table, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("36 35 0:50 / /mnt rw,noatime - tmpfs x rw")
	if not, err := h.notItsOwn(tmpfs); !not || err != nil {
		t.Errorf("there before and still: %v, %v", not, err)
	}
	if not, err := h.notItsOwn(&mountinfo.Info{FSType: "tmpfs", Major: 0, Minor: 51}); not || err != nil {
		t.Errorf("another number: %v, %v", not, err)
	}
	if not, err := h.notItsOwn(&mountinfo.Info{FSType: "ext4", Major: 0, Minor: 50}); not || err != nil {
		t.Errorf("of a kind that is shared: %v, %v", not, err)
	}
	write("36 35 0:49 / /mnt rw,noatime - tmpfs x rw")
	if not, err := h.notItsOwn(tmpfs); not || err == nil {
		t.Errorf("there before, and not any more: %v, %v", not, err)
	}
	h.table += "x"
	if not, err := h.notItsOwn(tmpfs); not || err == nil {
		t.Errorf("no table: %v, %v", not, err)
	}
}
