// Command same compares two documents of "holdshort report --json": verdict,
// findings by fingerprint with their cases, judged cases, and coverage. Files and
// times, which are other ones in each run, do not count.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
)

type document struct {
	Verdict   string
	Judged    int
	NotJudged int `json:"not_judged"`
	Groups    []struct {
		Field    string
		Findings []struct {
			Fingerprint, Class, Key string
			Values                  map[string]string
			Cases                   int
		}
	}
	Campaigns []struct {
		ID, Cases        string
		Judged, Findings int
		Coverage         map[string]any
	}
}

func main() {
	var docs [2]document
	for i := range docs {
		b, err := os.ReadFile(os.Args[1+i])
		if err == nil {
			err = json.Unmarshal(b, &docs[i])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "same:", err)
			os.Exit(4)
		}
	}
	a, b := &docs[0], &docs[1]
	if !reflect.DeepEqual(a, b) {
		x, _ := json.MarshalIndent(a.Groups, "", " ")
		y, _ := json.MarshalIndent(b.Groups, "", " ")
		fmt.Printf("not the same: %d and %d cases judged\n%s\n%s\n", a.Judged, b.Judged, x, y)
		os.Exit(1)
	}
	fmt.Printf("the same: %d cases judged, %d fields with findings, coverage of %d campaigns\n", a.Judged, len(a.Groups), len(a.Campaigns))
}
