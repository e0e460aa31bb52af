// Package matrix runs the tests of a Go module on several kernels and compares
// what they say.
//
// Each test package is compiled once. For every kernel a guest is booted that
// runs them one after the other; a guest that dies is reported, and what it had
// not run yet is run in another. A matrix is good only if
//
//   - no test failed or was lost, and no command found anything,
//   - every test ran on at least one kernel,
//   - every skipped test says why,
//   - kernels differ in nothing that no known fact explains ([Matrix.Compare]).
//
// A test that skips itself as "is a ... of other tests" or "is run by another
// test" is none, but a process that others start from their own binary.
package matrix
