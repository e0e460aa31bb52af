package vm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadSources(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []source
	}{
		"one line": {
			"sources.list", "# deb http://a.example/x main\ndeb http://m.example/debian stable main contrib\ndeb-src http://m.example/debian stable main\n",
			[]source{{uri: "http://m.example/debian"}},
		},
		"options": {
			"sources.list.d/x.list", "deb [arch=amd64 signed-by=/k.gpg] https://m.example/debian stable main # note\n",
			[]source{{"https://m.example/debian", "/k.gpg"}},
		},
		"stanzas": {
			"sources.list.d/x.sources", "Types: deb deb-src\n# note\nURIs: http://m.example/debian\nSuites: stable stable-updates\nComponents: main\nSigned-By: /k.gpg\n\n" +
				"Types: deb\nURIs: http://m.example/security\nSuites: stable-security\nComponents: main\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/\nSuites: stable\nComponents: main\n",
			[]source{{"http://m.example/debian", "/k.gpg"}},
		},
		"security only":    {"sources.list", "deb http://m.example/s stable-security main\n", nil},
		"not main":         {"sources.list", "deb http://m.example/s stable other\n", nil},
		"disabled by name": {"sources.list.d/x.list.off", "deb http://m.example/s stable main\n", nil},
		"nothing":          {"sources.list", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			etc := t.TempDir()
			p := filepath.Join(etc, c.file)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := readSources(etc)
			if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestImageName(t *testing.T) {
	for name, want := range map[string]string{
		"linux-image-6.1.0-50-cloud-amd64":            "6.1.0-50",
		"linux-image-6.12.117+deb13-cloud-amd64":      "",
		"linux-image-6.1.0-50-amd64":                  "",
		"linux-image-6.1.0-50-cloud-amd64-dbg":        "",
		"linux-image-6.1.0-50-cloud-amd64-unsigned":   "",
		"linux-image-cloud-amd64":                     "",
		"linux-image-6.1-rc3-cloud-amd64":             "6.1-rc3",
		"linux-image-5.10.0-0.deb10.16-cloud-amd64":   "",
		"linux-headers-6.1.0-50-cloud-amd64":          "",
		"linux-image-6.1.0-0.deb11.21-cloud-amd64":    "6.1.0-0.deb11.21",
		"linux-image-6.1.0-50-cloud-arm64":            "",
		"linux-image-16.1.0-50-cloud-amd64":           "",
		"linux-image-6.1~rc3-cloud-amd64":             "6.1~rc3",
		"linux-image-6.1.0-50-cloud-amd64-cloud-armf": "",
	} {
		if got, _ := imageName(name, "6.1", "amd64"); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{ // of 7.2-full
		"linux-image-7.2.12+deb13-amd64":          "7.2.12+deb13",
		"linux-image-7.2.12+deb13-cloud-amd64":    "",
		"linux-image-7.2.12+deb13-rt-amd64":       "",
		"linux-image-7.2.12+deb13-amd64-unsigned": "",
	} {
		if got, _ := imageName(name, "7.2-full", "amd64"); got != want {
			t.Errorf("full, %s: %q; want %q", name, got, want)
		}
	}
	if got, _ := imageName("linux-image-7.2.12+deb13-rt-amd64", "7.2-rt", "amd64"); got != "7.2.12+deb13" {
		t.Errorf("rt: %q", got)
	}
	if !later("6.12.117-1", "6.12.95-1") || later("5.10.223-1", "5.10.223-1") || !later("7.3.4-1~bpo13+1", "7.3.4-1") {
		t.Error("versions are compared wrongly")
	}
}
