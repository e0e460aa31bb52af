// Package harness turns a request into a verdict.
//
//	request ──▶ oracle.Expect ──▶ expectation ─┐
//	   │                                       ├─▶ Judge ──▶ Result ──▶ Report
//	   └──▶ engine ──▶ workload ──▶ snapshots ─┘
//
// A [Snapshot] is the posture of the workload at one instant: at "exec" (when
// execve has done its work), at "return" (when that system call returns), at
// "first" (the first user instruction is being fetched) and at "exit". [Judge]
// compares what was expected with what was seen, field by field:
//
//	res := harness.Judge(exp.With(&facts), snapshots, evidence, lost)
//	rep := harness.NewReport(res, meta)
//	rep.Text(os.Stderr, harness.Style{})
//	os.Exit(rep.ExitCode())
//
// The latest of exec, return and first that knows a field decides it, and a
// difference between the three is a finding by itself: late. What was asked for
// and left no evidence makes the verdict unknown; so do a missing exec or
// return snapshot, lost records, and an instruction pointer that was not at the
// entry. Nothing that is not seen to hold is ever reported as holding.
//
// What no task shows (mounts, sysctls, limits of a cgroup) is evidence that
// the caller gathers elsewhere and hands to [Judge]; without it the verdict is
// unknown.
package harness
