package compare

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/landlock"
	"github.com/holdshort/holdshort/probes/posture"
)

// said is a value of a difference and the feature of the kernel that said it.
type said struct{ value, feature string }

// but tells whether values are equal but for what the pattern matches.
func but(pattern string) func(a, b said) bool {
	p := regexp.MustCompile(pattern)
	return func(a, b said) bool { return p.ReplaceAllString(a.value, "") == p.ReplaceAllString(b.value, "") }
}

// number is the number of a value that is one.
func number(s said) (n, feature int, ok bool) {
	word, ok := strings.CutPrefix(s.value, "equal ")
	n, err := strconv.Atoi(word)
	feature, ferr := strconv.Atoi(s.feature)
	return n, feature, ok && err == nil && ferr == nil
}

// moreWithMore tells whether the kernel with the greater feature has the
// greater number.
func moreWithMore(a, b said) bool {
	x, fx, ok := number(a)
	y, fy, oky := number(b)
	return ok && oky && (x > y) == (fx > fy)
}

// rightsOfBoth tells whether layers of Landlock are equal in the rights that both
// kernels know.
func rightsOfBoth(a, b said) bool {
	x, err := strconv.Atoi(a.feature)
	y, yerr := strconv.Atoi(b.feature)
	if err != nil || yerr != nil {
		return false
	}
	abi := min(x, y)
	known := func(k landlock.Kind) uint32 {
		m, err := landlock.Mask(k, landlock.Rights(k, abi))
		if err != nil {
			return 0
		}
		return uint32(m)
	}
	layers := func(s said) (string, bool) {
		text, ok := strings.CutPrefix(s.value, "equal ")
		if text == "as in the caller" {
			text = "[]" // who compares is not restrained, and no layer was asked for
		}
		var list []posture.LandlockLayer
		if !ok || json.Unmarshal([]byte(text), &list) != nil {
			return "", false
		}
		var out []posture.LandlockLayer
		for _, l := range list {
			l.FS, l.Net, l.Scope = l.FS&known(landlock.FS), l.Net&known(landlock.Net), l.Scope&known(landlock.Scope)
			if l != (posture.LandlockLayer{}) {
				out = append(out, l)
			}
		}
		b, err := json.Marshal(out)
		return string(b), err == nil
	}
	la, ok := layers(a)
	lb, okb := layers(b)
	return ok && okb && la == lb
}

// heldByBoth tells whether capabilities are equal in those that both callers have;
// the features are the callers' in hexadecimal.
func heldByBoth(a, b said) bool {
	x, err := strconv.ParseUint(a.feature, 16, 64)
	y, yerr := strconv.ParseUint(b.feature, 16, 64)
	va, verr := strconv.ParseUint(strings.TrimPrefix(a.value, "equal "), 10, 64)
	vb, wrong := strconv.ParseUint(strings.TrimPrefix(b.value, "equal "), 10, 64)
	return errors.Join(err, yerr, verr, wrong) == nil && va&x&y == vb&x&y
}

var mountOptions = regexp.MustCompile(`"options":"[^"]*"`)

// optionsAlike tells whether all mounts of both values have the same options.
func optionsAlike(a, b said) bool {
	one := func(s said) []string {
		return slices.Compact(slices.Sorted(slices.Values(mountOptions.FindAllString(s.value, -1))))
	}
	x, y := one(a), one(b)
	return strings.HasPrefix(a.value, "equal ") && strings.HasPrefix(b.value, "equal ") && len(x) > 0 && slices.Equal(x, y)
}
