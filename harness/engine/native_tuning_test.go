package engine

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdshort/holdshort/checkpoint"
	"github.com/holdshort/holdshort/harness/internal/sample"
	"github.com/holdshort/holdshort/harness/request"
)

func TestConfig_Tuning(t *testing.T) {
	r := with(t, `"process":{"args":["x"],"user":{"uid":0,"gid":0},"cwd":"/","scheduler":{"policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":3,"flags":["SCHED_FLAG_RECLAIM","SCHED_FLAG_DL_OVERRUN","SCHED_FLAG_RESET_ON_FORK"]}},
		"linux":{"memoryPolicy":{"mode":"MPOL_INTERLEAVE","nodes":"0-1,3","flags":["MPOL_F_STATIC_NODES"]}},
		"holdshort":{"session":true,"autogroupNice":4,"uclamp":{"min":0,"max":7},"coreSched":true,"ioFlusher":true,"memory":{"thpDisable":false,"merge":true,"denyWriteExec":true}}`)
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := Config(r, Host{})
	if err != nil {
		t.Fatal(err)
	}
	want := &checkpoint.Config{
		Scheduler:     checkpoint.Some(checkpoint.Sched{Policy: 6, Runtime: 1, Deadline: 2, Period: 3, ResetOnFork: true, Reclaim: true, Overrun: true}),
		Uclamp:        checkpoint.Uclamp{Min: checkpoint.Some(0), Max: checkpoint.Some(7)},
		AutogroupNice: checkpoint.Some(4), CoreSched: true, IOFlusher: true,
		Memory: checkpoint.Memory{
			Policy:     checkpoint.Some(checkpoint.MemPolicy{Mode: checkpoint.MPOLInterleave, Nodes: []int{0, 1, 3}, Flags: checkpoint.MPOLStaticNodes}),
			THPDisable: checkpoint.Some(false), Merge: checkpoint.Some(true), DenyWriteExec: true,
		},
	}
	for _, f := range []string{"Scheduler", "Uclamp", "AutogroupNice", "CoreSched", "IOFlusher", "Memory"} {
		a, b := reflect.ValueOf(got).Elem().FieldByName(f).Interface(), reflect.ValueOf(want).Elem().FieldByName(f).Interface()
		if d := cmp.Diff(a, b); d != "" {
			t.Errorf("%s: got -, want +:\n%s", f, d)
		}
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

// TestConfig_SharesNothing: whoever changes the configuration does not change
// the request, which is what it is judged by.
func TestConfig_SharesNothing(t *testing.T) {
	for name, text := range sample.Requests {
		for _, host := range []Host{unified, legacy} {
			r, err := request.Parse([]byte(text), true)
			if err != nil {
				t.Fatal(err)
			}
			before, _ := json.Marshal(r)
			c, err := Config(r, host)
			if err != nil {
				continue
			}
			scribble(reflect.ValueOf(c).Elem())
			if after, _ := json.Marshal(r); string(after) != string(before) {
				t.Errorf("%s: the request has become\n%s\nfrom\n%s", name, after, before)
			}
		}
	}
}

// scribble changes everything that can be reached from a value.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem())
		}
	case reflect.Struct:
		for _, f := range v.Fields() {
			if f.CanSet() {
				scribble(f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			v.SetMapIndex(k, reflect.Zero(v.Type().Elem()))
		}
	case reflect.String:
		v.SetString(v.String() + "!")
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(v.Int() + 1)
	case reflect.Uint32, reflect.Uint64, reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	}
}
