// Package historic is a museum: the wrong states in which programs were once
// started by engines and sandboxes, made again in the kernel, one by one.
//
// Each [Row] has a request and a small engine, a few system calls of a process
// of its own ([EngineMain]), in two forms: as it should be, which must be judged
// constrained, and with the fault of old, which must be raised with the fields
// and outcomes that the row names, and no others. What cannot be seen at the
// first instruction has the reason in its place.
//
// What runs is the engine, not the software that had the bug: a row shows that
// the state is raised, whoever makes it.
package historic
