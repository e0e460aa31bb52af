package main

import (
	"io"
	"strings"
	"testing"
)

func TestMerge(t *testing.T) {
	here := "a weaker TestA/x\n"
	old := "b weaker TestB/gone 6.12,7.2\nc weaker TestC/kept 6.12\n"
	said := "ok\ncaught a weaker TestA/x\ncaught b weaker TestB/new\ncaught c weaker TestC/more\ncaught-all-of TestB\n"
	r, err := read(strings.NewReader(said), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := "b weaker TestB/gone 7.2\nb weaker TestB/new 6.12\nc weaker TestC/kept 6.12\nc weaker TestC/more 6.12\n"
	got := merge(here, old, r, "6.12")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r, _ = read(strings.NewReader("caught b weaker TestB/new\n"), io.Discard); !strings.Contains(merge(here, got, r, "5.10"), "TestB/new 5.10,6.12\n") {
		t.Error("kernels are not in order")
	}
}
