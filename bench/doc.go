// Command bench measures what a launch costs, against a C program that does
// nothing but clone3, execve and waitid, and against other ways to start a
// confined process that this machine has.
//
// All contestants of a case take turns in short rounds, so that what the
// machine does meanwhile hits them alike; figures are medians over all rounds
// of one run. "make bench" builds the C programs and runs it. It writes a table
// for people and bench.json.
package main
