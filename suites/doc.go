// Package suites has Ginkgo suites that anyone can run against an engine:
// against this project's own launcher, or one of theirs.
//
//	var _ = suites.Register("mine", func(ctx context.Context) (suites.Engine, error) { … })
//
//	func TestMine(t *testing.T) { RegisterFailHandler(Fail); RunSpecs(t, "mine") }
//
// Each spec asks for one thing, has the engine run a program under it, and
// expects the verdict [harness.Constrained]: the kernel was seen to enforce it
// at the program's first instruction. With engines that can be made to
// misbehave ([Planter]), each is followed by its opposite: the same thing asked
// for and not done must be found.
//
// Labels are "area:constraints", "area:lifecycle" and "area:faults", and
// "needs:" what a spec needs; what the machine or the engine does not have is
// skipped by name, and the summary counts it. Seeds, JUnit and JSON reports are
// Ginkgo's: --ginkgo.seed, --ginkgo.junit-report, --ginkgo.json-report.
package suites
