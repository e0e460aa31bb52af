package oci

import (
	"os"
	"path/filepath"
	"testing"
)

// TestUpdateRefusesByName: what cannot be done as it was asked for is an error,
// and not another limit or none.
func TestUpdateRefusesByName(t *testing.T) {
	c, id := newCommand(t), id(t)
	dir := bundle(t, []string{"/bin/sleep", "1000"}, nil)
	c.must("create", "--bundle", dir, id)
	pid := c.state(id).Pid
	file := func(text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "resources.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.fails("--blkio-weight: 65636 is above", "update", "--blkio-weight", "65636", id)
	c.fails("--blkio-weight: -1 is negative", "update", "--blkio-weight", "-1", id)
	c.fails("--pids-limit together with --resources", "update", "--resources", file(`{}`), "--pids-limit", "9", id)
	c.fails("checkBeforeUpdate (what is in use", "update", "--resources", file(`{"memory": {"limit": 1073741824, "checkBeforeUpdate": true}}`), id)
	c.must("update", "--resources", file(`{"memory": {"checkBeforeUpdate": false}}`), id)
	c.must("delete", "--force", id)
	reap(t, pid)
}
