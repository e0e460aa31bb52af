// Package reference is the table of all constraints: for each, how it is asked
// for, what the kernel is told, since when, what proves that it holds, and
// which planted faults were caught. docs/constraints.md is made from it
// (make docs), so what stands there is what the code does:
//
//   - Each field of [checkpoint.Config] is in the table.
//   - Each field that is compared, of a posture or beyond it, is in the table,
//     either as the proof of a constraint or as state that nobody asks for.
//   - Each proof has a sabotage test in which it was caught, or says why not.
//     What was caught is recorded by the tests themselves, in caught.txt.
//
// The tests of this package hold it to that. A new constraint is a line here.
package reference
