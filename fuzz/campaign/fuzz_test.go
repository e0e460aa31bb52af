package campaign

import (
	"bytes"
	"testing"
)

// FuzzResults reads any bytes as a result file, which is what replay, shrink and
// resume are given: what is read can be written, comes to the same again, and is
// told without a fault.
func FuzzResults(f *testing.F) {
	id := Info{}.ID()
	for _, s := range []string{
		"", "{}", "\n", `{"schema":1`,
		`{"schema":1,"campaign":"` + id + `","info":{"model":"","seed":0,"strength":0,"kernel":"","engine":""}}` + "\n",
		`{"schema":1,"campaign":"x","block":{"first":64,"judged":"00000000000000ff","others":"f000000000000000","negative":"0000000000000001","checked":{"m":"0000000000000003"}}}` + "\n",
		`{"schema":1,"campaign":"x","incident":{"index":3,"class":"finding","key":"fs.umask: ignored","hits":3,"runs":3,"values":{"umask":"077"}}}` + "\n" +
			`{"schema":1,"campaign":"x","minimal":{"index":3,"key":"fs.umask: ignored","values":{"umask":"077"},"executions":7,"dir":"/d","request":{"ociVersion":"1.3.0","process":{"args":["/d/workload"],"cwd":"/","user":{}}}}}` + "\n",
		`{"schema":1,"campaign":"x","model":{"hash":"0011223344556677","parameters":[{"name":"a","values":["off","on"]}],"forbidden":[[{"param":0,"values":2}]]}}` + "\n",
		`{"schema":1,"campaign":"x","signature":{"id":"s","index":1,"values":{},"state":{"a":"b"}}}` + "\n" + `{"schema":1,"campaign":"x","timeline":{"index":1,"key":"k","events":[{"what":"exec","ns":5,"by":"kernel"}]}}` + "\n",
		`{"schema":1,"campaign":"x","block":null,"incident":null,"minimal":{"request":null}}` + "\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again Results
		_ = r.Read(bytes.NewReader(b)) // what came before an error counts
		var one, two bytes.Buffer
		if err := r.Write(&one); err != nil {
			t.Fatal(err)
		}
		text := one.String()
		if err := again.Read(&one); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text)
		}
		if err := again.Write(&two); err != nil {
			t.Fatal(err)
		}
		if text != two.String() {
			t.Fatalf("written:\n%s\nread and written again:\n%s", text, two.String())
		}
		for _, o := range r.Outcomes() {
			if err := o.Text(&two); err != nil {
				t.Fatal(err)
			}
			o.ExitCode()
			o.Explained(Finding)
		}
	})
}
