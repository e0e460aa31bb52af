package vm

import (
	"slices"
	"strings"
	"testing"
)

func TestApplets(t *testing.T) {
	var names []string
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		names = append(names, "x"+string(c))
	}
	table := "ELF\x00[\x00[[\x00" + strings.Join(names, "\x00") + "\x00\x00Not an applet\x00"
	got, err := applets([]byte(table))
	if err != nil || !slices.Equal(got, append([]string{"[", "[["}, names...)) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "no table", "\x00[\x00[[\x00cat\x00\x00"} {
		if got, err := applets([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
