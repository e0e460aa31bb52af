// Package hostile has only tests: workloads and engines that mean harm to who
// judges them. They crowd the observer, hide in what is too long to be read,
// forge what others say of them, and reach for what controls them; none of it
// may end in [harness.Constrained] for a program that is not.
package hostile
