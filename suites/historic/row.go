package historic

import (
	"slices"

	"github.com/holdshort/holdshort/harness/oracle"
)

// Finds are the fields that are found wrong, and how.
type Finds map[string]oracle.Outcome

// Row is one wrong state of the past.
type Row struct {
	Number int    // from 1
	ID     string // of the advisory, the issue or the change
	Where  string // which software, and which versions if they are known
	Title  string // what was wrong
	How    string // how the engine makes it again
	// Unseen is why it cannot be seen at the first instruction. All that
	// follows is then empty.
	Unseen string
	// Frozen: it shows in /proc only, so the workload is held there.
	Frozen bool
	// Needs is what not every machine has; the row's Ask skips it there.
	Needs string
	Finds Finds
	// May be found besides where the caller has CAP_SYS_RESOURCE.
	May Finds

	// Ask prepares the request and the machine. It is told what is wrong by
	// [Scene].Wrong, where the fault is the image's or the attacker's.
	Ask func(*Scene)
	// Do makes the system calls of the engine; the program is executed after it.
	Do func(*Engine) error
}

// total is how many rows there are.
const total = 69

// Rows are all that are known, in the order of their numbers.
func Rows() []Row {
	rows := slices.Concat(capabilityRows(), groupRows(), userRows(), filterRows(), supervisorRows(), fileRows(), pathRows(), namespaceRows(), processRows(), labelRows())
	slices.SortFunc(rows, func(a, b Row) int { return a.Number - b.Number })
	return rows
}

func row(n int) *Row {
	rows := slices.Concat(Rows(), more())
	for i := range rows {
		if rows[i].Number == n {
			return &rows[i]
		}
	}
	return nil
}
