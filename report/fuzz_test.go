package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// FuzzRead makes every kind of report of any bytes: there is one, it is well
// formed, and the bytes are nothing but text in it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(results(f, 0, 70))
	f.Add([]byte(`{"schema":1,"rows":[null,{"kernel":"6.1","tests":[{"package":"p","name":"n","outcome":"<b>"}]}]}`))
	f.Add([]byte(`{"schema":1,"verdict":"violated","checks":[{"field":"<script>","outcome":"ignored"}],"workload":{"argv":["</title>"]}}`))
	f.Add([]byte(`{"schema":1,"campaign":"x","incident":{"index":0,"class":"finding","key":"<img src=x>: a","hits":3,"runs":3}}` + "\n" + `{"schema":1,"campaign":"x","blo`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Set{}
		if err := s.Read("file", bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		d := s.Document()
		var html, sarif, junit, js bytes.Buffer
		for name, err := range map[string]error{
			"html": d.HTML(&html), "sarif": d.SARIF(&sarif, ""), "junit": d.JUnit(&junit), "json": d.JSON(&js),
			"markdown": d.Markdown(io.Discard), "text": d.Text(io.Discard), "lines": s.WriteLines(io.Discard),
		} {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !json.Valid(sarif.Bytes()) || !json.Valid(js.Bytes()) {
			t.Error("no JSON")
		}
		if err := xml.Unmarshal(junit.Bytes(), &junitSuites{}); err != nil {
			t.Errorf("no XML: %v", err)
		}
		page := html.String()
		if n := strings.Count(page, "<script"); n != 1+strings.Count(page, `<script type="application/json">`) {
			t.Errorf("%d scripts", n)
		}
		if strings.Count(page, "<img") > 0 || strings.Count(page, "<title>") != 1 || !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
			t.Error("text became markup")
		}
	})
}
