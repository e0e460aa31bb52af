package compare

import "testing"

// A fact about a part of a value explains no difference in the rest of it.
func TestFits(t *testing.T) {
	inode := but(`,inode64`)
	for name, c := range map[string]struct {
		fits func(a, b said) bool
		a, b said
		want bool
	}{
		"option alone":           {inode, said{`equal {"data":"rw,inode64"}`, "yes"}, said{`equal {"data":"rw"}`, "no"}, true},
		"option and another":     {inode, said{`equal {"data":"rw,inode64"}`, "yes"}, said{`equal {"data":"ro"}`, "no"}, false},
		"another alone":          {inode, said{`equal {"data":"ro"}`, "yes"}, said{`equal {"data":"rw"}`, "no"}, false},
		"scopes that one lacks":  {rightsOfBoth, said{`equal [{"fs":8192,"scope":3}]`, "6"}, said{`equal [{"fs":8192}]`, "4"}, true},
		"layer that one lacks":   {rightsOfBoth, said{`equal [{"fs":0,"net":3}]`, "4"}, said{`equal as in the caller`, "2"}, true},
		"files that both have":   {rightsOfBoth, said{`equal [{"fs":8193,"scope":3}]`, "6"}, said{`equal [{"fs":8192}]`, "4"}, false},
		"ports that both have":   {rightsOfBoth, said{`equal [{"fs":0,"net":3}]`, "6"}, said{`equal [{"fs":0,"net":1}]`, "4"}, false},
		"violated":               {rightsOfBoth, said{`weaker [{"fs":8192}]`, "6"}, said{`equal [{"fs":8192}]`, "4"}, false},
		"nothing with none":      {rightsOfBoth, said{`equal [{"fs":8192}]`, "6"}, said{`equal []`, "0"}, true},
		"more with more":         {moreWithMore, said{"equal 2", "6"}, said{"equal 1", "2"}, true},
		"more with less":         {moreWithMore, said{"equal 1", "6"}, said{"equal 2", "2"}, false},
		"no number":              {moreWithMore, said{"weaker 1", "6"}, said{"equal 0", "2"}, false},
		"caller lacks it":        {heldByBoth, said{"equal 15", "f"}, said{"equal 7", "7"}, true},
		"dropped though it has":  {heldByBoth, said{"equal 15", "f"}, said{"equal 3", "7"}, false},
		"outcome is another":     {heldByBoth, said{"equal 15", "f"}, said{"weaker 7", "7"}, false},
		"callers are not known":  {heldByBoth, said{"equal 15", "unknown"}, said{"equal 7", "7"}, false},
		"hierarchies":            {optionsAlike, said{`equal {"/c":{"options":"ro,noexec","type":"cgroup2"}}`, "version 2"}, said{`equal {"/c":{"options":"ro,noexec","type":"tmpfs"},"/c/pids":{"options":"ro,noexec","type":"cgroup"}}`, "version 1"}, true},
		"writable hierarchy":     {optionsAlike, said{`equal {"/c":{"options":"ro,noexec","type":"cgroup2"}}`, "version 2"}, said{`equal {"/c":{"options":"ro,noexec","type":"tmpfs"},"/c/pids":{"options":"rw,noexec","type":"cgroup"}}`, "version 1"}, false},
		"kept by one, not other": {heldByBoth, said{"equal as in the caller", "f"}, said{"equal 7", "7"}, false},
	} {
		for range 2 {
			if got := c.fits(c.a, c.b); got != c.want {
				t.Errorf("%s: %v", name, got)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

func TestExcerpts(t *testing.T) {
	long := make([]byte, 500)
	for i := range long {
		long[i] = 'a'
	}
	got := excerpts([]string{"short", string(long) + "x", string(long) + "y"})
	if got[0] != "short" || len(got[1]) > 310 || len(got[2]) > 310 {
		t.Error(got)
	}
	got = excerpts([]string{string(long) + "x", string(long) + "y"})
	if got[0] == got[1] || got[0][:3] != "…" {
		t.Error(got)
	}
}
