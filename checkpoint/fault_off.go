//go:build !mutants

package checkpoint

// faulty: this build can plant faults in launches. It is a constant, so that
// nothing is left of it in a build that cannot.
const faulty = false

func misorder(*Launcher, *plan) {}
