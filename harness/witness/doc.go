// Package witness asks the kernel from inside. The witness is a small static
// program that can be the workload: it makes the system calls that its
// arguments name, one after the other, and says what each returned. What it
// says is compared with the posture that the observer read of it, and with what
// the request implies and no posture shows: which paths can be written, which
// ports can be reached, which devices can be opened.
//
// So it is a second opinion in two ways. A field of the posture that the kernel
// itself contradicts is a fault of the observer, or of the kernel. A rule that
// is there and does not do what it should (a Landlock rule for too much, a
// device that is not denied) shows only here.
//
// The program starts without a system call of its own and needs nothing but
// write(2), and clone(2) and wait4(2) for calls that may kill it. On a kernel
// under test it adds no noise of a runtime.
package witness
