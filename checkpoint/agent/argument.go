package agent

// Number returns the value of an argument that is a plain number.
func (a Arg) Number() (uint64, bool) { return a.n, a.kind == argNumber }
