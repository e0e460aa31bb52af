package vm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// series is one line of the catalogue: where a kernel series is found.
type series struct {
	name   string   // the first two numbers of the version
	suites []string // Debian suites, tried in this order
}

// catalogue is what [Fetch] knows by name and the matrix runs by default. A
// series that is not in it is looked for in all suites. Package names are
// never written down: they change with each point release, and the old ones
// leave the index.
var catalogue = []series{
	{name: "5.10", suites: []string{"bullseye"}},
	{name: "6.1", suites: []string{"bookworm"}},
	{name: "6.12", suites: []string{"trixie", "bookworm-backports"}},
	{name: "7.2", suites: []string{"forky", "trixie-backports", "sid"}},
	{name: "7.3", suites: []string{"trixie-backports", "sid", "experimental"}},
}

// allSuites are searched for a series that is not in the catalogue.
var allSuites = []string{"trixie", "trixie-backports", "bookworm-backports", "forky", "sid", "experimental", "bookworm", "bullseye", "bullseye-backports"}

// Catalogue is the list of kernel series that the matrix runs by default.
func Catalogue() []string {
	var out []string
	for _, s := range catalogue {
		out = append(out, s.name)
	}
	return out
}

func suitesOf(name string) []string {
	name, _ = flavourOf(name)
	for _, s := range catalogue {
		if s.name == name {
			return s.suites
		}
	}
	return allSuites
}

// flavours are the builds of one series that Debian has besides that for cloud
// machines, by the end of our name for them: what comes before the architecture
// in the name of their package.
var flavours = map[string]string{
	"":      "-cloud", // small, and with what a guest needs
	"-full": "",       // all drivers
	"-rt":   "-rt",    // PREEMPT_RT
}

var seriesName = regexp.MustCompile(`^[0-9]+\.[0-9]+(-full|-rt)?$`)

// flavourOf splits a name like "6.12-rt".
func flavourOf(name string) (series, flavour string) {
	if i := strings.IndexByte(name, '-'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

// imageName tells whether pkg is an image package of the series.
func imageName(pkg, name, arch string) (version string, ok bool) {
	series, flavour := flavourOf(name)
	v, ok := strings.CutPrefix(pkg, "linux-image-")
	if !ok {
		return "", false
	}
	v, ok = strings.CutSuffix(v, flavours[flavour]+"-"+arch)
	if !ok || !(strings.HasPrefix(v, series+".") || strings.HasPrefix(v, series+"-") || strings.HasPrefix(v, series+"~")) {
		return "", false
	}
	for _, other := range flavours { // "" is the end of every name
		if other != "" && strings.HasSuffix(v, other) {
			return "", false
		}
	}
	return v, true
}

// later compares versions number by number, as far as package names need it.
func later(a, b string) bool {
	na, nb := numbers(a), numbers(b)
	for i := range min(len(na), len(nb)) {
		if na[i] != nb[i] {
			return na[i] > nb[i]
		}
	}
	return len(na) > len(nb)
}

var digits = regexp.MustCompile(`[0-9]+`)

func numbers(s string) []int {
	var out []int
	for _, d := range digits.FindAllString(s, -1) {
		n, _ := strconv.Atoi(d)
		out = append(out, n)
	}
	return out
}

// CheckSeries tells whether name has the form of a kernel series, "6.1", with the
// flavour if it is not that for cloud machines: "6.1-full" has all drivers,
// "6.12-rt" is built with PREEMPT_RT.
func CheckSeries(name string) error {
	if !seriesName.MatchString(name) {
		return fmt.Errorf("vm: %q is no kernel series like 6.1, 6.1-full or 6.12-rt (catalogue: %s) and no file", name, strings.Join(Catalogue(), ", "))
	}
	return nil
}
