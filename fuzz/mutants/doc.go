// Package mutants scores the instruments: it plants faults in the launcher, the
// observer and the oracle, one at a time, and counts how many cases of a campaign
// it takes until each is found, in the right field.
//
// A [Fault] is data: what is done wrong, where, and the settings of a request
// that it takes, from one to six. It needs a build with the tag mutants, in which
// package harness has Runner.Misbehave, and the command internal/cmd/mutants,
// which `make mutants` runs. Without the tag this package is empty, and so is
// every fault point.
package mutants
