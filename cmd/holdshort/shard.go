package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// part is one of several that a campaign is run in, counted from 0.
type part struct {
	index, of int
	from      string // what said so; empty for the command line
}

func (p part) String() string { return fmt.Sprintf("%d/%d", p.index+1, p.of) }

// array is how an engine tells a task of an array which one it is.
type array struct {
	name, index, count string
	first              int // number of the first task
	least, most, step  string
}

// arrays are looked at in this order: a job that was started from within another
// engine's has that one's variables, too. Where a variable is documented:
// Kubernetes, "Indexed Job"; Slurm, sbatch(1), OUTPUT ENVIRONMENT VARIABLES;
// GitLab, "Predefined CI/CD variables". GitHub has no variable of its own, the
// workflow sets ours from the strategy context.
var arrays = []array{
	{name: "HOLDSHORT", index: "HOLDSHORT_SHARD_INDEX", count: "HOLDSHORT_SHARDS"},
	{
		name: "Slurm", index: "SLURM_ARRAY_TASK_ID", count: "SLURM_ARRAY_TASK_COUNT",
		least: "SLURM_ARRAY_TASK_MIN", most: "SLURM_ARRAY_TASK_MAX", step: "SLURM_ARRAY_TASK_STEP",
	},
	{name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: "HOLDSHORT_SHARDS"},
	{name: "GitLab", index: "CI_NODE_INDEX", count: "CI_NODE_TOTAL", first: 1},
}

// parseShard reads I/N, auto and auto/N.
func parseShard(s string, getenv func(string) string) (part, error) {
	a, b, two := strings.Cut(s, "/")
	of := 0
	if two {
		var err error
		if of, err = strconv.Atoi(b); err != nil || of < 1 {
			return part{}, fmt.Errorf("--shard %q: %q is no number of parts", s, b)
		}
	}
	if a == "auto" {
		return autoShard(of, getenv)
	}
	i, err := strconv.Atoi(a)
	if !two || err != nil || i < 1 || i > of {
		return part{}, fmt.Errorf("--shard %q: it is I/N with I from 1 to N, or auto, or auto/N", s)
	}
	return part{index: i - 1, of: of}, nil
}

// autoShard asks the environment; of is the number of parts if it is known.
func autoShard(of int, getenv func(string) string) (part, error) {
	var names []string
	for i := range arrays {
		a := &arrays[i]
		names = append(names, a.index)
		if getenv(a.index) == "" {
			continue
		}
		p, err := a.part(of, getenv)
		if err != nil {
			return part{}, fmt.Errorf("--shard auto: %s: %w", a.name, err)
		}
		return p, nil
	}
	return part{}, fmt.Errorf("--shard auto: none of %s is set: this is no task of an array", strings.Join(names, ", "))
}

func (a *array) part(of int, getenv func(string) string) (part, error) {
	number := func(name string, otherwise int) (int, error) {
		s := getenv(name)
		if name == "" || s == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%s is %q", name, s)
		}
		return n, nil
	}
	id, err1 := number(a.index, 0)
	count, err2 := number(a.count, of)
	least, err3 := number(a.least, a.first)
	most, err4 := number(a.most, -1)
	step, err5 := number(a.step, 1)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return part{}, err
	}
	switch {
	case count < 1:
		return part{}, fmt.Errorf("%s does not say how many parts there are: set it, or say --shard auto/N", a.count)
	case step < 1:
		return part{}, fmt.Errorf("%s is %d", a.step, step)
	case of > 0 && (of != count || least != a.first):
		// A part that is run again by itself is an array of one.
		if id -= a.first; id >= of {
			return part{}, fmt.Errorf("task %d of --shard auto/%d: number the array from %d", id+a.first, of, a.first)
		}
		return part{id, of, a.name}, nil
	case most >= 0 && (most-least)%step != 0, most >= 0 && (most-least)/step+1 != count, (id-least)%step != 0:
		return part{}, fmt.Errorf("the array is not regular: %d tasks from %d to %d in steps of %d; say --shard auto/N and number it from 0", count, least, most, step)
	}
	i := (id - least) / step
	if id < least || i >= count {
		return part{}, fmt.Errorf("task %d is not one of %d that begin with %d", id, count, least)
	}
	return part{i, count, a.name}, nil
}
