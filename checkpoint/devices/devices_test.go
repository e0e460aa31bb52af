package devices

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/holdshort/holdshort/internal/devicebpf"
	"pgregory.net/rapid"
)

var (
	null = Rule{Allow: true, Type: Char, Major: 1, Minor: 3, Access: Read | Write}
	pts  = Rule{Allow: true, Type: Char, Major: 136, Minor: Any, Access: Every}
)

func deny(r Rule, a Access) Rule {
	r.Allow, r.Access = false, a
	return r
}

func TestAllowed(t *testing.T) {
	everything := Rule{Allow: true, Type: All, Major: Any, Minor: Any, Access: Every}
	for name, row := range map[string]struct {
		rules  []Rule
		t      Type
		major  uint32
		minor  uint32
		access Access
		want   bool
	}{
		"an empty list denies":                    {nil, Char, 1, 3, Read, false},
		"what is in it is allowed":                {[]Rule{null}, Char, 1, 3, Read | Write, true},
		"a part more is not":                      {[]Rule{null}, Char, 1, 3, Read | Mknod, false},
		"another minor is not":                    {[]Rule{null}, Char, 1, 5, Read, false},
		"another type is not":                     {[]Rule{null}, Block, 1, 3, Read, false},
		"any minor":                               {[]Rule{pts}, Char, 136, 77, Write, true},
		"the last rule wins":                      {[]Rule{everything, deny(null, Every)}, Char, 1, 3, Read, false},
		"for its parts":                           {[]Rule{everything, deny(null, Write)}, Char, 1, 3, Read, true},
		"and only for them":                       {[]Rule{everything, deny(null, Write)}, Char, 1, 3, Read | Write, false},
		"an allowed part stays under an earlier":  {[]Rule{deny(null, Every), null}, Char, 1, 3, Read | Write, true},
		"parts of two rules add up":               {[]Rule{{true, Char, 1, Any, Read}, {true, Char, Any, 3, Write}}, Char, 1, 3, Read | Write, true},
		"existence needs some part":               {[]Rule{null}, Char, 1, 3, 0, true},
		"existence is denied with all parts":      {[]Rule{everything, deny(null, Every)}, Char, 1, 3, 0, false},
		"existence is not denied with some parts": {[]Rule{everything, deny(null, Write)}, Char, 1, 3, 0, true},
		"a high number":                           {[]Rule{{true, Block, 1<<32 - 1, 1<<31 + 5, Read}}, Block, 1<<32 - 1, 1<<31 + 5, Read, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Allowed(row.rules, row.t, row.major, row.minor, row.access); got != row.want {
				t.Errorf("Allowed is %t", got)
			}
			if got := run(t, row.rules, point{row.t, row.major, row.minor, row.access}); got != row.want {
				t.Errorf("the program says %t", got)
			}
		})
	}
}

func run(t interface {
	Helper()
	Fatal(...any)
}, rules []Rule, p point,
) bool {
	t.Helper()
	var b bytes.Buffer
	if err := Instructions(rules).Marshal(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	c := devicebpf.Context{Type: devChar, Access: uint16(p.access), Major: p.major, Minor: p.minor}
	if p.t == Block {
		c.Type = devBlock
	}
	n, err := devicebpf.Run(b.Bytes(), c)
	if err != nil {
		t.Fatal(err)
	}
	return n != 0
}

var anyRule = rapid.Custom(func(t *rapid.T) Rule {
	return Rule{
		Allow: rapid.Bool().Draw(t, "allow"), Type: rapid.SampledFrom([]Type{All, Char, Block}).Draw(t, "type"),
		Major: rapid.SampledFrom([]int64{Any, 1, 5, 1<<31 + 1}).Draw(t, "major"), Minor: rapid.SampledFrom([]int64{Any, 0, 3, 1<<32 - 1}).Draw(t, "minor"),
		Access: Access(rapid.IntRange(1, 7).Draw(t, "access")),
	}
})

// TestProgramIsWhatTheRulesMean compares the program with the definition, at
// every access that can make a difference.
func TestProgramIsWhatTheRulesMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(anyRule, 0, 8).Draw(t, "rules")
		var b bytes.Buffer
		if err := Instructions(rules).Marshal(&b, binary.LittleEndian); err != nil {
			t.Fatal(err)
		}
		for p := range points(rules) {
			c := devicebpf.Context{Type: devChar, Access: uint16(p.access), Major: p.major, Minor: p.minor}
			if p.t == Block {
				c.Type = devBlock
			}
			n, err := devicebpf.Run(b.Bytes(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := n != 0, Allowed(rules, p.t, p.major, p.minor, p.access); got != want {
				t.Fatalf("%v at %+v: the program says %t, want %t", rules, p, got, want)
			}
		}
	})
}

// TestLegacyLines: what version 1 makes of the lines is what the rules mean, or
// they are refused. Some are, and most of those that engines write are not.
func TestLegacyLines(t *testing.T) {
	refused, taken := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(anyRule, 0, 4).Draw(t, "rules")
		if _, err := Lines(rules); errors.Is(err, ErrInexact) {
			refused++
		} else if err == nil {
			taken++
		}
	})
	if refused == 0 || taken == 0 {
		t.Errorf("%d refused, %d taken: one of the two never happens", refused, taken)
	}
	for name, row := range map[string]struct {
		rules []Rule
		want  string
	}{
		"nothing":         {nil, "[{devices.deny a}]"},
		"a list to allow": {[]Rule{null, pts}, "[{devices.deny a} {devices.allow c 1:3 rw} {devices.allow c 136:* rwm}]"},
		"taken back":      {[]Rule{null, deny(null, Write)}, "[{devices.deny a} {devices.allow c 1:3 rw} {devices.deny c 1:3 w}]"},
		"both types":      {[]Rule{{true, All, Any, Any, Mknod}}, "[{devices.deny a} {devices.allow c *:* m} {devices.allow b *:* m}]"},
		"nodes apart":     {[]Rule{null, {true, Char, Any, Any, Mknod}}, "[{devices.deny a} {devices.allow c 1:3 rw} {devices.allow c *:* m}]"}, // never asked for together
		"everything but":  {[]Rule{{true, All, Any, Any, Every}, deny(null, Every)}, "[{devices.deny a} {devices.allow a *:* rwm} {devices.deny c 1:3 rwm}]"},
	} {
		if got, err := Lines(row.rules); err != nil || fmt.Sprint(got) != row.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	// The kernel would forget the second rule of each.
	for name, rules := range map[string][]Rule{
		"one out of many":     {pts, {false, Char, 136, 5, Every}},
		"many out of one":     {null, {false, Char, 1, Any, Every}},
		"parts of two rules":  {{true, Char, 1, Any, Read}, {true, Char, Any, 3, Write}},
		"both out of a wider": {{true, Char, Any, Any, Mknod}, {false, Char, 1, 3, Mknod}},
	} {
		if got, err := Lines(rules); !errors.Is(err, ErrInexact) {
			t.Errorf("%s: %v, %v; want a refusal", name, got, err)
		}
	}
}

func TestRuleIsValidated(t *testing.T) {
	for _, r := range []Rule{
		{}, {Type: "x", Access: Read}, {Type: Char, Major: -2, Access: Read}, {Type: Char, Minor: 1 << 32, Access: Read}, {Type: Char}, {Type: Char, Access: 8},
	} {
		if r.Validate() == nil {
			t.Errorf("%+v is valid", r)
		}
	}
	if err := null.Validate(); err != nil {
		t.Error(err)
	}
}
