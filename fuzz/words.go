package fuzz

import (
	"maps"
	"slices"
	"strings"
)

// Words writes parameters and values on one line.
func Words(values map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if v := values[k]; v == "on" {
			out = append(out, k)
		} else {
			out = append(out, k+"="+v)
		}
	}
	if out == nil {
		return "nothing"
	}
	return strings.Join(out, "; ")
}
