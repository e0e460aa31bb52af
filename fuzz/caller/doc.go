// Package caller starts launchers as a caller would that is itself not as a fresh
// login is: niced, with signals ignored, descriptors open, a filter on it, and so
// on. What such a caller has must reach a workload only where the launcher says
// that it does.
//
// Most of what a process passes on is, in Linux, a thread's. So a thread of this
// process makes itself what is wanted, starts the launcher's agent, and ends: the
// rest of the process stays as it was. What is the whole process's (limits,
// ignored signals, descriptors, the environment …) is changed for the moment of
// the start, and put back. Starts exclude each other.
package caller
