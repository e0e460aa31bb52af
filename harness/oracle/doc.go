// Package oracle says what a launch must look like from the kernel.
//
//	exp := oracle.Expect(req, caller, features)    // pure; once per request
//	for f := range oracle.NumFields {
//		outcome, why := exp.With(&facts).Compare(f, observed)
//		…
//	}
//
// [Expect] computes a whole [posture.Posture] from three things: the request,
// the posture of the process that does the cloning, and what kernel and program
// are like. So it covers not only what was asked for but also what was not:
// state that leaks in from the caller is a finding like any other. Each field
// carries a class (requested, implied, promised, kept), which decides what a
// difference is called, and whether a field without evidence costs the verdict.
//
// What only the launch itself can tell (process ids, inode numbers) is patched
// in by [Expectation.With]. What no posture can show (mounts, sysctls, limits of
// a cgroup) is listed by [Expectation.Beyond].
//
// The package does no I/O. It is not for judging: package harness does that.
package oracle
