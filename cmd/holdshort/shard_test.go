package main

import (
	"strings"
	"testing"
)

func TestParseShard(t *testing.T) {
	slurm := func(id, count, least, most, step string) map[string]string {
		return map[string]string{
			"SLURM_ARRAY_TASK_ID": id, "SLURM_ARRAY_TASK_COUNT": count, "SLURM_ARRAY_TASK_MIN": least,
			"SLURM_ARRAY_TASK_MAX": most, "SLURM_ARRAY_TASK_STEP": step,
		}
	}
	for name, c := range map[string]struct {
		arg, want string // or what the error has
		env       map[string]string
	}{
		"by hand":                      {"3/16", "3/16", nil},
		"the only one":                 {"1/1", "1/1", nil},
		"0":                            {"0/4", "I/N", nil},
		"too high":                     {"5/4", "I/N", nil},
		"words":                        {"x", "I/N", nil},
		"no number":                    {"1/x", "no number of parts", nil},
		"no array":                     {"auto", "none of", nil},
		"kubernetes, total by hand":    {"auto/16", "1/16", map[string]string{"JOB_COMPLETION_INDEX": "0"}},
		"kubernetes, total":            {"auto", "16/16", map[string]string{"JOB_COMPLETION_INDEX": "15", "HOLDSHORT_SHARDS": "16"}},
		"kubernetes, no total":         {"auto", "HOLDSHORT_SHARDS does not say", map[string]string{"JOB_COMPLETION_INDEX": "15"}},
		"kubernetes, too high":         {"auto/16", "is not one of 16", map[string]string{"JOB_COMPLETION_INDEX": "16"}},
		"slurm from 0":                 {"auto", "16/16", slurm("15", "16", "0", "15", "1")},
		"slurm from 1":                 {"auto", "1/16", slurm("1", "16", "1", "16", "")},
		"slurm in steps":               {"auto", "4/4", slurm("7", "4", "1", "7", "2")},
		"slurm, a list":                {"auto", "not regular", slurm("3", "3", "1", "7", "1")},
		"slurm, a list that fits":      {"auto", "not regular", slurm("3", "3", "1", "7", "3")},
		"slurm, one of 16 again":       {"auto/16", "4/16", slurm("3", "1", "3", "3", "1")},
		"slurm, one alone":             {"auto", "1/1", slurm("3", "1", "3", "3", "1")},
		"slurm, from 1, one again":     {"auto/16", "number the array from 0", slurm("16", "1", "16", "16", "1")},
		"gitlab":                       {"auto", "1/5", map[string]string{"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "5"}},
		"gitlab, last":                 {"auto", "5/5", map[string]string{"CI_NODE_INDEX": "5", "CI_NODE_TOTAL": "5"}},
		"ours, as a GitHub matrix":     {"auto", "2/3", map[string]string{"HOLDSHORT_SHARD_INDEX": "1", "HOLDSHORT_SHARDS": "3"}},
		"nonsense":                     {"auto", `CI_NODE_INDEX is "x"`, map[string]string{"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "5"}},
		"negative":                     {"auto", "CI_NODE_INDEX", map[string]string{"CI_NODE_INDEX": "-1", "CI_NODE_TOTAL": "5"}},
		"a Slurm array in a CI job":    {"auto", "2/4", with(slurm("1", "4", "0", "3", "1"), "CI_NODE_INDEX", "9")},
		"another number by hand":       {"auto/4", "2/4", map[string]string{"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "5"}},
		"another number, out of range": {"auto/4", "number the array from 1", map[string]string{"CI_NODE_INDEX": "5", "CI_NODE_TOTAL": "5"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parseShard(c.arg, func(k string) string { return c.env[k] })
			got := p.String()
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("%s; want %s", got, c.want)
			}
		})
	}
}

func with(m map[string]string, k, v string) map[string]string {
	m[k] = v
	return m
}
