package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadRequest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"config.json": minimal, "bare.json": `{"ociVersion":"1.2.0","holdshort":{"keepIDs":true}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bare := filepath.Join(dir, "bare.json")
	for name, tt := range map[string]struct {
		bundle, file string
		args         []string
		want         []string
	}{
		"bundle":                  {dir, "", nil, []string{"/bin/true"}},
		"file":                    {"", filepath.Join(dir, "config.json"), nil, []string{"/bin/true"}},
		"another program":         {dir, "", []string{"--", "/bin/echo", "--"}, []string{"/bin/echo", "--"}},
		"program for none":        {"", bare, []string{"/bin/echo"}, []string{"/bin/echo"}},
		"none":                    {"", bare, nil, nil},
		"nothing behind the dash": {"", bare, []string{"--"}, nil},
	} {
		r, err := readRequest(tt.bundle, tt.file, true, tt.args)
		if tt.want == nil {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
			continue
		}
		if err != nil || r.Dir != dir || !slices.Equal(r.Process().Args, tt.want) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
